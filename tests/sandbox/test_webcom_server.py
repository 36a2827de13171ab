"""webcom over HTTP: the script of faults, pushes that must be acknowledged one by one, kill -9."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.server import SandboxOptions
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from tests.sandbox import listener
from tests.sandbox.conftest import ALL_DELIVERED, QUICK, Another
from tests.sandbox.customer import PATIENCE, Customer, eventually
from tests.sandbox.process import started
from tests.sandbox.webcom_shop import HEADERS, TOKEN, abonent, request, sms, viber

WEBCOM = {"provider": "webcom-xml"}
OPTIONS = SandboxOptions(mix=ALL_DELIVERED, timings=QUICK)
TWO = sms(abonent(1, client_id_sms=7), abonent(2, "380931110002", client_id_sms=8))


@pytest.fixture
def shop(another: Another) -> Customer:
    return another(OPTIONS)


def post(customer: Customer, inner: str, path: str = "/xml") -> httpx.Response:
    return customer.http.post(path, content=request(inner).encode(), headers=HEADERS)


def inside(response: httpx.Response) -> list[ET.Element]:
    """The elements of a good answer."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/xml; charset=utf-8"
    root = ET.fromstring(response.content)
    assert root.tag == "response"
    return list(root)


def texts(response: httpx.Response) -> list[str]:
    return [one.text or "" for one in inside(response)]


def ids(response: httpx.Response) -> list[str]:
    return [one.attrib["id_sms"] for one in inside(response)]


def states(customer: Customer, *asked: str) -> list[str]:
    inner = "".join(f"<id_sms>{one}</id_sms>" for one in asked)
    return texts(post(customer, f"<get_state>{inner}</get_state>", "/xml/state.php"))


def test_a_message_goes_from_sent_to_delivered(shop: Customer) -> None:
    numbers = ids(post(shop, TWO))

    eventually(lambda: states(shop, *numbers), lambda seen: seen == ["deliver", "deliver"])

    counts = shop.counts()["by_provider"]["webcom-xml"]
    assert (counts["taken"], counts["twice"], counts["refused"]) == (2, 0, 0)
    assert counts["by_state"] == {"deliver": 2}
    assert counts["requests"]["send"] == 1
    assert shop.see("deliveries?provider=webcom-xml") == [
        [7, "380931110001", content_digest("380931110001", "ShopNews", "See you at ten"), 1],
        [8, "380931110002", content_digest("380931110002", "ShopNews", "See you at ten"), 1],
    ]
    assert shop.see("messages/7?provider=webcom-xml")["state"] == "deliver"


def test_both_addresses_answer_and_neither_redirects(shop: Customer) -> None:
    assert [ids(post(shop, TWO, path)) for path in ("/xml", "/xml/")] == [ids(post(shop, TWO))] * 2


def test_other_paths_and_methods_are_not_there(shop: Customer) -> None:
    assert shop.http.get("/xml").status_code == 405
    assert post(shop, "", "/xml/state.php/").status_code == 404
    assert post(shop, "", "/xml/incoming.php").status_code == 404


def test_what_waits_for_money_can_be_shown(another: Another) -> None:
    shop = another(replace(OPTIONS, webcom=WebcomOptions(money=0, no_money=17)))
    post(shop, TWO)

    assert shop.see("messages/7?provider=webcom-xml")["state"] == "waiting"
    assert shop.counts()["by_provider"]["webcom-xml"]["by_state"] == {"waiting": 2}


