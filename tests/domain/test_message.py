"""Which messages are acceptable, what the refusal of others says, and what it must not say."""

import json
import sys
from datetime import UTC, datetime, timedelta, timezone
from inspect import signature
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_dispatch.domain.content import Kind, Viber, ViberSms
from bulk_dispatch.domain.doubt_policy import POLICIES, DoubtPolicy
from bulk_dispatch.domain.message import ClientIdConflict, Lane, Message, Said, differences
from bulk_dispatch.domain.validation import TEXT_LIMIT, MessageError, is_word_of_software, mask

NUMBER = "+380931110001"
TEXT = "Anna, the code is 471199"


def message(**others: Any) -> Message:
    return Message(
        **({"client_id": "order-18", "recipient": NUMBER, "sender": "ShopNews", "text": TEXT} | others)
    )


# --- what is refused -------------------------------------------------------------------------------------

NO_NAMES: list[object] = [
    None,
    18,
    1.5,
    b"x",
    True,
    [],
    "",
    " ",
    "\t",
    "\u00a0",
    "a\nb",
    "a\x00b",
    "a\x85b",
    "a\u2028b",
    "\ud800",
    "\uffff",
]

REFUSED: dict[str, list[object]] = {
    "client_id": [*NO_NAMES, "x" * 129, "\u200b", "None", " nan "],
    "sender": [*NO_NAMES, "x" * 16, " Shop", "Shop ", "Sh\u200bop", "nan", "#N/A"],
    "route": [*(name for name in NO_NAMES if name != ""), "x" * 65],
    "campaign": [*(name for name in NO_NAMES if name != ""), "x" * 129],
    "producer": [*(name for name in NO_NAMES if name != ""), "x" * 65],
    "text": [
        None,
        18,
        b"x",
        "",
        " ",
        "\n\n",
        "x" * (TEXT_LIMIT + 1),
        "a\x00b",
        "a\x08b",
        "a\x0bb",
        "a\x0cb",
        "a\x1bb",
        "a\x7fb",
        "a\ud800b",
        "a\ufffeb",
        "a\uffffb",
        "Hello {name}!",
        "nan",
    ],
    "recipient": [None, 380931110001, b"380931110001", "", " ", "+", "abc", "1" * 10_000],  # see test_numbers
    "literal": [None, "maybe", 2, 1.0, []],
    "kind": [None, "", "SMS", "mms", 1, [], {}],
    "lane": [None, "", "Bulk", "fast", 1, []],
    "valid_until": [
        "tomorrow",
        "2031-02-30T10:00:00+02:00",
        "2031-03-04T10:00:00",
        "2031-03-04",
        1_930_000_000,
        [],
        datetime(2031, 3, 4, 10, 0),  # noqa: DTZ001 - without a zone on purpose
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "2031-03-04T10.30+02:00",
        "2031-03-04T10:30:00+02:00:30.5",
        "2031-03-04T10:30 Europe/Nowhere",
    ],
    "send_at": ["now", "2031-03-04T10:00:00", 5],
    "viber_valid_until": ["never", 5],
    "content": ["text", {"text": "x"}, Kind.SMS],
    "in_doubt": ["ask", "repeat", "HOLD", "never", "hold ", 1, True, [], {}, DoubtPolicy.ASK],
}  # fmt: skip

CASES = [(field, value) for field, values in REFUSED.items() for value in values]


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda value: repr(value)[:30])
def test_a_bad_value_is_refused_by_the_name_of_its_field(field: str, value: object) -> None:
    with pytest.raises(MessageError, match=rf"^{field}: ") as problem:
        message(**{field: value})
    assert problem.value.field == field
    assert problem.value.problem
    assert len(str(problem.value)) < 300


@pytest.mark.parametrize(("field", "value"), CASES, ids=lambda value: repr(value)[:30])
def test_no_refusal_shows_a_text_or_a_whole_number(field: str, value: object) -> None:
    with pytest.raises(MessageError) as problem:
        message(**{field: value})
    shown = str(problem.value) + repr(problem.value)
    assert TEXT not in shown
    assert NUMBER not in shown
    if field == "recipient" and len(str(value)) > 6:
        assert str(value) not in shown
    if field == "text":
        assert str(value).strip() in ("", "None", "18", "nan") or str(value) not in shown


