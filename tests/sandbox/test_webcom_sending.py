"""webcom's reports on recipients: texts in two languages, client ids used once, money, the script."""

import re
from typing import Any

import pytest

from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.outcomes import Mix
from bulk_dispatch.sandbox.provider import Orders
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.sandbox.webcom.texts import ERRORS, REFUSALS, Refusal
from tests.sandbox.webcom_shop import HEADERS, NOON, Shop, Told, abonent, id_of, request, sms, told, viber

SAMPLE = """<?xml version="1.0" encoding="utf-8"?>
<request>
  <security><token value="sandbox-key"/></security>
  <message type_send_1="viber" type_send_2="sms" type="sms">
    <sender_viber>ShopVib</sender_viber><text_viber>Order 18 is ready</text_viber>
    <button_viber>Open</button_viber><action_viber>https://shop.example/18</action_viber>
    <sender>ShopNews</sender><text>Order 18 is ready: shop.example/18</text>
    <abonent phone="380931110001" number_sms="1" client_id_sms="700001"
             validity_period_viber="2031-03-04 12:00:00" validity_period="2031-03-05 09:00:00"/>
    <abonent phone="380931110002" number_sms="2" client_id_sms="700002" time_send="2031-03-04 09:30"/>
  </message>
  <message type_send_1="sms" type="sms">
    <sender>ShopNews</sender><text>See you at ten</text>
    <abonent phone="380931110003" number_sms="3" client_id_sms="700003"/>
  </message>
</request>"""
MINIFIED = re.sub(r"\s*\n\s*", " ", SAMPLE).replace("> <", "><")


def test_the_sample_of_the_sheet_gets_the_sample_answer() -> None:
    shop = Shop(stop_list=frozenset({"380931110003"}))

    reply = shop.post("/xml", MINIFIED)

    first = int(id_of(told(reply)[0]))
    assert reply.body.decode() == (
        '<?xml version="1.0" encoding="utf-8"?>\n<response>'
        f'<information number_sms="1" id_sms="{first}" parts="1">send</information>'
        f'<information number_sms="2" id_sms="{first + 1}" parts="1">send</information>'
        '<information number_sms="3">Phone number is on the stop list</information></response>'
    )


def test_the_sample_as_it_is_printed_has_line_breaks() -> None:
    assert Shop().post("/xml", SAMPLE).status == 400


