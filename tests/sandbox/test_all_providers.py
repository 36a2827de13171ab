"""What is true of every provider: all faults that have a meaning, counts, the journal."""

import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.fault_effects import FAULTS, Moment
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Provider, Trait
from bulk_dispatch.sandbox.providers import FAMILIES
from bulk_dispatch.sandbox.server import Timings
from tests.sandbox.conftest import Another
from tests.sandbox.customer import KEY, Customer, eventually, msg
from tests.sandbox.listener import listening
from tests.sandbox.process import started

PHONE, SENDER, TEXT = "380931110001", "ShopNews", "Hello"
DIGEST = content_digest(PHONE, SENDER, TEXT)
CODES: dict[str, dict[str, object]] = {
    "alphasms-xml": {"error": 200, "message_code": 206},
    "alphasms-http": {"error": "login", "message_code": 206},
    "webcom-xml": {"error": "login", "message_code": 2},
    "smartswitch": {"error": "authentication", "message_code": "error"},
}
OTHERS: dict[str, dict[str, object]] = {
    "compressed": {"coding": "unlabelled gzip"},
    "noisy": {"noise": "comments"},
    "drop_idle": {"seconds": 0},
}
"""What faults need beside a code, or so that they come up."""
DEFAULTS = SandboxOptions()
SHARED = SandboxOptions(login="shop", password="s3same")
Send = Callable[[Customer], httpx.Response]


def webcom(customer: Customer) -> httpx.Response:
    """One SMS, without a client id."""
    document = (
        f'<?xml version="1.0" encoding="utf-8"?><request><security><token value="{KEY}"/></security>'
        f'<message type_send_1="sms" type="sms"><sender>{SENDER}</sender><text>{TEXT}</text>'
        f'<abonent phone="{PHONE}" number_sms="1"/></message></request>'
    )
    headers = {"Content-Type": "text/xml; charset=utf-8"}
    return customer.http.post("/xml", content=document.encode(), headers=headers)


def smartswitch(customer: Customer, options: SandboxOptions = SHARED) -> httpx.Response:
    """One message whose receipt is wanted."""
    account = {"_login": str(options.login), "_password": str(options.password)}
    group = {"destination_number": PHONE, "source_name": SENDER, "body": TEXT, "require_dlr": "1"}
    return customer.http.post("/api/message", params={**account, **group})


def alphasms_xml(customer: Customer) -> httpx.Response:
    """One message without an own id."""
    return customer.send(msg("", PHONE, TEXT).replace('id="" ', ""))


def alphasms_http(customer: Customer) -> httpx.Response:
    """One message."""
    given = {"key": KEY, "command": "send", "from": SENDER, "to": PHONE, "message": TEXT}
    return customer.http.get("/api/http.php", params=given)


SENDS: dict[str, Send] = {
    "alphasms-xml": alphasms_xml,
    "alphasms-http": alphasms_http,
    "webcom-xml": webcom,
    "smartswitch": smartswitch,
}
PROVIDERS: Sequence[Provider] = [one for opened in FAMILIES for one in opened(SandboxOptions(), None)]
NAMES = [one.name for one in PROVIDERS]


def test_every_provider_is_known_here() -> None:
    assert set(NAMES) == set(SENDS)


@pytest.mark.parametrize("name", SENDS)
def test_what_is_sent_is_counted_there_and_in_all(customer: Customer, name: str) -> None:
    assert SENDS[name](customer).status_code == 200
    assert SENDS[name](customer).status_code == 200

    counts = customer.counts()

    assert counts.keys() >= {"taken", "twice", "by_state", "kills", "receipts", "by_provider"}
    assert (counts["taken"], counts["twice"]) == (2, 1)
    assert counts["by_provider"].keys() == SENDS.keys()
    assert {one: each["taken"] for one, each in counts["by_provider"].items() if each["taken"]} == {name: 2}
    alone = customer.see(f"counts?provider={name}")
    assert alone.keys() == counts["by_provider"][name].keys()
    assert (alone["taken"], alone["twice"]) == (2, 1)
    assert [digest for _, _, digest, _ in customer.see("deliveries")] == [DIGEST] * 2
    assert len(customer.see(f"deliveries?provider={name}")) == 2


def test_the_same_message_by_two_accounts_is_not_twice_but_by_two_doors_of_one(customer: Customer) -> None:
    for name in ("alphasms-xml", "webcom-xml", "smartswitch"):
        SENDS[name](customer)
    assert customer.counts()["twice"] == 0

    alphasms_http(customer)

    assert customer.counts()["twice"] == 1
    assert customer.counts()["by_provider"]["alphasms-http"]["twice"] == 1


