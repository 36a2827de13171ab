"""AlphaSMS over plain HTTP: every sample of the sheet's section 10, every trap, and what it refuses."""

import time
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.alphasms.account import Taken
from bulk_dispatch.sandbox.alphasms.codes import State
from bulk_dispatch.sandbox.alphasms.http_handlers import http_state
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.alphasms.provider import alphasms
from bulk_dispatch.sandbox.outcomes import Mix
from bulk_dispatch.sandbox.provider import Call, Orders
from bulk_dispatch.sandbox.server import SandboxOptions, Timings
from tests.sandbox.conftest import ALL_DELIVERED, Another
from tests.sandbox.customer import KEY, Customer, asked, codes, eventually, lines, msg, package

SMS = {"from": "ShopNews", "to": "380931110001", "message": "Hello"}
VIBER = {
    "to": "380931110001", "viber": "1", "viber_type": "text", "viber_message": "Hello",
    "viber_from": "ShopVib",
}  # fmt: skip
BUTTON = {
    "viber_type": "button", "viber_image": "https://shop.example/a.png", "viber_button": "Open",
    "viber_url": "https://shop.example/",
}  # fmt: skip
SLOW = Timings(first=3600, final=(7200, 7200))


def call(customer: Customer, command: str, drop: str = "", /, **given: str) -> str:
    """By GET, with the key; the whole answer."""
    parameters = {"version": "http", "key": KEY, "command": command, **given}
    parameters.pop(drop, None)
    response = customer.http.get("/api/http.php", params=parameters)
    assert response.status_code == 200
    return response.text


def pairs(answer: str) -> dict[str, str]:
    """Of an answer whose values have no blanks."""
    return dict(pair.split(":", 1) for pair in answer.split())


def send(customer: Customer, **given: str) -> str:
    """Its id."""
    return pairs(call(customer, "send", **{**SMS, **given}))["id"]


def later(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(time.time() + seconds))


def test_send_answers_with_an_id_and_a_count(customer: Customer) -> None:
    answer = pairs(call(customer, "send", **{**SMS, "message": "x" * 161}))

    assert answer == {"id": answer["id"], "sms_count": "2"}
    assert customer.see("counts?provider=alphasms-http")["taken"] == 1
    assert customer.see("deliveries")[0][2] == content_digest("380931110001", "ShopNews", "x" * 161)


def test_post_takes_a_form(customer: Customer) -> None:
    form = {"login": "shop", "pass": "s3same", "command": "send", **SMS, "message": "Привіт & бувай"}

    response = customer.http.post("/api/http.php", data=form)

    assert response.text.startswith("id:")
    assert customer.see("deliveries")[0][2] == content_digest("380931110001", "ShopNews", "Привіт & бувай")


def test_the_old_clients_password_does_too(customer: Customer) -> None:
    assert call(customer, "balance", "key", login="shop", password="s3same").startswith("balance:")


def test_a_repeat_sends_again(customer: Customer) -> None:
    first, second = send(customer), send(customer)

    assert int(second) == int(first) + 1
    counts = customer.counts()
    assert (counts["taken"], counts["twice"], counts["repeats_refused"]) == (2, 1, 0)


def test_the_local_form_is_international_to_the_account(customer: Customer) -> None:
    send(customer, to="0931110001")

    assert customer.see("deliveries")[0][1] == "380931110001"


@pytest.mark.parametrize("more", [{}, {"flash": "1"}, {"flash": "0"}, {"wap": "https://shop.example/"}])
def test_kinds_of_messages(customer: Customer, more: dict[str, str]) -> None:
    number = send(customer, **more)

    [(seen, _)] = lines(customer.post(package("status", asked(sms_id=number))))
    assert seen["sms_id"] == number  # one account: what one door has taken, the other knows
    link = more.get("wap", "")
    assert customer.see("deliveries")[0][2] == content_digest("380931110001", "ShopNews", "Hello", link)


def test_receive_tells_the_code_in_pairs_parted_by_blanks(customer: Customer) -> None:
    number = send(customer)

    answer = eventually(lambda: call(customer, "receive", id=number), lambda seen: "code:3 " in seen)

    code, status, at = answer.split(" ")
    assert (code, status) == ("code:3", "status:Delivered")
    assert at.startswith("status_time:20")
    assert at.count(":") == 3  # split on the first one only
    assert at[-5] in "+-"


def test_an_installation_that_parts_pairs_by_lines(another: Another) -> None:
    choices = AlphasmsOptions(pairs="line", language="russian", count="smd_count")
    customer = another(SandboxOptions(mix=ALL_DELIVERED, timings=SLOW, alphasms=choices))

    sent = call(customer, "send", **SMS)
    number = sent.split("\n")[0].removeprefix("id:")
    code, status, at = call(customer, "receive", id=number).split("\n")

    assert sent == f"id:{number}\nsmd_count:1"
    assert (code, status) == ("code:0", "status:В очереди")
    assert at.startswith("status_time:20")
    assert at[16] == "/"
    assert " " in at