# name: number of the table, message, options
REFUSED: dict[str, tuple[int, str, dict[str, Any]]] = {
    "the gateway is out of SMS": (1, sms(), {"money": 0, "no_money": 1}),
    "out of SMS": (2, sms(), {"money": 0}),
    "a blocked account": (3, sms(), {"blocked": True}),
    "no phone": (4, sms('<abonent number_sms="1"/>'), {}),
    "an empty phone": (4, sms(abonent(phone="")), {}),
    "a phone with a plus": (4, sms(abonent(phone="+380931110001")), {}),
    "a phone with blanks": (4, sms(abonent(phone="380 931110001")), {}),
    "a phone of letters": (4, sms(abonent(phone="CALLME")), {}),
    "a phone in other digits": (4, sms(abonent(phone="٣٨٠٩٣١١١٠٠٠١")), {}),
    "a phone that is not international": (4, sms(abonent(phone="0931110001")), {}),
    "on the stop list": (5, sms(), {"stop_list": frozenset({"380931110001"})}),
    "closed for you": (6, sms(), {"closed_for_you": "380", "closed": "380"}),
    "closed": (7, sms(), {"closed": "380"}),
    "refused by the mix": (7, sms(), {"mix": Mix(refused=1)}),
    "rejected by the moderator": (8, sms(text="Casino tonight"), {"forbidden": "(?i)casino"}),
    "rejected by the moderator in Viber": (8, viber(), {"forbidden": "Order"}),
    "no sender": (9, sms().replace("<sender>ShopNews</sender>", ""), {}),
    "an empty sender": (9, sms().replace("ShopNews", " "), {}),
    "no Viber sender": (9, viber().replace("<sender_viber>ShopVib</sender_viber>", ""), {}),
    "no SMS sender behind Viber": (9, viber(fallback=True).replace("<sender>ShopNews</sender>", ""), {}),
    "a sender of 12 letters": (10, sms().replace("ShopNews", "ShopNewsToda"), {}),
    "a sender of 16 digits": (10, sms().replace("ShopNews", "3" * 16), {}),
    "a phone of 15 digits": (11, sms(abonent(phone="3" * 15)), {}),
    "no text": (12, sms(text=""), {}),
    "a blank text": (12, sms(text=" "), {}),
    "a text of a line break": (12, sms(text="\\n"), {}),
    "no Viber text": (12, viber().replace("Order 18 is ready", ""), {}),
    "no SMS text behind Viber": (12, viber(fallback=True).replace("<text>Order 18</text>", ""), {}),
    "a WAP-push without a text": (12, sms(kind="wappush", text="", inner="<url>https://s.example</url>"), {}),
    "a WAP-push without a link": (13, sms(kind="wappush"), {}),
    "a button without a link": (13, viber(inner="<button_viber>Open</button_viber>"), {}),
    "a card without a name": (14, sms(kind="vcard", text="", inner="<email>a@b.example</email>"), {}),
    "a card with a name only": (14, sms(kind="vcard", text="", inner="<name>Ann</name>"), {}),
    "a card with empty fields": (14, sms(kind="vcard", inner='<name>Ann</name><phone cell=""/>'), {}),
    "an unknown sender": (15, sms(), {"senders": frozenset({"Other"})}),
    "an unknown Viber sender": (15, viber(), {"senders": frozenset({"ShopNews"})}),
    "a sender in Cyrillic": (15, sms().replace("ShopNews", "Магазин"), {}),
    "an unmoderated sender": (16, sms(), {"unmoderated": frozenset({"ShopNews"})}),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refused_recipient_has_a_text_and_no_id(name: str) -> None:
    number, message, options = REFUSED[name]
    english, russian = REFUSALS[Refusal(number)]

    shop = Shop(**options)
    assert shop.send(message) == [Told("information", {"number_sms": "1"}, english)]
    assert (shop.taken(), shop.provider.account.tally("webcom-xml").refused) == (0, 1)
    assert Shop(**options, language="russian").report(message) == russian


# As the sheet has them; an ellipsis stands for anything.
FRAGMENTS = {
    1: ("we have run out of sms…contact your manager", "у нас закончились sms"),
    2: ("out of sms", "закончились sms"),
    3: ("account blocked", "аккаунт заблокирован"),
    4: ("specify phone number", "укажите номер телефона"),
    5: ("on the stop list", "в стоп-листе"),
    6: ("this destination is closed for you", "данное направление закрыто для вас"),
    7: ("this destination is closed", "данное направление закрыто"),
    8: ("rejected by moderator", "отклонен модератором"),
    9: ("no sender", "нет отправителя"),
    10: ("sender must not exceed 15…11", "отправитель не должен превышать"),
    11: ("phone number must be less than 15", "номер телефона должен быть меньше 15"),
    12: ("no message text", "нет текста сообщения"),
    13: ("no link", "нет ссылки"),
    14: ("contact name and at least one parameter", "название контакта"),
    15: ("there is no such sender", "такого отправителя нет"),
    16: ("sender has not been moderated", "отправитель не прошел модерацию"),
    17: ("insufficient funds…it will be sent once you top up", "недостаточно средств…будет отправлена"),
    18: ("already sent", "уже было отправлено"),
    19: ("more than one identical request within a minute", "более одного одинакового запроса"),
}  # fmt: skip


@pytest.mark.parametrize("number", FRAGMENTS)
@pytest.mark.parametrize("language", [0, 1])
def test_each_text_has_its_fragment_and_no_other(number: int, language: int) -> None:
    """But for 1 within 2, and 6 within 7, as the sheet warns."""
    text = REFUSALS[Refusal(number)][language].lower()
    patterns = {
        each: ".*".join(map(re.escape, both[language].split("…"))) for each, both in FRAGMENTS.items()
    }

    found = {each for each, pattern in patterns.items() if re.search(pattern, text)}

    assert found == {number} | {1: {2}, 6: {7}}.get(number, set())


def test_document_errors_have_their_fragments() -> None:
    assert {error.value: words[0].lower() for error, words in ERRORS.items()} == {
        "format": "incorrect xml document format",
        "login": "incorrect login or password",
        "no data": "post data is missing",
        "blocked": "account is blocked",
        "identical": "more than one identical request within a minute",
    }


FINE_SENDERS = ["S", "ShopNews-24", "Shop News.a", "380", "3" * 15]


@pytest.mark.parametrize("sender", FINE_SENDERS)
def test_these_senders_will_do(sender: str) -> None:
    assert Shop().report(sms().replace("ShopNews", sender)) == "send"


@pytest.mark.parametrize(
    ("text", "more", "parts"),
    [
        ("x" * 160, "", "1"),
        ("x" * 161, "", "2"),
        ("x" * 307, "", "3"),
        ("€" * 81, "", "2"),  # two places each
        ("ж" * 70, "", "1"),
        ("ж" * 71, "", "2"),
        ("ж" * 135, "", "3"),
        ("😀" * 36, "", "2"),  # two units each
        ("x" * 159 + "\\n", "", "1"),  # the two characters are one line break
        ("ж" * 160, "<translite>1</translite>", "1"),
        ("ж" * 71, "<translite>0</translite>", "2"),
    ],
)
def test_parts_are_charged_by_alphabet_and_length(text: str, more: str, parts: str) -> None:
    [line] = Shop().send(sms(text=text, inner=more))

    assert line.attributes["parts"] == parts


def test_one_bad_recipient_does_not_spoil_the_others() -> None:
    lines = Shop().send(sms(abonent(1), abonent(2, "+1"), abonent(3)), sms(abonent(9), text="Other"))

    assert [(one.attributes["number_sms"], one.text) for one in lines] == [
        ("1", "send"), ("2", "Specify phone number"), ("3", "send"), ("9", "send"),
    ]  # fmt: skip


def test_without_number_sms_an_answer_has_none() -> None:
    [line] = Shop().send(sms('<abonent phone="380931110001"/>'))

    assert line.attributes.keys() == {"id_sms", "parts"}


class TestRepeats:
    """`client_id_sms` (sheet section 3)."""

    def test_the_same_document_gets_the_same_ids(self) -> None:
        shop = Shop()
        message = sms(abonent(1, client_id_sms=7), abonent(2, "380931110002", client_id_sms=8))

        assert shop.send(message) == shop.send(message)
        tally = shop.provider.account.tally("webcom-xml")
        assert (tally.taken, tally.repeats, tally.twice) == (2, 2, 0)

    def test_numbers_and_order_may_differ(self) -> None:
        shop = Shop()
        first, second = shop.send(sms(abonent(1, client_id_sms=7), abonent(2, client_id_sms=8)))

        again = shop.send(sms(abonent(1, client_id_sms=8)), viber(abonent(2, client_id_sms=7)))

        assert [(one.attributes["number_sms"], id_of(one)) for one in again] == [
            ("1", id_of(second)), ("2", id_of(first)),
        ]  # fmt: skip

    def test_within_a_document_too(self) -> None:
        shop = Shop()

        first, second = shop.send(sms(abonent(1, client_id_sms=7), abonent(2, client_id_sms=7)))

        assert id_of(first) == id_of(second)
        assert shop.taken() == 1

    def test_a_newer_release_says_that_it_was_sent(self) -> None:
        shop = Shop(repeat="text")
        shop.send(sms(abonent(client_id_sms=7)))

        [again] = shop.send(sms(abonent(client_id_sms=7)))

        assert again == Told("information", {"number_sms": "1"}, "This message was already sent")

    def test_or_both(self) -> None:
        shop = Shop(repeat="both")
        [first] = shop.send(sms(abonent(client_id_sms=7)))

        [again] = shop.send(sms(abonent(client_id_sms=7)))

        assert (id_of(again), again.text) == (id_of(first), "This message was already sent")

    def test_a_refused_one_does_not_use_up_its_id(self) -> None:
        shop = Shop()
        shop.send(sms(abonent(client_id_sms=7), text=""))

        assert shop.report(sms(abonent(client_id_sms=7))) == "send"
        assert shop.taken() == 1

    def test_a_used_id_is_told_even_if_the_repeat_would_be_refused(self) -> None:
        shop = Shop()
        [first] = shop.send(sms(abonent(client_id_sms=7)))

        [again] = shop.send(sms(abonent(phone="?", client_id_sms=7), text=""))

        assert (id_of(again), again.text) == (id_of(first), "send")

    def test_without_an_id_there_is_no_protection(self) -> None:
        shop = Shop()

        assert shop.send(sms()) != shop.send(sms())
        assert shop.provider.account.tally("webcom-xml").twice == 1

    def test_a_gateway_that_keeps_no_count_sends_again(self) -> None:
        shop = Shop(take_repeats=True)

        assert shop.send(sms(abonent(client_id_sms=7))) != shop.send(sms(abonent(client_id_sms=7)))
        tally = shop.provider.account.tally("webcom-xml")
        assert (tally.taken, tally.repeats, tally.twice) == (2, 0, 1)


class TestIdentical:
    """The same document within a minute, where the installation minds."""

    def test_the_second_is_not_looked_at(self) -> None:
        shop = Shop(identical_seconds=60)
        shop.send(sms(abonent(client_id_sms=7)))
        shop.now += 59

        [again] = shop.send(sms(abonent(client_id_sms=7)))

        assert (again.attributes, again.text) == ({"number_sms": "1"}, REFUSALS[Refusal.IDENTICAL].english)

    def test_after_the_minute_it_is(self) -> None:
        shop = Shop(identical_seconds=60)
        [first] = shop.send(sms(abonent(client_id_sms=7)))
        shop.now += 30
        shop.send(sms(abonent(client_id_sms=7)))  # does not begin the minute anew
        shop.now += 30

        assert shop.send(sms(abonent(client_id_sms=7))) == [first]

    def test_another_document_is_another(self) -> None:
        shop = Shop(identical_seconds=60)
        [first] = shop.send(sms(abonent(1, client_id_sms=7)))

        [again] = shop.send(sms(abonent(2, client_id_sms=7)))

        assert id_of(again) == id_of(first)

    def test_by_default_nobody_minds(self) -> None:
        shop = Shop()

        assert [shop.report(sms()), shop.report(sms())] == ["send", "send"]


class TestMoney:
    """Texts 1, 2 and 17."""

    def test_as_long_as_it_lasts(self) -> None:
        shop = Shop(money=2.5)

        lines = shop.send(sms(abonent(1), abonent(2), abonent(3)))

        assert [one.text for one in lines] == ["send", "send", "Out of SMS"]

    def test_parts_are_paid(self) -> None:
        shop = Shop(money=10, price=1.5)
        shop.send(sms(text="x" * 161), viber(abonent(2)))

        [money, *_] = shop.ask("balance")

        assert (money.tag, money.text) == ("money", "5.50")

    def test_some_installations_take_it_and_wait(self) -> None:
        shop = Shop(money=0, no_money=17)

        [line] = shop.send(sms(abonent(client_id_sms=7)))
        [again] = shop.send(sms(abonent(client_id_sms=7)))
        shop.now += 1000

        assert line == again
        assert (line.attributes["parts"], line.text) == ("1", REFUSALS[Refusal.WAITS_FOR_MONEY].english)
        assert shop.taken() == 1
        assert shop.state(id_of(line)) == [
            Told("state", {"id_sms": id_of(line), "time": "", "sms": "send"}, "send")
        ]
        assert shop.news() == []
        account = shop.provider.account
        assert account.by_state("webcom-xml", shop.now) == {"waiting": 1}
        record = account.by_own_id(7)
        assert record is not None
        assert record.shown(shop.now)["final_at"] is None

    def test_after_a_top_up_the_oldest_go_first(self) -> None:
        shop = Shop(money=0, no_money=17)
        ids = [id_of(one) for one in shop.send(sms(abonent(1), abonent(2), abonent(3)))]
        shop.now += 1000

        shop.provider.top_up(2, shop.now)
        shop.now += 10

        assert [one.text for one in shop.state(*ids)] == ["deliver", "deliver", "send"]
        assert [news.at for news in shop.news()] == [NOON + 1010] * 2
        assert shop.ask("balance")[0].text == "0"
        assert shop.report(sms()) == REFUSALS[Refusal.WAITS_FOR_MONEY].english


class TestOrders:
    """What the script of faults wants of a share of the recipients."""

    def test_they_are_refused_and_not_taken(self) -> None:
        shop = Shop()

        lines = shop.send(sms(*map(abonent, range(4))), orders=Orders(code=8, share=0.5))

        assert [one.text for one in lines] == ["SMS text rejected by moderator", "send"] * 2
        assert shop.taken() == 2

    def test_any_text_may_be_meant(self) -> None:
        assert Shop().send(sms(), orders=Orders(code="Try later"))[0].text == "Try later"
        assert Shop().send(sms(), orders=Orders(code=777))[0].text == "777"

    @pytest.mark.parametrize(("code", "has_id"), [(17, True), (18, False)])
    def test_texts_that_mean_taken_are_true(self, code: int, has_id: bool) -> None:
        shop = Shop()

        [line] = shop.send(sms(), orders=Orders(code=code))

        assert line.text == REFUSALS[Refusal(code)].english
        assert ("id_sms" in line.attributes) is has_id
        assert shop.taken() == 1


def test_the_digest_is_of_what_the_person_sees() -> None:
    shop = Shop()
    wap_push = sms(abonent(4), kind="wappush", inner="<url>https://s.example</url>")
    card = sms(abonent(5), kind="vcard", text="", inner='<name>Ann</name><phone work="2" cell="1"/>')
    messages = [sms(text="one\\ntwo"), viber(abonent(2)), viber(abonent(3), fallback=True), wap_push, card]

    shop.send(*messages)

    rows = shop.provider.account.deliveries("webcom-xml")
    phone = "380931110001"
    by_viber = content_digest(phone, "ShopVib", "Order 18 is ready")
    assert [digest for _, _, digest, _ in rows] == [
        content_digest(phone, "ShopNews", "one\ntwo"),
        by_viber,
        by_viber,
        content_digest(phone, "ShopNews", "See you at ten", "https://s.example"),
        content_digest(phone, "ShopNews", "Ann\n1\n2"),
    ]


def test_untidy_installations_pad_their_texts() -> None:
    shop = Shop(untidy=True, newer=True)

    reply = shop.post("/xml", request(sms(abonent(1), abonent(2, ""))), HEADERS)

    taken, refused = told(reply)
    assert (taken.text, refused.text) == (" send ", " Specify phone number. ")
    assert taken.attributes.keys() == {"number_sms", "id_sms", "parts", "id_turn"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"read": -0.1},
        {"read": 0.9, "link": 0.2},
        {"partly": 1.1},
        {"identical_seconds": -1},
        {"price": -1},
        {"page_items": 0},
        {"push_items": 0},
    ],
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        WebcomOptions(**wrong)
