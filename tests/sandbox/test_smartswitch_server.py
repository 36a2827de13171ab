"""SMARTSwitch over HTTP: the samples as they go over the wire, the script of faults, receipts, kill -9."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qsl

import httpx
import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.server import SandboxOptions
from tests.sandbox.conftest import ALL_DELIVERED, QUICK, Another
from tests.sandbox.customer import PATIENCE, Customer, eventually
from tests.sandbox.listener import Told, listening
from tests.sandbox.process import started

WHO = "_login=sandbox&_password=sandbox-password"
ONE = (
    f"{WHO}&destination_number=380931110001&source_name=ShopNews&body=Order%2018&require_dlr=1"
    "&request_id=700001"
)
TWO = (
    f"{WHO}&destination_number=380931110001&body=A&require_dlr=1&request_id=700001"
    "&destination_number=380931110002&body=B&require_dlr=1&request_id=700002"
)
OPTIONS = SandboxOptions(mix=ALL_DELIVERED, timings=QUICK)


@pytest.fixture
def shop(another: Another) -> Customer:
    return another(OPTIONS)


def post(customer: Customer, query: str) -> httpx.Response:
    """As the samples do: everything in the query, an empty body."""
    return customer.http.post(f"/api/message?{query}")


def data(response: httpx.Response) -> Any:
    assert response.status_code == 200
    return response.json()["data"]


def statuses(response: httpx.Response) -> list[str]:
    found = data(response)
    return [one["attributes"]["status"] for one in (found if isinstance(found, list) else [found])]


def test_the_samples_go_over_the_wire(shop: Customer) -> None:
    one, two = post(shop, ONE), post(shop, TWO)

    assert one.headers["content-type"] == "application/vnd.api+json"
    assert data(one)["meta"] == {"request_id": "700001"}
    assert [each["meta"]["request_id"] for each in data(two)] == ["700001", "700002"]
    counts = shop.counts()["by_provider"]["smartswitch"]
    assert (counts["taken"], counts["twice"], counts["refused"]) == (3, 0, 0)
    assert shop.see("deliveries?provider=smartswitch") == [
        [700001, "380931110001", content_digest("380931110001", "", "A"), 2],
        [700002, "380931110002", content_digest("380931110002", "", "B"), 1],
    ]


def test_a_form_is_taken_too(shop: Customer) -> None:
    label = {"content-type": "application/x-www-form-urlencoded"}

    assert statuses(shop.http.post("/api/message", content=TWO, headers=label)) == ["ok", "ok"]


def test_a_repeat_is_a_second_message(shop: Customer) -> None:
    first, second = data(post(shop, ONE)), data(post(shop, ONE))

    assert first["id"] != second["id"]
    assert shop.counts()["twice"] == 1


def test_strangers_and_other_methods_are_turned_away(shop: Customer) -> None:
    stranger = post(shop, ONE.replace("sandbox-password", "guess"))

    assert stranger.json()["errors"][0]["code"] == "authentication"
    assert shop.http.get(f"/api/message?{ONE}").status_code == 405
    assert shop.taken() == 0


# The script


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"do": "message_code", "code": "error", "share": 0.5}, ["error", "ok"]),
        ({"do": "unknown_code", "code": "queued"}, ["queued", "queued"]),
        ({"do": "missing"}, ["ok"]),
        ({"do": "extra", "count": 2}, ["ok"] * 4),
        ({"do": "duplicate_items"}, ["ok"] * 4),
        ({"do": "wrong_order"}, ["ok", "ok"]),
    ],
)
def test_items_of_an_answer_can_be_spoilt(shop: Customer, fault: dict[str, Any], expected: list[str]) -> None:
    shop.script({"when": {"provider": "smartswitch", "command": "send"}, **fault})

    answered = post(shop, TWO)

    assert statuses(answered) == expected
    assert isinstance(data(answered), list)


@pytest.mark.parametrize("code", ["authentication", "low_balance", "rate_limit", "internal"])
def test_a_call_can_fail_for_a_reason_of_the_script(shop: Customer, code: str) -> None:
    shop.script({"when": {"provider": "smartswitch"}, "do": "error", "code": code})

    assert [error["code"] for error in post(shop, ONE).json()["errors"]] == [code]
    assert shop.taken() == 0


@pytest.mark.parametrize("fault", ["drop_after", "cut"])
def test_an_answer_can_be_lost_after_the_sending(shop: Customer, fault: str) -> None:
    shop.script({"do": fault, "times": 1})

    with pytest.raises(httpx.RemoteProtocolError):
        post(shop, ONE)

    assert shop.taken() == 1


@pytest.mark.parametrize("fault", ["truncated", "wrong_root", "html", "empty", "wrong_encoding", "deep"])
def test_an_answer_can_be_no_answer(shop: Customer, fault: str) -> None:
    shop.script({"do": fault, **({"levels": 50} if fault == "deep" else {})})

    assert not isinstance(_json(post(shop, ONE)), dict)
    assert shop.taken() == 1


def test_a_rule_knows_its_recipient(shop: Customer) -> None:
    rule = {"do": "error", "code": "busy"}
    shop.script(
        {"when": {"provider": "smartswitch", "recipient": "+380931110002"}, **rule},
    )

    assert statuses(post(shop, ONE)) == ["ok"]
    assert post(shop, TWO).json()["errors"][0]["code"] == "busy"


# Receipts


@contextmanager
def listener(status: int = 200) -> Iterator[tuple[str, "SimpleQueue[tuple[str, str]]"]]:
    """Somebody to tell states to: its URL, and (message_id, message_state) as they come."""
    heard: SimpleQueue[tuple[str, str]] = SimpleQueue()

    def hear(told: Told) -> tuple[int, bytes]:
        (_, number), (_, state) = parse_qsl(told.body.decode(), strict_parsing=True)
        heard.put((number, state))
        return status, b""

    with listening() as ear:
        ear.answer = hear
        yield ear.url, heard


@pytest.mark.parametrize("status", [200, 500])
def test_states_are_told_once_to_who_asked(another: Another, status: int) -> None:
    silent = TWO.replace("require_dlr=1", "require_dlr=0")
    with listener(status) as (url, heard):
        shop = another(replace(OPTIONS, pushes={"smartswitch": url}))
        post(shop, silent)
        numbers = [one["id"] for one in data(post(shop, TWO))]

        told = [heard.get(timeout=PATIENCE) for _ in range(4)]
        eventually(
            lambda: shop.counts()["by_provider"]["smartswitch"]["receipts"],
            lambda seen: seen["acknowledged" if status == 200 else "given_up"] == 4,
        )

    assert heard.empty()
    for number in numbers:
        news, end = (state for one, state in told if one == number)
        assert news in {"enroute", "accepted", "unknown"}
        assert end == "delivered"


@pytest.mark.slow
def test_after_kill_9_numbers_go_on(tmp_path: Path) -> None:
    with started(tmp_path / "journal") as first:
        [one, two] = data(post(first.customer, TWO))
        first.end(signal.SIGKILL)

    with started(tmp_path / "journal") as second:
        three = data(post(second.customer, ONE))
        counts = second.customer.counts()

    assert [int(each["id"]) - int(one["id"]) for each in (two, three)] == [1, 2]
    assert (counts["taken"], counts["twice"]) == (3, 0)


def _json(response: httpx.Response) -> Any:
    """What can be made of it, or None."""
    try:
        return response.json()
    except ValueError:
        return None