@pytest.mark.parametrize("what", ["counts", "deliveries"])
def test_a_provider_nobody_plays_is_not_found(customer: Customer, what: str) -> None:
    assert customer.http.get(f"/sandbox/{what}?provider=post").status_code == 404


@dataclass(frozen=True)
class Case:
    """A fault at a provider."""

    provider: str
    do: str

    @property
    def rule(self) -> dict[str, Any]:
        """With what it needs."""
        code = CODES[self.provider].get(self.do)
        more = {"code": code} if code is not None else OTHERS.get(self.do, {})
        when = {"provider": self.provider, "command": "send"}
        return {"do": self.do, "when": when, "times": 1, **more}


def _means_something(provider: Provider, do: str) -> bool:
    fault = FAULTS[do]
    values = {"code": CODES[provider.name].get(do), **OTHERS.get(do, {})}
    sends = [has for has in provider.commands.values() if has & Trait.SENDS]
    return (
        fault.moment is Moment.ASKED
        and "job" not in do
        and "slow" not in do
        and not do.startswith("kill")
        and any(fault.traits is None or has & fault.traits for has in sends)
        and not fault.objection(provider, values)
    )


CASES = [Case(one.name, do) for one in PROVIDERS for do in FAULTS if _means_something(one, do)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.provider} {case.do}")
def test_every_fault_spoils_one_answer_and_no_more(customer: Customer, case: Case) -> None:
    good = _without_numbers(SENDS[case.provider](customer))
    customer.script(case.rule)

    try:
        spoilt = _without_numbers(SENDS[case.provider](customer))
    except httpx.TransportError:
        spoilt = b"hung up"

    assert spoilt != good or case.do in {"wrong_order"}  # of one item
    assert customer.see("faults")[0]["hits"] == 1
    assert _without_numbers(SENDS[case.provider](customer)) == good


def _without_numbers(response: httpx.Response) -> bytes:
    """Gateway numbers grow, and may have a digit more."""
    return b"%d %s" % (response.status_code, re.sub(rb"\d{13,}", b"", response.content))


@pytest.mark.parametrize("name", SENDS)
def test_a_rule_for_send_meets_every_provider(customer: Customer, name: str) -> None:
    customer.script({"do": "http", "code": 503, "when": {"command": "send", "recipient": f"+{PHONE}"}})

    assert SENDS[name](customer).status_code == 503
    assert customer.taken() == 0


@pytest.mark.slow
def test_what_every_provider_took_survives_kill_9(tmp_path: Path) -> None:
    with started(tmp_path / "journal") as first:
        _send_all(first.customer)
        before = first.customer.see("deliveries")
        first.end(signal.SIGKILL)

    with started(tmp_path / "journal") as second:
        assert second.customer.see("deliveries") == before
        assert second.customer.counts()["taken"] == len(SENDS)
        _send_all(second.customer)
        assert second.customer.counts()["taken"] == 2 * len(SENDS)
        assert second.customer.counts()["twice"] == 1 + len(SENDS)


def _send_all(customer: Customer) -> None:
    for name, send in SENDS.items():
        answer = send(customer) if name != "smartswitch" else smartswitch(customer, DEFAULTS)
        assert answer.status_code == 200


def test_states_are_told_out_of_order_by_a_fault(another: Another) -> None:
    with listening() as listener:
        options = SandboxOptions(
            timings=Timings(first=0.01, final=(0.2, 0.2)),
            pushes={"smartswitch": listener.url},
        )
        customer = another(options)
        customer.script({"do": "reversed", "when": {"command": "push"}})
        smartswitch(customer, DEFAULTS)

        states = [call.body.decode().rpartition("=")[2] for call in listener.wait_for(2)]

    assert states[0] in {"delivered", "undeliverable", "expired", "rejected"}
    assert states[1] not in {"delivered", "undeliverable", "expired", "rejected"}


@pytest.mark.slow
def test_after_a_restart_the_news_of_the_last_minute_are_told(tmp_path: Path) -> None:
    with listening() as listener:
        with started(tmp_path / "journal") as first:
            alphasms_xml(first.customer)
            eventually(lambda: first.customer.counts()["by_state"], lambda seen: "delivered" in seen)
            first.end(signal.SIGKILL)

        with started(tmp_path / "journal", pushes={"alphasms-xml": listener.url}):
            [told] = listener.wait_for(1)

    assert told.body.endswith(b"status=DELIVERED")