# The script


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"do": "message_code", "code": 5, "share": 0.5}, ["Phone number is on the stop list", "send"]),
        ({"do": "message_code", "code": "Try later"}, ["Try later", "Try later"]),
        ({"do": "unknown_code", "code": 777}, ["777", "777"]),
        ({"do": "missing"}, ["send"]),
        ({"do": "extra", "count": 2}, ["send"] * 4),
        ({"do": "duplicate_items"}, ["send"] * 4),
        ({"do": "wrong_order"}, ["send", "send"]),
    ],
)
def test_items_of_an_answer_can_be_spoilt(shop: Customer, fault: dict[str, Any], expected: list[str]) -> None:
    shop.script({"when": {**WEBCOM, "command": "send"}, **fault})

    assert texts(post(shop, TWO)) == expected


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"do": "message_code", "code": "Try later", "share": 0.5}, ["Try later", "send"]),
        ({"do": "unknown_code", "code": "lost"}, ["lost", "lost"]),
        ({"do": "missing"}, ["send"]),
        ({"do": "extra"}, ["send"] * 3),
    ],
)
def test_so_can_states(another: Another, fault: dict[str, Any], expected: list[str]) -> None:
    shop = another(replace(OPTIONS, timings=replace(QUICK, final=(60, 60))))
    numbers = ids(post(shop, TWO))
    shop.script({"when": {**WEBCOM, "command": "status"}, **fault})

    assert states(shop, *numbers) == expected


def test_so_can_what_was_deleted(shop: Customer) -> None:
    [number] = ids(post(shop, sms(abonent(time_send="2036-03-04 13:00"))))
    delete = f'<delete_schedule><schedule id_sms="{number}"/></delete_schedule>'
    shop.script({"when": {**WEBCOM, "command": "scheduled"}, "do": "extra"})

    answered = post(shop, delete, "/xml/scheduled.php")

    assert texts(answered) == ["delete", "delete"]
    assert ids(answered)[0] == number


def test_the_order_of_an_answer_can_be_wrong(shop: Customer) -> None:
    shop.script({"when": WEBCOM, "do": "wrong_order"})

    assert [one.get("number_sms") for one in inside(post(shop, TWO))] == ["2", "1"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("format", "Incorrect XML document format"),
        ("login", "Incorrect login or password"),
        ("no data", "POST data is missing"),
        ("blocked", "Account is blocked"),
        ("identical", "More than one identical request within a minute"),
    ],
)
def test_a_document_can_fail_for_a_reason_of_the_script(shop: Customer, code: str, text: str) -> None:
    shop.script({"when": WEBCOM, "do": "error", "code": code})

    response = post(shop, TWO)

    assert (response.status_code, ET.fromstring(response.content).findtext("error")) == (400, text)
    assert shop.taken() == 0


@pytest.mark.parametrize("fault", ["drop_after", "cut"])
def test_an_answer_lost_after_the_sending_can_be_had_again(shop: Customer, fault: str) -> None:
    shop.script({"do": fault, "times": 1})

    with pytest.raises(httpx.RemoteProtocolError):
        post(shop, TWO)

    assert texts(post(shop, TWO)) == ["send", "send"]
    counts = shop.counts()
    assert (counts["taken"], counts["repeats_refused"], counts["twice"]) == (2, 2, 0)


FAULTS = ["truncated", "wrong_root", "html", "empty", "wrong_encoding", "deep", "doctype", "throttle", "http"]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_can_be_no_answer(shop: Customer, fault: str) -> None:
    shop.script({"when": WEBCOM, "do": fault, **({"levels": 50} if fault == "deep" else {})})

    response = post(shop, TWO)

    good = b'<?xml version="1.0" encoding="utf-8"?>\n<response><information number_sms="1" id_sms='
    assert response.status_code != 200 or not response.content.startswith(good) or fault == "truncated"
    assert shop.taken() == (0 if fault in {"throttle", "http"} else 2)


# Pushes


