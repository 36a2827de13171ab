"""SMARTSwitch receipts: two fields a message, told to whoever asked for them with require_dlr."""

import json
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest

from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Mix, Timings
from bulk_dispatch.sandbox.provider import Call, News, Orders, Provider, Push, Receipts
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions
from bulk_dispatch.sandbox.smartswitch.provider import smartswitch

NOW = 1_930_011_223.0  # seconds since 1970
TIMINGS = Timings(first=1, final=(2, 2))


def provider_of(mix: Mix | None = None, **differences: Any) -> Provider:
    installed = SmartSwitchOptions(**differences)
    [provider] = smartswitch(SandboxOptions(mix=mix or Mix(), timings=TIMINGS, smartswitch=installed), None)
    return provider


def receipts_of(provider: Provider) -> Receipts:
    assert provider.receipts is not None
    return provider.receipts


def sent(provider: Provider, times: int = 1, **parameters: str) -> list[Any]:
    """What the account remembers of these messages."""
    who = {"_login": "sandbox", "_password": "sandbox-password"}
    query = urlencode({**who, "destination_number": "380931110001", "body": "A", **parameters}).encode()
    for _ in range(times):
        request = provider.read(Call("POST", "/api/message", query, {}, b""))
        provider.answer(request, Orders(), NOW)
    return list(provider.account.records(provider.name))


def fields(push: Push) -> dict[str, str]:
    return dict(parse_qsl(push.body.decode(), strict_parsing=True))


def test_a_receipt_is_the_form_of_the_sheet() -> None:
    provider = provider_of(Mix(delivered=1, undeliverable=0, expired=0, rejected=0))
    [record] = sent(provider, require_dlr="1")

    push = receipts_of(provider).push([News(record, record.final_at)])

    assert push.media_type == "application/x-www-form-urlencoded"
    assert push.body == f"message_id={record.number}&message_state=delivered".encode()


@pytest.mark.parametrize("asked", [{}, {"require_dlr": "0"}, {"require_dlr": ""}])
def test_who_does_not_ask_is_told_nothing(asked: dict[str, Any]) -> None:
    provider = provider_of()
    [record] = sent(provider, **asked)

    assert not receipts_of(provider).instants(record)


def test_a_state_on_the_way_comes_before_the_end() -> None:
    provider = provider_of()
    records = sent(provider, 40, require_dlr="1")
    receipts = receipts_of(provider)

    told = [
        tuple(fields(receipts.push([News(one, at)]))["message_state"] for at in receipts.instants(one))
        for one in records
    ]

    first, last = zip(*told, strict=True)
    assert set(first) == {"enroute", "accepted", "unknown"}
    assert set(last) <= {"delivered", "expired", "undeliverable", "rejected"}
    assert list(receipts.instants(records[0])) == [NOW + 1, NOW + 2]


@pytest.mark.parametrize("end", ["delivered", "expired", "undeliverable", "rejected"])
def test_every_end_has_its_word(end: str) -> None:
    weights: dict[str, Any] = {
        "delivered": 0.0,
        "expired": 0.0,
        "undeliverable": 0.0,
        "rejected": 0.0,
        end: 1.0,
    }
    provider = provider_of(Mix(**weights))
    [record] = sent(provider, require_dlr="1")

    assert fields(receipts_of(provider).push([News(record, NOW + 2)]))["message_state"] == end


def test_the_operator_may_choose_json_and_other_names() -> None:
    provider = provider_of(receipts_as="json", receipt_id="id", receipt_state="state")
    [record] = sent(provider, require_dlr="1")

    push = receipts_of(provider).push([News(record, NOW + 1)])

    assert push.media_type == "application/json"
    assert json.loads(push.body) == {"id": str(record.number), "state": record.news}


def test_one_message_a_call_and_no_second_try() -> None:
    provider = provider_of()
    [record] = sent(provider, require_dlr="1")
    receipts, news = receipts_of(provider), [News(record, NOW)]

    assert (receipts.most, receipts.attempts) == (1, 1)
    assert list(receipts.acknowledged(200, b"", news)) == [record.number]
    assert list(receipts.acknowledged(200, b"OK", news)) == [record.number]
    assert not receipts.acknowledged(500, b"OK", news)


def test_strangers_are_receipts_of_nobodys_messages() -> None:
    provider = provider_of()
    [record] = sent(provider, require_dlr="1")
    receipts = receipts_of(provider)

    told = [fields(receipts.push([one])) for one in receipts.strangers(3, NOW)]

    numbers = {one["message_id"] for one in told}
    assert len(numbers | {str(record.number)}) == 4
    assert {len(number) for number in numbers} == {13}
    assert {one["message_state"] for one in told} == {"delivered"}


def test_two_fields_need_two_names() -> None:
    with pytest.raises(ValueError, match="two names"):
        SmartSwitchOptions(receipt_id="a", receipt_state="a")
    with pytest.raises(ValueError, match="at least 1"):
        SmartSwitchOptions(recipients_query=0)
