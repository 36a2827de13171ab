"""Viber, links, deleting, balance and prices over XML, and money (sheet sections 3.5 to 3.8, 5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.sax.saxutils import escape

import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.alphasms.options import AlphasmsOptions
from bulk_dispatch.sandbox.server import SandboxOptions, Timings
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, asked, codes, error, eventually, lines, msg, package, xml

SLOW = SandboxOptions(timings=Timings(first=3600, final=(7200, 7200)))
UNDER_WAY = SandboxOptions(timings=Timings(first=0, final=(7200, 7200)))
PICTURE, LINK = "https://shop.example/a.png", "https://shop.example/?a=1&b=2"
BUTTON = {"type": "button", "image": PICTURE, "button": "Open", "url": LINK}


def viber(own: object, /, drop: str = "", attributes: str = "", **more: str) -> str:
    """One `<msg>` of `message-viber`; all parts a text needs have defaults."""
    parts = {"phone": "+380931110001", "sender": "ShopVib", "type": "text", "text": "Hello", **more}
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in parts.items() if name != drop)
    return f'<msg id="{own}"{attributes}>{inner}</msg>'


def send_viber(customer: Customer, *msgs: str) -> list[int]:
    return codes(customer.send(*msgs, command="message-viber"))


def at(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat(timespec="seconds")


def balance(customer: Customer) -> Decimal:
    answer = xml(customer.post(package("balance", "")))
    assert answer.findtext("balance/currency") == "UAH"
    return Decimal(answer.findtext("balance/amount") or "")


# -- Viber


def test_viber_is_answered_by_msg_id_and_without_a_count(customer: Customer) -> None:
    (good, one), (bad, other) = lines(
        customer.send(viber(1), viber(2, phone="+38093"), command="message-viber")
    )

    assert (one, other) == (1, 203)
    assert good == {"id": "1", "msg_id": good["msg_id"]}
    assert int(good["msg_id"]) > 0
    assert bad == {"id": "2", "msg_id": "0"}


def test_a_viber_message_is_asked_for_by_either_id(customer: Customer) -> None:
    [(taken, _)] = lines(customer.send(viber(1), command="message-viber"))

    (by_id, _), (by_number, _) = lines(
        customer.post(package("status", asked(id=1) + asked(sms_id=taken["msg_id"])))
    )

    assert by_id == by_number
    assert (by_id["id"], by_id["sms_id"]) == ("1", taken["msg_id"])
    assert "sms_count" not in by_id
    eventually(lambda: customer.code(1), lambda code: code == 102)


def test_sms_and_viber_share_their_ids(customer: Customer) -> None:
    customer.send(msg(1))

    assert send_viber(customer, viber(1), viber(2), viber(2)) == [208, 1, 208]
    assert codes(customer.send(msg(2))) == [208]


def test_the_same_viber_text_counts_as_sent_twice(customer: Customer) -> None:
    send_viber(customer, viber(1), viber(2), viber(3, text="Other"))

    assert customer.counts()["twice"] == 1
    digest = content_digest("+380931110001", "ShopVib", "Hello")
    assert customer.see("deliveries")[0] == [1, "+380931110001", digest, 1]


def test_a_scheduled_viber_message_waits(customer: Customer) -> None:
    send_viber(customer, viber(1, attributes=f' date_beg="{at(hours=1)}"'))

    assert customer.code(1) == 100


VIBER_REFUSED = {
    "id of letters": (viber("x"), 201),
    "no sender": (viber(1, drop="sender"), 202),
    "sender too long": (viber(1, sender="abcdefghijkl"), 202),
    "no phone": (viber(1, drop="phone"), 203),
    "no text": (viber(1, drop="text"), 204),
    "text too long": (viber(1, text="x" * 1001), 204),
    "no type": (viber(1, drop="type"), 204),
    "another type": (viber(1, type="video"), 204),
    "picture in a text": (viber(1, image=PICTURE), 204),
    "button in a text": (viber(1, button="Open", url=LINK), 204),
    "no picture": (viber(1, type="image"), 204),
    "picture of another kind": (viber(1, type="image", image="https://shop.example/a.bmp"), 204),
    "button without a caption": (viber(1, **{**BUTTON, "button": ""}), 204),
    "caption too long": (viber(1, **{**BUTTON, "button": "x" * 20}), 204),
    "button without a link": (viber(1, **{**BUTTON, "url": ""}), 204),
    "button without a picture": (viber(1, **{**BUTTON, "image": ""}), 204),
}


@pytest.mark.parametrize("name", VIBER_REFUSED)
def test_a_bad_viber_message_is_refused_alone(customer: Customer, name: str) -> None:
    bad, code = VIBER_REFUSED[name]

    assert send_viber(customer, bad, viber(2)) == [code, 1]


VIBER_FINE = {
    "the longest text": viber(1, text="ж" * 1000),
    "a picture": viber(1, type="image", image="https://shop.example/a.JPEG"),
    "a button": viber(1, **BUTTON),
    "the longest caption": viber(1, **{**BUTTON, "button": "x" * 19}),
    "a picture with a button, as in the vendor's sample": viber(1, **{**BUTTON, "type": "image"}),
    "no id": viber(1).replace(' id="1"', ""),
}


@pytest.mark.parametrize("name", VIBER_FINE)
def test_viber_as_the_sheet_allows_it_is_taken(customer: Customer, name: str) -> None:
    assert send_viber(customer, VIBER_FINE[name]) == [1]


BAD_VIBER = {
    "no messages": "",
    "SMS attributes": msg(1),
    "a validity": viber(1, attributes=f' date_end="{at(hours=1)}"'),
    "an unknown part": viber(1, lifetime="60"),
    "a part twice": viber(1).replace("</msg>", "<text>Hello</text></msg>"),
    "a part with attributes": viber(1).replace("<text>", '<text lang="en">'),
    "a part with children": viber(1).replace("Hello", "<b>Hello</b>"),
    "words between parts": viber(1).replace("<text>", "and <text>"),
    "words between messages": viber(1) + "and" + viber(2),
}


@pytest.mark.parametrize("name", BAD_VIBER)
def test_a_bad_viber_document_is_refused_as_a_whole(customer: Customer, name: str) -> None:
    assert error(customer.send(BAD_VIBER[name], command="message-viber")) == 201


# -- times and links


@pytest.mark.parametrize("command", ["message", "message-async"])
def test_both_ways_of_sending_take_times_and_links(customer: Customer, command: str) -> None:
    scheduled = msg(1, date_beg=at(hours=1), date_end=at(hours=2))
    link = msg(2, text="", type="2", url=LINK)
    with_words = msg(3, "+380931110003", text="Look", type="2", url=LINK)

    customer.send(scheduled, link, with_words, command=command)

    eventually(lambda: customer.status(1, 2, 3), lambda seen: codes(seen) == [100, 102, 102])
    digests = [digest for _, _, digest, _ in customer.see("deliveries")]
    assert digests[1:] == [
        content_digest("380931110001", "ShopNews", "", LINK),
        content_digest("380931110003", "ShopNews", "Look", LINK),
    ]


# -- deleting


def delete(customer: Customer, *by: str) -> list[tuple[dict[str, str], int]]:
    return lines(customer.post(package("delete", "".join(by))))


def test_what_has_not_left_is_deleted(another: Another) -> None:
    customer = another(SLOW)
    [(taken, _)] = lines(customer.send(msg(1)))
    customer.send(msg(2, "+380931110002", date_beg=at(hours=1)))

    deleted = delete(customer, asked(sms_id=taken["sms_id"]), asked(id=2))

    assert [code for _, code in deleted] == [104, 104]
    assert deleted[0][0].keys() == {"id", "sms_id", "sms_count", "date_completed"}
    assert codes(customer.status(1, 2)) == [104, 104]
    assert [code for _, code in delete(customer, asked(id=1))] == [104]  # harmless to repeat
    assert customer.counts()["by_state"] == {"deleted": 2}
    assert customer.counts()["taken"] == 2


def test_told_to_it_answers_as_another_client_reads_the_pages(another: Another) -> None:
    """alphasms-client 0.1.3 looks for what became of a `delete` within `<status>`, writes numbers as they are
    dialled in Ukraine, and takes a phone number for a sender."""
    readings = AlphasmsOptions(delete_in="status", local_numbers=True, number_senders=True)
    customer = another(replace(SLOW, alphasms=readings))

    sent = customer.send(msg(1, "0931110001", sender="+380671112233"), msg(2, "0441112233"))
    deleted = customer.post(package("delete", asked(id=1)))

    assert codes(sent) == [1, 1]
    assert [child.tag for child in xml(deleted)] == ["status"]
    assert codes(deleted) == [104]
    first, *_ = (digest for _, _, digest, _ in customer.see("deliveries"))
    assert first == content_digest("380931110001", "+380671112233", "Hello")


def test_by_its_own_reading_neither_is_taken(another: Another) -> None:
    customer = another(SLOW)

    sent = customer.send(msg(1, sender="+380671112233"))
    deleted = customer.post(package("delete", asked(id=1)))

    assert codes(sent) == [202]
    assert [child.tag for child in xml(deleted)] == ["delete"]


def test_under_way_it_can_not_be_deleted(another: Another) -> None:
    customer = another(UNDER_WAY)
    customer.send(msg(1))

    assert [code for _, code in delete(customer, asked(id=1))] == [211]
    assert codes(customer.status(1)) == [110]


def test_deleting_too_late_tells_how_it_ended(customer: Customer) -> None:
    customer.send(msg(1))
    eventually(lambda: customer.code(1), lambda code: code == 102)

    assert [code for _, code in delete(customer, asked(id=1))] == [102]


def test_what_nobody_sent_can_not_be_deleted(customer: Customer) -> None:
    assert [code for _, code in delete(customer, asked(id=9), asked(sms_id=9))] == [201, 201]


# -- money


def test_each_segment_costs_and_the_balance_is_noisy(another: Another) -> None:
    customer = another(SandboxOptions(alphasms=AlphasmsOptions(money=1, price=0.3)))
    customer.send(msg(1), msg(2, text="x" * 161), msg(3, recipient="?"))

    assert balance(customer) != Decimal("0.1")
    assert round(balance(customer), 6) == Decimal("0.1")


@pytest.mark.slow
def test_without_money_messages_are_refused_with_206(another: Another) -> None:
    customer = another(SandboxOptions(alphasms=AlphasmsOptions(money=1, price=0.9, viber_price=0.5)))

    assert codes(customer.send(msg(1), msg(2), msg(3))) == [1, 1, 206]
    assert send_viber(customer, viber(4)) == [206]
    assert round(balance(customer), 6) == Decimal("-0.8")
    assert codes(customer.send(msg(1))) == [208]
    job = customer.submit(msg(5))
    eventually(lambda: customer.job(job)[1], lambda status: status == "COMPLETE")
    assert customer.code(5) == 206


def test_a_reset_brings_the_money_back(another: Another) -> None:
    customer = another(SandboxOptions(alphasms=AlphasmsOptions(money=0.5)))
    assert codes(customer.send(msg(1), msg(2))) == [1, 206]

    customer.http.post("/sandbox/reset")

    assert balance(customer) == Decimal("0.5")


def test_prices_are_those_of_a_segment_and_nought_for_no_number(customer: Customer) -> None:
    answer = xml(customer.post(package("prices", "<phone>+380931110001</phone><phone>12</phone>")))

    assert [(one.text, one.attrib) for one in answer.iter("phone")] == [
        ("+380931110001", {"price": "0.91", "currency": "UAH"}),
        ("12", {"price": "0", "currency": "UAH"}),
    ]
