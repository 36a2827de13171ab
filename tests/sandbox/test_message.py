"""`message`: a report for each, own ids used once, and the counts that tell twice from never."""

import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.server import Mix, SandboxOptions
from tests.sandbox.conftest import Another
from tests.sandbox.customer import Customer, codes, lines, msg, xml

SAMPLE = """<?xml version="1.0" encoding="utf-8"?>
<package key="sandbox-key">
  <message>
    <msg id="700001" recipient="+380931110001" sender="ShopNews" type="0">Your order 18 is ready</msg>
    <msg id="700002" recipient="+380931110002" sender="ShopNews" type="0"
         date_beg="2031-03-04T09:30:00+02:00" date_end="2031-03-04T21:00:00+02:00">See you at ten</msg>
    <msg id="700003" recipient="+38093" sender="ShopNews" type="0">bad number</msg>
  </message>
</package>"""


def test_the_sample_of_the_sheet_gets_the_sample_answer(customer: Customer) -> None:
    response = customer.post(SAMPLE)

    (first, one), (second, two), (third, three) = lines(response)
    assert (one, two, three) == (1, 1, 203)
    assert first == {"id": "700001", "sms_id": first["sms_id"], "sms_count": "1"}
    assert int(second["sms_id"]) == int(first["sms_id"]) + 1
    assert third == {"id": "700003", "sms_id": "0", "sms_count": "0"}
    assert [child.tag for child in xml(response)] == ["message"]


def test_login_and_password_do_in_place_of_the_key(customer: Customer) -> None:
    body = SAMPLE.replace('key="sandbox-key"', 'login="shop" password="s3same"')

    assert codes(customer.post(body)) == [1, 1, 203]


def test_an_own_id_is_taken_once(customer: Customer) -> None:
    customer.send(msg(1), msg(2))

    again = customer.send(msg(2), msg(3), msg(3))

    assert codes(again) == [208, 1, 208]
    assert lines(again)[0][0] == {"id": "2", "sms_id": "0", "sms_count": "0"}
    counts = customer.counts()
    assert (counts["taken"], counts["repeats_refused"], counts["refused"]) == (3, 2, 0)


def test_a_provider_that_keeps_no_count_of_ids_takes_them_again(another: Another) -> None:
    customer = another(SandboxOptions(take_repeats=True))
    customer.send(msg(1, text="one"), msg(2, text="two"))

    again = customer.send(msg(2, text="two"))

    assert codes(again) == [1]
    counts = customer.counts()
    assert (counts["taken"], counts["twice"], counts["repeats_refused"]) == (3, 1, 0)
    assert [times for *_, times in customer.http.get("/sandbox/deliveries").json()] == [1, 2]


def test_a_refused_message_does_not_use_up_its_id(customer: Customer) -> None:
    assert codes(customer.send(msg(1, recipient="nobody"))) == [203]

    assert codes(customer.send(msg(1))) == [1]


def test_a_used_id_is_told_even_if_the_repeat_would_be_refused(customer: Customer) -> None:
    customer.send(msg(1))

    assert codes(customer.send(msg(1, text=""))) == [208]


def test_the_same_message_under_two_ids_counts_as_sent_twice(customer: Customer) -> None:
    customer.send(msg(1, "+380931110001", "Hi"), msg(2, "+380931110002", "Hi"), msg(3, "+380931110001", "Ho"))
    assert customer.counts()["twice"] == 0

    customer.send(msg(4, "380931110001", "Hi"))  # the plus makes no difference to the person

    assert customer.counts()["twice"] == 1


def test_deliveries_list_what_went_out(customer: Customer) -> None:
    without_id = '<msg recipient="+380931110009" sender="ShopNews" type="0">Hi</msg>'
    customer.send(msg(1, text="Hi"), msg(2, recipient="?"), without_id, without_id)
    customer.send(msg(1, text="Hi"))

    digest = content_digest("+380931110001", "ShopNews", "Hi")
    unnamed = content_digest("+380931110009", "ShopNews", "Hi")
    assert customer.see("deliveries") == [
        [1, "+380931110001", digest, 1],
        [None, "+380931110009", unnamed, 1],
        [None, "+380931110009", unnamed, 1],
    ]
    assert customer.counts()["twice"] == 1


def test_a_message_is_shown_by_its_own_id(customer: Customer) -> None:
    customer.send(msg(5, text="x" * 161))

    shown = customer.see("messages/5")

    assert (shown["own_id"], shown["segments"], shown["end"]) == (5, 2, "delivered")
    assert shown["taken_at"] < shown["first_at"] < shown["final_at"]
    assert "text" not in shown
    assert customer.http.get("/sandbox/messages/6").status_code == 404


def test_counts_tell_requests_and_the_largest_package(customer: Customer) -> None:
    customer.send(msg(1), msg(2), msg(3))
    customer.send(msg(4))
    customer.submit(msg(5), msg(6))
    customer.status(1)
    customer.post("<nonsense")
    customer.post('<package key="sandbox-key"><voice/></package>')

    counts = customer.counts()

    assert counts["requests"] == {
        "message": 2, "message-async": 1, "status": 1, "unreadable": 1, "unknown": 1,
    }  # fmt: skip
    assert (counts["largest_package"], counts["jobs"], counts["peak_parallel"]) == (3, 1, 1)


def test_after_a_reset_the_account_is_new(customer: Customer) -> None:
    [(before, _)] = lines(customer.send(msg(1)))
    customer.script({"do": "throttle"})

    customer.http.post("/sandbox/reset")

    assert customer.taken() == 0
    assert customer.see("faults") == []
    [(after, code)] = lines(customer.send(msg(1)))
    assert code == 1
    assert int(after["sms_id"]) > int(before["sms_id"])  # gateway numbers are never repeated


@pytest.mark.parametrize(
    ("mix", "refused"),
    [
        (Mix(refused_recipients="^38067"), {"+380670000001", "+380670000002"}),
        (Mix(refused=1), {"+380670000001", "+380670000002", "+380930000001"}),
        (Mix(), set[str]()),
    ],
)
def test_the_mix_may_refuse_recipients(another: Another, mix: Mix, refused: set[str]) -> None:
    customer = another(SandboxOptions(mix=mix))
    numbers = ["+380670000001", "+380670000002", "+380930000001"]

    answered = codes(customer.send(*(msg(own, number) for own, number in enumerate(numbers, 1))))

    assert answered == [203 if number in refused else 1 for number in numbers]
    assert customer.counts()["refused"] == len(refused)