def test_receive_knows_what_came_by_xml(customer: Customer) -> None:
    [(taken, _)] = lines(customer.send(msg(1)))

    assert call(customer, "receive", id=taken["sms_id"]).startswith("code:")


def test_a_scheduled_message_waits_and_can_be_deleted(customer: Customer) -> None:
    number = send(customer, ask_date=later(3600))
    assert call(customer, "receive", id=number).startswith("code:0 ")

    assert call(customer, "delete", id=number).startswith("code:10 ")

    assert call(customer, "receive", id=number).startswith("code:10 status:Deleted ")
    assert call(customer, "delete", id=number).startswith("code:10 ")
    assert customer.counts()["by_state"] == {"deleted": 1}


def test_what_is_not_scheduled_can_not_be_deleted(customer: Customer) -> None:
    assert call(customer, "delete", id=send(customer)) == "errors:SMS can not be deleted"


def test_balance_and_price(customer: Customer) -> None:
    assert call(customer, "balance") == "balance:1000000000.0"
    assert call(customer, "price", to="380931110001") == "price:0.91 currency:UAH"

    send(customer)

    assert call(customer, "balance") == f"balance:{1e9 - 0.91!r}"


def test_both_doors_spend_the_same_money(another: Another) -> None:
    customer = another(SandboxOptions(alphasms=AlphasmsOptions(money=1.5)))

    assert codes(customer.send(msg(1))) == [1]
    send(customer)

    assert call(customer, "send", **SMS) == "errors:Not enough money"
    assert codes(customer.send(msg(2))) == [206]


# -- Viber

VIBER_FINE: dict[str, dict[str, str]] = {
    "a text": {},
    "a picture": {"viber_type": "image", "viber_image": "https://shop.example/a.gif"},
    "a button": BUTTON,
    "the shortest lifetime": {"viber_lifetime": "60"},
    "the longest lifetime": {"viber_lifetime": "86400"},
    "with a fallback": {"viber_sms": "1", "from": "ShopNews", "message": "Hello by SMS"},
    "scheduled": {"ask_date": "2031-03-04T09:30:00+0200"},
}


@pytest.mark.parametrize("name", VIBER_FINE)
def test_viber_is_taken(customer: Customer, name: str) -> None:
    given = {**VIBER, **VIBER_FINE[name]}

    assert call(customer, "send", **given).startswith("id:")
    assert customer.see("deliveries")[-1][2] == content_digest("380931110001", "ShopVib", "Hello")


@pytest.mark.parametrize(("lifetime", "end"), [("60", State.EXPIRED), ("86400", State.DELIVERED)])
def test_a_viber_message_lives_so_long(lifetime: str, end: State) -> None:
    _, http = alphasms(SandboxOptions(mix=ALL_DELIVERED, timings=SLOW), None)
    query = urlencode({"key": KEY, "command": "send", **VIBER, "viber_lifetime": lifetime})
    now = 1_900_000_000

    http.answer(http.read(Call("GET", "/api/http.php", query.encode(), {}, b"")), Orders(), now)

    [record] = http.account.records("alphasms-http")
    assert (record.state(now + 59), record.state(now + 7200)) == (State.ACCEPTED, end)


# -- states


def taken(end: State, number: int = 1, kind: str = "0") -> Taken:
    return Taken(None, number, "", "", kind, 1, 0, 0, begin_at=10, first_at=20, final_at=40, end=int(end))


@pytest.mark.parametrize(
    ("record", "codes_in_time"),
    [
        (taken(State.DELIVERED), [0, 0, 1, 2, 3]),
        (taken(State.DELIVERED, number=2), [0, 0, 1, 2, 3]),
        (taken(State.DELIVERED, kind="viber"), [0, 0, 1, 2, 3]),
        (taken(State.DELIVERED, number=2, kind="viber"), [0, 0, 1, 2, 116]),
        (taken(State.EXPIRED), [0, 0, 1, 5, 96]),
        (taken(State.UNDELIVERABLE), [0, 0, 1, 2, 99]),
        (taken(State.REJECTED), [0, 0, 1, 2, 95]),
    ],
)
def test_codes_of_receive(record: Taken, codes_in_time: list[int]) -> None:
    assert [http_state(record, now) for now in (0, 10, 20, 30, 40)] == codes_in_time


# -- what is refused

