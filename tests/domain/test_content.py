"""Each kind of content: what it holds, what it refuses, and that it travels."""

from typing import Any

import pytest

from bulk_dispatch.domain.content import (
    FIELDS,
    KINDS,
    Content,
    Flash,
    Kind,
    Ping,
    Sms,
    VCard,
    Viber,
    ViberSms,
    Voice,
    WapPush,
    content_of,
)
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.validation import MessageError

LINK = "https://shop.example/18"

GOOD: list[Content] = [
    Sms("Order 18 is ready"),
    Flash("Order 18 is ready"),
    Voice("Order eighteen is ready"),
    Ping(),
    WapPush(LINK),
    WapPush(LINK, "Our spring list"),
    VCard("Anna", cell="+380931110001"),
    VCard(
        "Anna", "1", "2", "3", "anna@shop.example", LINK, "Sales", "Shop", "18", "Main street 1", "Lviv",
        "Lvivska", "79000", "Ukraine", "Open until nine",
    ),
    Viber("Order 18 is ready"),
    Viber("Order 18 is ready", image=LINK + ".png"),
    Viber("Order 18 is ready", button="Open", url=LINK),
    Viber("x" * 1000, image=LINK + ".png", button="x" * 19, url=LINK),
    ViberSms("Order 18 is ready", sms_text="Order 18: ready"),
    ViberSms("Order 18", button="Open", url=LINK, sms_text="Order 18", sms_sender="ShopSms"),
]  # fmt: skip

BAD: list[tuple[Kind, dict[str, Any], str]] = [
    (Kind.SMS, {}, "text"),
    (Kind.SMS, {"text": ""}, "text"),
    (Kind.SMS, {"text": "x", "url": LINK}, "url"),
    (Kind.FLASH, {"text": "x" * 2001}, "text"),
    (Kind.PING, {"text": "x"}, "text"),
    (Kind.WAP, {"text": "x"}, "url"),
    (Kind.WAP, {"url": "shop.example"}, "url"),
    (Kind.WAP, {"url": "ftp://shop.example/"}, "url"),
    (Kind.WAP, {"url": "https://"}, "url"),
    (Kind.WAP, {"url": "https://[shop"}, "url"),
    (Kind.WAP, {"url": "https://shop.example/a b"}, "url"),
    (Kind.WAP, {"url": "javascript:alert(1)"}, "url"),
    (Kind.WAP, {"url": LINK + "x" * 1000}, "url"),
    (Kind.WAP, {"url": LINK, "text": "\x00"}, "text"),
    (Kind.VCARD, {"cell": "1"}, "name"),
    (Kind.VCARD, {"name": ""}, "name"),
    (Kind.VCARD, {"name": "Anna"}, "name"),
    (Kind.VCARD, {"name": "Anna", "email": "a\nb"}, "email"),
    (Kind.VCARD, {"name": "Anna", "city": "x" * 101}, "city"),
    (Kind.VCARD, {"name": "Anna", "url": "nowhere"}, "url"),
    (Kind.VIBER, {"text": "x" * 1001}, "text"),
    (Kind.VIBER, {"text": "x", "button": "Open"}, "url"),
    (Kind.VIBER, {"text": "x", "url": LINK}, "button"),
    (Kind.VIBER, {"text": "x", "button": "x" * 20, "url": LINK}, "button"),
    (Kind.VIBER, {"text": "x", "image": "picture.png"}, "image"),
    (Kind.VIBER, {"text": "x", "sms_text": "y"}, "sms_text"),
    (Kind.VIBER_SMS, {"text": "x"}, "sms_text"),
    (Kind.VIBER_SMS, {"text": "x", "sms_text": "y", "sms_sender": "x" * 16}, "sms_sender"),
    (Kind.VIBER_SMS, {"text": "x", "sms_text": 5}, "sms_text"),
    (Kind.VIBER, {"text": "x", "image": ["a"]}, "image"),
]


@pytest.mark.parametrize("content", GOOD, ids=lambda one: one.kind.value)
def test_it_travels_as_plain_fields_and_comes_back(content: Content) -> None:
    assert content_of(content.kind, content.as_dict()) == content
    made = Message(client_id="c", recipient="+380931110001", sender="Shop", content=content)
    assert Message.from_dict(made.as_dict()) == made
    assert content.as_dict().keys() <= set(FIELDS)


def test_every_kind_is_among_the_good() -> None:
    assert {content.kind for content in GOOD} == set(Kind) == KINDS.keys()


@pytest.mark.parametrize(("kind", "values", "field"), BAD, ids=str)
def test_what_is_refused_is_named(kind: Kind, values: dict[str, Any], field: str) -> None:
    with pytest.raises(MessageError) as problem:
        content_of(kind, values)
    assert problem.value.field == field
    assert len(str(problem.value)) < 300


def test_columns_that_a_line_does_not_use_may_be_there() -> None:
    """As in a table of messages of several kinds."""
    empty = dict.fromkeys(FIELDS, "")
    assert content_of("sms", {**empty, "text": "x"}) == Sms("x")
    assert content_of("viber", {**empty, "text": "x", "image": None}) == Viber("x")


@pytest.mark.parametrize("content", GOOD, ids=lambda one: one.kind.value)
def test_nothing_of_it_is_shown(content: Content) -> None:
    shown = repr(content) + str(content)
    assert not [value for value in content.as_dict().values() if len(value) > 3 and value in shown]


@pytest.mark.parametrize("content", GOOD, ids=lambda one: one.kind.value)
def test_its_size_is_that_of_all_its_fields(content: Content) -> None:
    assert content.size == sum(map(len, content.as_dict().values()))


def test_segments_are_counted_where_they_are_a_texts() -> None:
    assert Sms("a" * 161).segments == Flash("a" * 161).segments == 2
    assert {content.segments for content in GOOD if content.kind not in (Kind.SMS, Kind.FLASH)} == {None}
