"""Whole providers push: what they tell, in their format and with their retries, ends every message."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Timings
from bulk_dispatch.sandbox.server import running
from bulk_dispatch.stages.dispatch import dispatch
from bulk_dispatch.stages.poll import poll
from bulk_dispatch.stages.receipts import match
from tests.conftest import Setup
from tests.factories import messages
from tests.ledger.book import Book
from tests.waiting import eventually
from tests.webhooks.world import SECRET, make_lines, opened

pytestmark = pytest.mark.slow

COUNT = 100
LOGIN = {"login": "sandbox", "password": "sandbox-password"}
ENDS = {"delivered", "undeliverable", "expired", "rejected"}

PROVIDERS: Mapping[str, Mapping[str, Any]] = {
    "smartswitch": {**LOGIN, "package_items": 10},
    "webcom-xml": {**LOGIN, "package_items": 25},
    "alphasms-xml": {"key": "sandbox-key", "package_items": 25, "poll_first": "10m"},
}

FAULTS: Mapping[str, list[dict[str, Any]]] = {
    "nothing": [],
    "early": [{"do": "early", "times": 4}],
    "twice": [{"do": "twice", "times": 50}],
    "reversed": [{"do": "reversed", "times": 50}],
    "late": [{"do": "late", "seconds": 1, "times": 5}],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_message_comes_to_its_end(setup: Setup, ledger: Ledger, provider: str, fault: str) -> None:
    """Nobody asks before ten minutes have passed, unless a hint says so."""
    with opened(ledger, make_lines(one={"provider": provider, "key": "k"})) as door:
        pushes = {provider: f"{door.url}/receipts/one/{SECRET}"}
        timings = Timings(first=0.01, final=(0.05, 0.5), job=0.1)
        with running(SandboxOptions(pushes=pushes, timings=timings)) as url:
            script = httpx.post(f"{url}/sandbox/faults", json=FAULTS[fault])
            assert script.status_code == 200, script.text
            runtime = setup.runtime(
                one={
                    "provider": provider,
                    "url": url,
                    "webhook_secret": SECRET,
                    "key": "",
                    **PROVIDERS[provider],
                }
            )
            book = Book(ledger)
            book.enqueue(messages(COUNT, route="one"))

            def all_ended() -> bool:
                dispatch(runtime, "one", Lane.BULK)
                match(runtime, "one")
                if provider == "alphasms-xml":
                    poll(runtime, "one")
                return set(book.statuses().values()) <= ENDS

            eventually(all_ended, within=30, every=0.1)
            assert book.books().unbalanced == ()
            assert book.one("SELECT count(*) FROM unmatched_receipts") == 0
            if provider != "alphasms-xml":
                assert book.one("SELECT max(poll_count) FROM packages") == 0