def test_every_field_that_can_be_wrong_is_in_the_table() -> None:
    assert REFUSED.keys() == set(signature(Message).parameters)


@pytest.mark.parametrize("bad", ["a\x00b", "a" * 500 + "\x1b" + "b"])
def test_a_control_character_is_named_by_its_place(bad: str) -> None:
    with pytest.raises(MessageError, match=r"U\+00(00 at 1|1B at 500)"):
        message(text=bad)


@pytest.mark.parametrize("field", ["client_id", "recipient", "sender", "text"])
def test_a_missing_field_is_named(field: str) -> None:
    values = message().as_dict()
    del values[field]
    with pytest.raises(MessageError, match=f"^{field}: is missing"):
        Message.from_dict(values)


@pytest.mark.parametrize("values", [None, "text", [1, 2], 7, [("text", "x")]], ids=repr)
def test_what_is_no_object_of_fields(values: Any) -> None:
    with pytest.raises(MessageError, match=r"^message: must be an object of fields"):
        Message.from_dict(values)


def test_an_unknown_field_is_named_with_those_there_are() -> None:
    with pytest.raises(MessageError, match=r"^sendr: is no field of a message; the fields are client_id, "):
        Message.from_dict(message().as_dict() | {"sendr": "x"})


@pytest.mark.parametrize("given", [{"sendr": "x"}, {"client_id": "a", "text": "Hello"}])
def test_what_was_refused_once_is_refused_again(given: dict[str, str]) -> None:
    for _ in range(2):
        with pytest.raises(MessageError):
            Message.from_dict(given)


def test_a_field_whose_name_is_a_number_or_a_text_is_not_repeated() -> None:
    # Given the first row of a file that lacks its header.
    for name in (NUMBER, NUMBER[1:], TEXT, "x" * 500):
        with pytest.raises(MessageError, match=r"^…: is no field") as problem:
            Message.from_dict(message().as_dict() | {name: "x"})
        assert name not in str(problem.value)


def test_a_field_that_has_no_name_at_all() -> None:
    # An application's csv.DictReader puts what is beyond the header under None.
    values: Any = message().as_dict() | {None: ["x"]}
    with pytest.raises(MessageError, match="is no field"):
        Message.from_dict(values)


def test_the_refusal_of_something_huge_is_short() -> None:
    names = ("client_id", "sender", "route", "campaign", "producer")
    for field in (*names, "kind", "lane", "valid_until", "recipient"):
        with pytest.raises(MessageError) as problem:
            message(**{field: "x" * 1_000_000})
        assert len(str(problem.value)) < 300


@pytest.mark.parametrize(
    "number",
    [380931110001, 380931110001.0, -380931110001, 10**4000],
    ids=["whole", "float", "negative", "huge"],
)
@pytest.mark.parametrize("field", ["client_id", "sender", "route", "kind", "lane", "in_doubt", "send_at"])
def test_no_refusal_shows_a_number_that_came_as_one(field: str, number: float) -> None:
    with pytest.raises(MessageError, match=rf"^{field}: .* got (int|float)$"):
        message(**{field: number})


@pytest.mark.parametrize("field", ["client_id", "recipient", "sender", "text", "kind", "lane", "in_doubt"])
def test_what_is_nested_as_deep_as_can_be_is_refused_like_any_other(field: str) -> None:
    deep: list[Any] = []
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]

    with pytest.raises(MessageError, match=f"^{field}: "):
        message(**{field: deep})


def test_a_message_error_is_a_value_error_with_its_parts() -> None:
    problem = MessageError("sender", "X", "is not yours")
    assert isinstance(problem, ValueError)
    assert (problem.field, problem.shown, problem.problem) == ("sender", "'X'", "is not yours")
    assert str(problem) == "sender: is not yours, got 'X'"


def test_a_conflict_names_the_client_id_and_what_differs() -> None:
    problem = ClientIdConflict("order-18", ("sender", "text"))
    assert problem.field == "client_id"
    assert problem.differences == ("sender", "text")
    assert "another sender, text" in str(problem)


