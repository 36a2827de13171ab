"""States told by the providers themselves: when, to whom, again where nobody took them, and the faults."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.pushes import CONNECTIONS
from bulk_dispatch.sandbox.server import SandboxOptions, Timings
from tests.sandbox.conftest import ALL_DELIVERED, QUICK, Another
from tests.sandbox.customer import Customer, asked, codes, eventually, msg, package
from tests.sandbox.listener import Listener, Told, listening

NAME = "alphasms-xml"
SLOW = Timings(first=3600, final=(7200, 7200))


@pytest.fixture
def listener() -> Iterator[Listener]:
    with listening() as listener:
        yield listener


def listen(customer: Customer, url: str | None, name: str = NAME) -> Any:
    return customer.http.post("/sandbox/pushes", json={name: url}).raise_for_status().json()


def told(call: Told) -> dict[str, str]:
    return {name: value for name, [value] in parse_qs(call.body.decode(), strict_parsing=True).items()}


def told_ids(listener: Listener, calls: int) -> list[str]:
    return [told(call)["id"] for call in listener.wait_for(calls)]


def receipts(customer: Customer, name: str = NAME) -> Any:
    return customer.see(f"counts?provider={name}")["receipts"]


def test_the_end_of_a_message_is_told_once(customer: Customer, listener: Listener) -> None:
    assert listen(customer, listener.url)[NAME] == listener.url
    customer.send(msg(1), msg(2, "+380931110002"))

    calls = listener.wait_for(2)

    assert sorted(told(call)["id"] for call in calls) == ["1", "2"]
    assert {told(call)["status"] for call in calls} == {"DELIVERED"}
    assert {(call.path, call.media_type) for call in calls} == {
        ("/told/secret?a=1", "application/x-www-form-urlencoded")
    }
    assert codes(customer.status(1, 2)) == [102, 102]  # never before it is so
    done = eventually(lambda: receipts(customer), lambda seen: seen["acknowledged"] == 2)
    assert done == {"pushed": 2, "acknowledged": 2, "given_up": 0}
    assert customer.counts()["receipts"] == done


def test_a_message_without_an_own_id_is_told_by_the_gateways(another: Another, listener: Listener) -> None:
    options = SandboxOptions(
        timings=QUICK, pushes={"alphasms-http": listener.url}, alphasms=AlphasmsOptions(push="json")
    )
    customer = another(options)
    given = {
        "key": "sandbox-key",
        "command": "send",
        "from": "ShopNews",
        "to": "380931110001",
        "message": "Hi",
    }

    number = customer.http.get("/api/http.php", params=given).text.split()[0].removeprefix("id:")

    [call] = listener.wait_for(1)
    assert call.media_type == "application/json"
    assert f'"message_id": "{number}"' in call.body.decode()


@pytest.mark.slow
def test_many_calls_go_through_few_connections(customer: Customer, listener: Listener) -> None:
    listen(customer, listener.url)
    customer.send(*(msg(own, f"+38093{own:07d}") for own in range(1, 501)))

    assert sorted(told_ids(listener, 500), key=int) == [str(own) for own in range(1, 501)]
    assert listener.connections <= CONNECTIONS < 500


def test_nobody_there_is_given_up_after_the_documented_attempts(customer: Customer) -> None:
    with listening() as gone:
        pass
    listen(customer, gone.url)
    customer.send(msg(1))

    lost = eventually(lambda: receipts(customer), lambda seen: seen["given_up"] == 1)

    assert lost == {"pushed": 1, "acknowledged": 0, "given_up": 1}


def test_a_listener_that_refuses_is_not_one_that_took(customer: Customer, listener: Listener) -> None:
    listener.answer = lambda _: (500, b"")
    listen(customer, listener.url)
    customer.send(msg(1))

    eventually(lambda: receipts(customer), lambda seen: seen["given_up"] == 1)


def test_who_stops_listening_is_told_no_more(customer: Customer, listener: Listener) -> None:
    listen(customer, listener.url)
    customer.send(msg(1))
    listener.wait_for(1)

    assert listen(customer, None)[NAME] is None
    customer.send(msg(2))
    eventually(lambda: customer.code(2), lambda code: code == 102)
    listen(customer, listener.url)
    customer.send(msg(3))

    assert told_ids(listener, 2) == ["1", "3"]


def test_a_deleted_message_is_told_at_once(another: Another, listener: Listener) -> None:
    customer = another(SandboxOptions(timings=SLOW, pushes={NAME: listener.url}))
    customer.send(msg(1))

    customer.post(package("delete", asked(id=1)))

    assert [told(call) for call in listener.wait_for(1)] == [{"id": "1", "status": "DELETED"}]


def test_a_reset_forgets_what_was_to_be_told(customer: Customer, listener: Listener) -> None:
    listen(customer, listener.url)
    customer.send(msg(1))

    customer.http.post("/sandbox/reset")

    assert customer.see("pushes")[NAME] is None
    listen(customer, listener.url)
    customer.send(msg(2))
    assert told_ids(listener, 1)[-1] == "2"


@pytest.mark.parametrize(
    ("put", "why"),
    [
        ([], "pushes are an object: provider to URL or null"),
        ({"post": "http://a/"}, "'post' pushes nothing; there are alphasms-xml, "),
        ({NAME: "ftp://a/"}, "the URL of alphasms-xml must begin with http:// or https://"),
        ({NAME: 5}, "the URL of alphasms-xml must begin with http:// or https://"),
    ],
)
def test_a_listener_that_is_none_is_refused(customer: Customer, put: object, why: str) -> None:
    response = customer.http.post("/sandbox/pushes", json=put)

    assert (response.status_code, response.json()["error"][: len(why)]) == (400, why)
    assert customer.see("pushes")[NAME] is None


# -- faults


def push_fault(customer: Customer, do: str, **more: object) -> None:
    customer.script({"do": do, "when": {"provider": NAME, "command": "push"}, **more})


def test_twice(customer: Customer, listener: Listener) -> None:
    push_fault(customer, "twice")
    listen(customer, listener.url)
    customer.send(msg(1))

    assert told_ids(listener, 2) == ["1", "1"]
    done = eventually(lambda: receipts(customer), lambda seen: seen["acknowledged"] == 1)
    assert done == {"pushed": 2, "acknowledged": 1, "given_up": 0}


def test_late(customer: Customer, listener: Listener) -> None:
    push_fault(customer, "late", seconds=0.2, times=1)
    listen(customer, listener.url)
    customer.send(msg(1))
    shown = customer.see("messages/1")

    listener.wait_for(1)

    assert customer.see("faults")[0]["hits"] == 1
    assert eventually(lambda: customer.code(1), lambda code: code == 102)
    assert shown["end"] == "delivered"


def test_unknown(customer: Customer, listener: Listener) -> None:
    push_fault(customer, "unknown", count=2)
    listen(customer, listener.url)
    customer.send(msg(1))

    first, *strange = told_ids(listener, 3)

    assert first == "1"
    assert {int(one) > 9 * 10**14 for one in strange} == {True}


def test_early(another: Another, listener: Listener) -> None:
    customer = another(SandboxOptions(mix=ALL_DELIVERED, timings=SLOW, pushes={NAME: listener.url}))
    push_fault(customer, "early", times=1)
    seen_before_the_answer: list[Told] = []

    def answered(told: Told) -> tuple[int, bytes]:
        seen_before_the_answer.append(told)
        return 200, b""

    listener.answer = answered

    assert codes(customer.send(msg(1), msg(2, "+380931110002"))) == [1, 1]

    assert [told(call) for call in seen_before_the_answer] == [
        {"id": "1", "status": "DELIVERED"},
        {"id": "2", "status": "DELIVERED"},
    ]
    assert receipts(customer) == {"pushed": 2, "acknowledged": 2, "given_up": 0}
    assert customer.see("faults")[0]["hits"] == 1