WRONG: dict[str, tuple[str, dict[str, str], str]] = {
    "a bad key": ("send", {**SMS, "key": "guess"}, "errors:Wrong login or password"),
    "key and login": ("balance", {"login": "shop", "pass": "s3same"}, "errors:Wrong login or password"),
    "an unknown command": ("sned", SMS, "errors:Unknown command"),
    "a bad version": ("send", {**SMS, "version": "ftp"}, "errors:Wrong version"),
    "a bad number": ("send", {**SMS, "to": "38093"}, "errors:Enter a valid receiver number"),
    "a bad sender": ("send", {**SMS, "from": "Магазин"}, "errors:Wrong sender"),
    "a long sender": ("send", {**SMS, "from": "abcdefghijkl"}, "errors:Wrong sender"),
    "an empty text": ("send", {**SMS, "message": " "}, "errors:Wrong length or kind of message"),
    "a link without a text": (
        "send",
        {**SMS, "message": "", "wap": "https://a.example/"},
        "errors:Parameter message is missing",
    ),
    "a long text": ("send", {**SMS, "message": "x" * 1531}, "errors:Wrong length or kind of message"),
    "a long link": (
        "send",
        {**SMS, "wap": "https://a.example/" + "x" * 90},
        "errors:Wrong length or kind of message",
    ),
    "all of it": (
        "send",
        {"from": "x", "to": "1", "message": " "},
        "errors:Wrong sender\nerrors:Enter a valid receiver number\nerrors:Wrong length or kind of message",
    ),
    "an own id": ("send", {**SMS, "id": "5"}, "errors:Unknown parameter id"),
    "flash of letters": ("send", {**SMS, "flash": "yes"}, "errors:Wrong flash"),
    "flash and wap": (
        "send",
        {**SMS, "flash": "1", "wap": "http://a/"},
        "errors:wap and flash exclude each other",
    ),
    "a date with a colon in its zone": (
        "send",
        {**SMS, "ask_date": "2031-03-04T09:30:00+02:00"},
        "errors:Wrong ask_date",
    ),
    "a date without a zone": ("send", {**SMS, "ask_date": "2031-03-04T09:30:00"}, "errors:Wrong ask_date"),
    "the date of the sample": (
        "send",
        {**SMS, "ask_date": "ISO-8601:2031-03-04T09:30:00+0200"},
        "errors:Wrong ask_date",
    ),
    "the 31 November": ("send", {**SMS, "ask_date": "2031-11-31T09:30:00+0200"}, "errors:Wrong ask_date"),
    "Viber parameters alone": (
        "send",
        {**SMS, "viber_from": "ShopVib"},
        "errors:viber_from goes with viber=1",
    ),
    "Viber without a sender": (
        "send",
        {"to": "380931110001", "viber": "1"},
        "errors:Parameter viber_from is missing",
    ),
    "Viber with flash": ("send", {**VIBER, "flash": "1"}, "errors:SMS parameters go with viber_sms=1, and"),
    "Viber with a text for nobody": (
        "send",
        {**VIBER, "message": "x"},
        "errors:SMS parameters go with viber_sms=1, and",
    ),
    "Viber too long": (
        "send",
        {**VIBER, "viber_message": "x" * 1001},
        "errors:Wrong length or kind of message",
    ),
    "a caption too long": (
        "send",
        {**VIBER, **BUTTON, "viber_button": "x" * 20},
        "errors:Wrong length or kind",
    ),
    "a button without a link": ("send", {**VIBER, **BUTTON, "viber_url": ""}, "errors:Wrong length or kind"),
    "a life too short": ("send", {**VIBER, "viber_lifetime": "59"}, "errors:Wrong viber_lifetime"),
    "a life too long": ("send", {**VIBER, "viber_lifetime": "86401"}, "errors:Wrong viber_lifetime"),
    "a fallback without a text": (
        "send",
        {**VIBER, "viber_sms": "1", "from": "ShopNews"},
        "errors:Parameter message is",
    ),
    "a fallback of a bad sender": (
        "send",
        {**VIBER, "viber_sms": "1", "from": "x", "message": "x"},
        "errors:Wrong sender",
    ),
    "an id nobody has": ("receive", {"id": "9"}, "errors:SMS not found"),
    "an id of letters": ("receive", {"id": "abc"}, "errors:SMS not found"),
    "no id": ("receive", {}, "errors:Parameter id is missing"),
    "nothing to delete": ("delete", {"id": "9"}, "errors:SMS not found"),
    "a price of nothing": ("price", {}, "errors:Enter a valid receiver number"),
    "a price of a word": ("price", {"to": "Anna"}, "errors:Enter a valid receiver number"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_bad_call_is_answered_with_errors(customer: Customer, name: str) -> None:
    command, given, told = WRONG[name]

    assert call(customer, command, **given).startswith(told)
    assert customer.taken() == 0


@pytest.mark.parametrize("name", ["from", "to", "message"])
def test_nothing_may_be_left_out_of_send(customer: Customer, name: str) -> None:
    assert call(customer, "send", name, **SMS).startswith("errors:")


def raw(customer: Customer, query: str) -> httpx.Response:
    return customer.http.get(f"/api/http.php?{query}")


@pytest.mark.parametrize(
    "query",
    [
        f"key={KEY}&command=balance&command=send",
        f"key={KEY}&command=balance&x",
        f"key={KEY}&command=send&from=ShopNews&to=380931110001&message=%ff",
        "",
    ],
)
def test_what_is_no_form(customer: Customer, query: str) -> None:
    assert raw(customer, query).text.startswith("errors:")
    assert customer.taken() == 0


def test_a_plus_in_the_query_is_a_blank(customer: Customer) -> None:
    query = urlencode({"key": KEY, "command": "send", **SMS})

    assert raw(customer, query.replace("to=3809", "to=+3809")).text == "errors:Enter a valid receiver number"
    assert raw(customer, query.replace("to=3809", "to=%2B3809")).text.startswith("id:")


@pytest.mark.parametrize(
    "how", [{"content": b"command=balance"}, {"json": {"key": KEY, "command": "balance"}}]
)
def test_a_post_that_is_no_form(customer: Customer, how: dict[str, Any]) -> None:
    assert customer.http.post("/api/http.php", **how).text == "errors:Wrong login or password"


def test_a_post_with_parameters_in_its_address(customer: Customer) -> None:
    query = urlencode({"key": KEY, "command": "send", **SMS})

    assert customer.http.post(f"/api/http.php?{query}").text == "errors:Wrong login or password"
    assert customer.taken() == 0


def test_requests_are_counted_by_command(customer: Customer) -> None:
    send(customer)
    call(customer, "receive", id="9")
    call(customer, "nonsense")
    raw(customer, "")

    assert customer.see("counts?provider=alphasms-http")["requests"] == {
        "send": 1, "receive": 1, "unknown": 1, "unreadable": 1,
    }  # fmt: skip


# -- faults

FAULTED: list[tuple[dict[str, Any], int, str]] = [
    ({"do": "message_code", "code": 206}, 0, "errors:Not enough money"),
    ({"do": "message_code", "code": "No such luck"}, 0, "errors:No such luck"),
    ({"do": "error", "code": "login"}, 0, "errors:Wrong login or password"),
    ({"do": "error", "code": "command", "take": True}, 1, "errors:Unknown command"),
    ({"do": "unknown_code"}, 1, "errors:Error 777"),
    ({"do": "missing"}, 1, ""),
    ({"do": "wrong_root"}, 1, '{"result": "id:'),
    ({"do": "wrong_encoding"}, 1, "i\0d\0:"),
    ({"do": "html"}, 1, "<html>"),
]


@pytest.mark.parametrize(("fault", "count", "told"), FAULTED, ids=[rule["do"] for rule, _, _ in FAULTED])
def test_faults_of_send(customer: Customer, fault: dict[str, Any], count: int, told: str) -> None:
    customer.script({**fault, "when": {"provider": "alphasms-http", "command": "send"}, "times": 1})

    answer = call(customer, "send", **SMS)

    assert told in answer.replace("�", "")
    assert bool(told) == bool(answer)
    assert customer.taken() == count
    assert call(customer, "send", **SMS).startswith("id:")


def test_receive_may_lie(customer: Customer) -> None:
    number = send(customer)
    customer.script({"do": "unknown_code", "when": {"command": "status"}})

    assert call(customer, "receive", id=number).startswith("code:777 ")


def test_a_rule_for_one_provider_leaves_the_other_alone(customer: Customer) -> None:
    customer.script({"do": "empty", "when": {"provider": "alphasms-http", "command": "send"}})

    assert codes(customer.send(msg(1))) == [1]
    assert call(customer, "send", **SMS) == ""


def test_a_rule_for_send_meets_every_way_of_sending(customer: Customer) -> None:
    customer.script({"do": "http", "when": {"command": "send", "recipient": "+380931110001"}})

    assert customer.send(msg(1)).status_code == 500
    assert customer.send(msg(1), command="message-async").status_code == 500
    assert (
        customer.http.get("/api/http.php", params={"key": KEY, "command": "send", **SMS}).status_code == 500
    )
    assert call(customer, "balance").startswith("balance:")
    assert customer.see("faults")[0]["hits"] == 3


def test_refused_people_are_refused_here_too(another: Another) -> None:
    customer = another(SandboxOptions(mix=Mix(refused_recipients="^38067")))

    assert call(customer, "send", **{**SMS, "to": "380670000001"}) == "errors:Enter a valid receiver number"