# --- what is accepted ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("order-18 ", "order-18"),
        ("\ufefforder-18", "order-18"),
        ("order\u200b-18", "order-18"),
        ("cafe\u0301", "caf\u00e9"),
        ("\u00a0order 18\u00a0", "order 18"),
    ],
)
def test_ids_that_look_the_same_are_one(written: str, meant: str) -> None:
    assert message(client_id=written).client_id == meant


def test_a_number_of_a_country_is_read_if_the_country_is_named() -> None:
    values = message().as_dict() | {"recipient": "093 111 00 01"}

    assert Message.of(region="ua", **values).recipient == NUMBER
    assert Message.from_dict(values, region="UA").recipient == NUMBER
    with pytest.raises(MessageError, match="has no country code"):
        Message.from_dict(values)
    with pytest.raises(MessageError, match=r"^region: must be a country"):
        Message.from_dict(values, region="Ukraine")


# --- what is plainly not meant ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Hello {name}!", "Hello {{ name }}!", "Hello {{name|default('x')}}", "Hi ${first_name}",
        "Привіт, {ім'я}", "<NA>", "Hello nan!",
        "Hi *|FNAME|*", "Hi <%= name %>", "Hi %(name)s", "nan", "NaN", "None", "null", "undefined", " nan ",
        "#N/A", "｛name｝", "https://x.example/%7Bname%7D", "Hi [[name]]", "Hi <<name>>", "Hi %name%",
        "##name##", "Hi $(name)", "Hi <NA>", "Invalid Date", "#SPILL! x", "#BEZUG!", "Hi nan, you",
        "lost \ufffd letters",
        "Hi {{1}}", "{{ .Name }}", "{{#if x}}Hi{{/if}}", "Hi {$name}", "{% if x %}Hi",
        '{"name"}', "#REF!", "Pay #VALUE! now", "#Н/Д", "Line 1_x000D_\nLine 2", "Hi [object Object]",
    ],
)  # fmt: skip
def test_a_text_that_nobody_meant_is_refused_unless_it_is_literal(text: str) -> None:
    with pytest.raises(MessageError, match=r"^text: (holds|is) "):
        message(text=text)
    with pytest.raises(MessageError, match=r"^sms_text: "):
        message(text="", content=ViberSms("Hello", sms_text=text))
    insisted = message(text=text, literal=True)
    assert insisted.text == text
    assert Message.from_dict(insisted.as_dict()) == insisted


@pytest.mark.parametrize(
    "text",
    [
        "Use {} or {0}, or a lone { brace", "Your nan is here", "nan bread", "50% off, 100%", "a < b << c",
        "$5 (five)", "#sale #off", "None of them", "Banana, nano, finance", "Order #18", "a_x1 = 5",
        "50% (half) off", "5 < 6 %", "Nancy", "# 1", "{}", "} {",
    ],
)  # fmt: skip
def test_a_text_that_may_be_meant_goes(text: str) -> None:
    assert message(text=text).text == text


def test_what_stands_in_braces_is_shown_if_it_is_a_name_and_no_text_of_somebody() -> None:
    with pytest.raises(MessageError, match=r"holds '\{\{ name \}\}', which was not filled in"):
        message(text="Hello {{ name }}")
    with pytest.raises(MessageError) as problem:
        message(text="Hi {Ivan Petrenko, PIN 482913, ring +380671112233}")
    assert "a placeholder of " in str(problem.value)
    assert "Ivan" not in str(problem.value)
    with pytest.raises(MessageError) as problem:
        message(text="2026-12-01 9:00 Ivan, code 482913 {name}")
    assert "Ivan" not in str(problem.value)


@pytest.mark.parametrize(
    "written", ["2031-03-04", "01.12.2026 09:00", "2031/03/04 10:00", "2031-03-04T10.30+02:00"]
)
def test_an_instant_is_shown_as_it_was_given(written: str) -> None:
    with pytest.raises(MessageError) as problem:
        message(send_at=written)
    assert problem.value.shown == repr(written)