class Ear:
    """Somebody to tell states to, who acknowledges as the test says."""

    def __init__(self) -> None:
        self.heard: SimpleQueue[tuple[str, str]] = SimpleQueue()  # id_sms and state, as they come
        self.calls = 0
        self.ignored: Counter[str] = Counter()  # how often an id is not to be acknowledged

    def hear(self, told: listener.Told) -> tuple[int, bytes]:
        """One call; the answer."""
        self.calls += 1
        taken = []
        for one in ET.fromstring(told.body):
            number = one.attrib["id_sms"]
            self.heard.put((number, one.text or ""))
            if self.ignored[number]:
                self.ignored[number] -= 1
            else:
                taken.append(f"<id_sms>{number}</id_sms>")
        return 200, f"<response>{''.join(taken)}</response>".encode()

    def get(self, count: int) -> list[tuple[str, str]]:
        """What has been told, once it is so much."""
        return [self.heard.get(timeout=PATIENCE) for _ in range(count)]


@contextmanager
def listening() -> Iterator[tuple[str, Ear]]:
    """Its URL, and itself."""
    ear = Ear()
    with listener.listening() as told:
        told.answer = ear.hear
        yield told.url, ear


def test_states_are_pushed_several_a_call(another: Another) -> None:
    with listening() as (url, ear):
        shop = another(replace(OPTIONS, timings=replace(QUICK, final=(0.1, 0.1)), pushes={"webcom-xml": url}))
        numbers = ids(post(shop, sms(*(abonent(one, f"3809311100{one}") for one in range(10, 30)))))

        told = ear.get(20)
        eventually(lambda: shop.counts()["receipts"]["acknowledged"], lambda seen: seen == 20)

    assert sorted(told) == [(number, "deliver") for number in numbers]
    assert ear.calls < 20


def test_viber_tells_twice(another: Another) -> None:
    with listening() as (url, ear):
        shop = another(
            replace(OPTIONS, pushes={"webcom-xml": url}, webcom=WebcomOptions(read=1, link=0, unsubscribe=0))
        )
        [number] = ids(post(shop, viber()))

        assert ear.get(2) == [(number, "deliver"), (number, "read")]


@pytest.mark.slow
def test_only_what_was_not_acknowledged_comes_again(another: Another) -> None:
    with listening() as (url, ear):
        shop = another(OPTIONS)
        set_url = f'<get_state type="set">{url}</get_state>'
        assert texts(post(shop, set_url, "/xml/get_state.php")) == [url]
        first, second = ids(post(shop, sms(abonent(1), abonent(2, time_send="2036-01-01 00:00"))))
        ear.ignored[first] = 1

        told = ear.get(2)
        eventually(lambda: shop.counts()["receipts"]["acknowledged"], lambda seen: seen == 1)

    assert told == [(first, "deliver")] * 2
    assert ear.heard.empty()
    assert second != first


def test_the_script_reaches_pushes(another: Another) -> None:
    with listening() as (url, ear):
        shop = another(replace(OPTIONS, pushes={"webcom-xml": url}))
        shop.script({"when": {**WEBCOM, "command": "push"}, "do": "unknown", "count": 3, "times": 1})
        [number] = ids(post(shop, sms()))

        told = ear.get(4)

    assert [state for _, state in told] == ["deliver"] * 4
    assert Counter(one for one, _ in told)[number] == 1


@pytest.mark.slow
def test_after_kill_9_it_knows_what_it_took(tmp_path: Path) -> None:
    with started(tmp_path / "journal") as first:
        numbers = ids(post(first.customer, TWO))
        first.end(signal.SIGKILL)

    with started(tmp_path / "journal") as second:
        again = post(second.customer, TWO)
        counts = second.customer.counts()

    assert ids(again) == numbers
    assert (counts["taken"], counts["repeats_refused"], counts["twice"]) == (2, 2, 0)


def test_the_token_alone_opens_the_door(shop: Customer) -> None:
    body = request(TWO).replace(TOKEN, '<token value="guess"/>').encode()

    response = shop.http.post("/xml", content=body, headers=HEADERS)

    assert (response.status_code, ET.fromstring(response.content).findtext("error")) == (
        400,
        "Incorrect login or password",
    )
