"""The audit on an installation at work: while packages are on the wire, refused, lost, halved and taken up
again, every committed instant keeps what the ledger claims."""

import time

import pytest

from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.ledger.audit import audit
from tests.e2e.conftest import Install, Installation
from tests.factories import message

pytestmark = pytest.mark.slow

MESSAGES = 4000
FAULTS = [
    {"when": {"command": "message"}, "skip": 1, "times": 3, "do": "drop_after"},
    {"when": {"command": "message"}, "skip": 2, "times": 3, "do": "missing", "share": 0.5},
    {"when": {"command": "message"}, "skip": 2, "times": 3, "do": "error", "code": 201, "take": False},
    {"when": {"command": "message"}, "skip": 2, "times": 3, "do": "message_code", "code": 203, "share": 0.3},
    {"when": {"command": "message-async"}, "skip": 1, "times": 3, "do": "job_failed", "share": 0.5},
    {"when": {"command": "message-async"}, "skip": 1, "times": 2, "do": "drop_after"},
    {"when": {"command": "status"}, "skip": 2, "times": 3, "do": "missing", "share": 0.5},
    {"when": {"command": "status"}, "skip": 2, "times": 2, "do": "throttle"},
]


def test_every_instant_of_an_installation_in_trouble_is_sound(install: Install) -> None:
    installation = install(sync={"mode": "sync"}, **{"async": {"mode": "async"}})
    installation.script(*FAULTS)

    installation.enqueue([message(n, route=("sync", "async")[n % 2]) for n in range(1, MESSAGES + 1)])

    seen, instants = set[Status](), 0
    killed = False
    deadline = time.monotonic() + 120
    while not _over(installation):
        assert time.monotonic() < deadline, installation.books()
        with installation.ledger.snapshot() as connection:
            assert audit(connection) == ()
        instants += 1
        seen |= set(installation.books().by_status)
        if not killed and Status.SENDING in seen:
            installation.kill("bulk")
            killed = True
    assert killed
    assert Status.IN_DOUBT in seen
    assert instants > 10


def _over(installation: Installation) -> bool:
    found = installation.books()
    return found.total == MESSAGES and set(found.by_status) <= FINAL | {Status.UNCONFIRMED}