@pytest.mark.parametrize(("word", "meant"), [("true", True), ("1", True), ("", False), ("FALSE", False)])
def test_literal_may_be_said_in_words(word: str, meant: bool) -> None:
    assert message(literal=word).literal is meant


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("client_id", "x" * 128),
        ("client_id", "заказ 18/б"),
        ("sender", "x" * 15),
        ("sender", "A"),
        ("route", ""),
        ("route", "x" * 64),
        ("campaign", "весна"),
        ("producer", ""),
        ("producer", "п" * 64),
        ("text", "x" * TEXT_LIMIT),
        ("text", "a\n\tb \x85 \u2028 <&> ]]> 😀"),
        ("text", "\U0001fffe"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_stands_at_the_edge_is_kept_as_it_is(field: str, value: str) -> None:
    assert getattr(message(**{field: value}), field) == value


def test_words_become_members() -> None:
    made = message(kind="flash", lane="urgent", in_doubt="resend")
    assert made.in_doubt is DoubtPolicy.RESEND
    assert made.kind is Kind.FLASH
    assert made.lane is Lane.URGENT


@pytest.mark.parametrize(
    "written",
    [
        "2031-03-04T10:00:00+02:00",
        "2031-03-04T08:00:00Z",
        datetime(2031, 3, 4, 10, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=str,
)
def test_an_instant_is_brought_to_utc(written: object) -> None:
    made = message(valid_until=written).valid_until
    assert made == datetime(2031, 3, 4, 8, tzinfo=UTC)
    assert made is not None
    assert made.tzinfo is UTC


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_policy_of_its_own(nothing: object) -> None:
    made = message(in_doubt=nothing)
    assert made.in_doubt is None
    assert "in_doubt" not in made.as_dict()


def test_the_refusal_of_a_policy_names_those_there_are() -> None:
    with pytest.raises(MessageError, match=r"^in_doubt: must be one of hold, resend, fail, got 'ask'"):
        message(in_doubt="ask")


def test_an_hour_that_clocks_repeat_is_two_hours() -> None:
    """Such instants are equal to Python, so none may be taken for the other."""
    first = datetime(2026, 10, 25, 3, 30, tzinfo=ZoneInfo("Europe/Kyiv"))
    again = first.replace(fold=1)

    assert first == again
    assert message(send_at=first).send_at == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert message(send_at=again).send_at == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize("nothing", [None, ""])
def test_no_instant(nothing: object) -> None:
    assert message(valid_until=nothing).valid_until is None


def test_a_message_cannot_be_changed_once_checked() -> None:
    made = message()
    with pytest.raises(AttributeError):
        made.sender = ""  # type: ignore[misc]


# --- what is shown ---------------------------------------------------------------------------------------


def test_a_message_shows_neither_text_nor_number() -> None:
    shown = repr(message()) + str(message())
    assert TEXT not in shown
    assert NUMBER not in shown
    assert "order-18" in shown
    assert f"{len(TEXT)} characters" in shown


@given(st.from_regex(r"\+?[1-9][0-9]{6,14}", fullmatch=True))
def test_a_mask_hides_four_digits_of_any_number(number: str) -> None:
    masked = mask(number)
    before, after = masked.split("…")
    assert number.startswith(before)
    assert number.endswith(after)
    assert len(number) - len(before) - len(after) >= 4


@pytest.mark.parametrize("short", ["", "+", "123", "+38093"])
def test_what_is_too_short_for_a_number_may_be_shown(short: str) -> None:
    assert mask(short) == short


# --- there and back --------------------------------------------------------------------------------------

# Every character an application may hold; what a Message refuses of it is another test's business.
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=15).filter(
    lambda word: not is_word_of_software(word)
)
texts = st.text(st.characters(exclude_categories=["C"], include_characters="\n\r\t"), min_size=1).filter(
    lambda text: not text.isspace()
)
instants = st.datetimes(datetime(1900, 1, 1), datetime(9000, 1, 1), timezones=st.timezones())  # noqa: DTZ001
messages = st.builds(
    Message,
    client_id=words,
    recipient=st.from_regex(r"\+38093[0-9]{7}", fullmatch=True),
    sender=words,
    text=texts,
    kind=st.sampled_from([Kind.SMS, Kind.FLASH, Kind.VOICE]),
    lane=st.sampled_from(Lane),
    route=st.just("") | words,
    campaign=st.just("") | words,
    producer=st.just("") | words,
    valid_until=st.none() | instants,
    in_doubt=st.none() | st.sampled_from(POLICIES),
    literal=st.just(True),
)


@given(messages)
def test_a_message_travels_as_json_and_comes_back_the_same(made: Message) -> None:
    assert Message.from_dict(json.loads(json.dumps(made.as_dict()))) == made


@given(messages)
def test_what_is_empty_or_by_default_does_not_travel(made: Message) -> None:
    plain = made.as_dict()
    assert all(isinstance(value, str) and value for value in plain.values())
    assert "kind" not in plain or made.kind is not Kind.SMS
    assert "lane" not in plain or made.lane is not Lane.BULK


@given(messages)
def test_a_message_differs_from_itself_in_nothing(made: Message) -> None:
    assert differences(made.said, made.said) == ()


def test_a_text_that_differs_in_its_line_ends_alone_says_the_same() -> None:
    one, other = message(text="one\r\ntwo\rthree"), message(text="one\ntwo\nthree")
    assert one != other
    assert differences(one.said, other.said) == ()
    assert differences(one.said, message(text="one\n\ntwo\nthree").said) == ("text",)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"text": "other"}, ("text",)),
        ({"text": "other", "sender": "Other", "kind": "flash"}, ("kind", "sender", "text")),
        ({"recipient": "+380931110002"}, ("recipient",)),
        ({"recipient": "+38 (093) 111 00 01"}, ()),
        ({"lane": "urgent", "route": "b", "campaign": "c", "client_id": "d", "producer": "e"}, ()),
        ({"text": "", "content": Viber(TEXT)}, ("kind",)),
        (
            {"text": "", "content": Viber("other", button="Open", url="https://shop.example/")},
            ("kind", "text", "url", "button"),
        ),
    ],
    ids=str,
)
def test_only_what_the_recipient_would_notice_makes_a_difference(
    changes: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert differences(message().said, message(**changes).said) == expected


def test_what_was_entered_by_the_rules_of_another_year_can_still_be_compared() -> None:
    stored = Said("sms", "12", "A sender that is far too long", {"text": "a\x01b"})
    assert differences(message(text="x").said, stored) == ("recipient", "sender", "text")


def test_a_said_thing_is_printed_without_whom_it_is_for_and_what_it_says() -> None:
    printed = f"{message().said!r}"
    assert TEXT not in printed
    assert "38093" not in printed


# --- times ----------------------------------------------------------------------------------------------

NOON = datetime(2031, 3, 4, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("others", "field"),
    [
        ({"send_at": NOON, "valid_until": NOON}, "valid_until"),
        ({"send_at": NOON, "valid_until": NOON - timedelta(hours=1)}, "valid_until"),
        ({"viber_valid_until": NOON}, "viber_valid_until"),  # an SMS knows no Viber
        (
            {"text": "", "content": Viber("x"), "send_at": NOON, "viber_valid_until": NOON},
            "viber_valid_until",
        ),
    ],
    ids=str,
)
def test_times_that_contradict_each_other(others: dict[str, Any], field: str) -> None:
    with pytest.raises(MessageError, match=f"^{field}: "):
        message(**others)


def test_times_in_their_order() -> None:
    made = message(
        text="",
        content=Viber("x"),
        send_at="2031-03-04T14:00:00+02:00",
        viber_valid_until=NOON + timedelta(hours=1),
        valid_until=NOON + timedelta(hours=2),
    )
    assert made.send_at == NOON
    assert Message.from_dict(json.loads(json.dumps(made.as_dict()))) == made


# --- content --------------------------------------------------------------------------------------------


def test_a_content_and_a_text_are_one_too_many() -> None:
    with pytest.raises(MessageError, match=r"^text: is given twice"):
        message(content=Viber("x"))
    with pytest.raises(MessageError, match=r"^kind: contradicts the content, which is a viber"):
        message(text="", content=Viber("x"), kind="flash")
