"""docs/reference/fields.md, row by row: what we take is taken, and what we refuse is refused at the door."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from bulk_dispatch.config.routes_file import RouteConfig
from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.routing import Route, accept, build_route
from tests.guards.page import rows
from tests.guards.repository import text

Changes = Mapping[str, Any]

LINK = "https://shop.example/18"
LANDLINE = "+380441110001"
SEND_AT = "2031-03-04T09:30:00Z"
VIBER = {"kind": "viber"}
BOTH = {"kind": "viber_sms", "sms_text": "Ready"}
WAP = {"kind": "wap", "url": LINK}
CARD = {"kind": "vcard", "text": "", "name": "Ann", "city": "Kyiv"}
PING = {"kind": "ping", "text": ""}
VOICE = {"kind": "voice", "recipient": LANDLINE}
ALL = {kind.value: changes for kind, changes in (
    (Kind.SMS, {}), (Kind.FLASH, {"kind": "flash"}), (Kind.VOICE, VOICE), (Kind.PING, PING), (Kind.WAP, WAP),
    (Kind.VCARD, CARD), (Kind.VIBER, VIBER), (Kind.VIBER_SMS, BOTH),
)}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """Fields that are taken, and fields of which the named one is refused."""

    good: Sequence[Changes]
    bad: Sequence[tuple[Changes, str]] = ()
    options: Mapping[str, str] = field(default_factory=dict)


def kinds(*carried: str) -> Case:
    """These kinds and no others."""
    return Case(
        [ALL[name] for name in carried],
        [(changes, "kind") for name, changes in ALL.items() if name not in carried],
    )


def link(length: int) -> str:
    return LINK.ljust(length, "x")


def until(end: str) -> Changes:
    return {"send_at": SEND_AT, "valid_until": end}


def viber_until(end: str) -> Changes:
    return {"send_at": SEND_AT, "viber_valid_until": end}


PICTURE = {**VIBER, "image": f"{LINK}.png"}
BUTTON = {"button": "O" * 19, "url": LINK}
PICTURES = Case(
    [{**VIBER, "image": f"{LINK}.{end}"} for end in ("jpg", "jpeg", "png", "GIF")],
    [
        ({**VIBER, "image": address}, "image")
        for address in (
            f"{LINK}.webp",
            LINK,
            f"{LINK}.png?size=2",
            "https://shop.png",
            f"{LINK}?a.png",
            "18.png",
        )
    ],
)
BUTTONS = Case(
    [{**PICTURE, **BUTTON}],
    [
        ({**PICTURE, **BUTTON, "button": "O" * 20}, "button"),
        ({**PICTURE, "url": LINK}, "button"),
        ({**PICTURE, "button": "Open"}, "url"),
        ({**VIBER, **BUTTON}, "image"),
    ],
)
VIBER_TEXT = Case([{**VIBER, "text": "я" * 1000}], [({**VIBER, "text": "я" * 1001}, "text")])
TEXT = Case(
    [{"text": "a" * 1530}, {"text": "я" * 670}],
    [
        ({"text": "a" * 1531}, "text"),
        ({"text": "я" * 671}, "text"),
        ({"text": " "}, "text"),
        ({"text": ""}, "text"),
    ],
)
WAP_LINK = Case(
    [{**WAP, "url": link(100)}],
    [
        ({**WAP, "url": link(101)}, "url"),
        ({**WAP, "url": "shop.example"}, "url"),
        ({**WAP, "url": ""}, "url"),
    ],
)
NOT_ALONE = Case([WAP], [({**WAP, "text": ""}, "text")])
PLAIN_LINK = Case([WAP], [({**WAP, "url": "shop.example"}, "url"), ({**WAP, "url": ""}, "url")])
SENDERS = Case(
    [{"sender": sender} for sender in ("Abc", "Shop-24.u_1", "38093111000", "+3809311100")],
    [
        ({"sender": sender}, "sender")
        for sender in ("Ab", "Shop-24.ua_1", "My Shop", "Магазин", "380931110001", "1.2")
    ],
)

CASES: Mapping[tuple[str, str], Case] = {
    ("alphasms-xml", "`kind`"): kinds("sms", "flash", "voice", "wap", "viber"),
    ("alphasms-xml", "`recipient`"): Case([{"recipient": "+491234567890123"}, {"recipient": "+29022222"}]),
    ("alphasms-xml", "`recipient` of `voice`"): Case(
        [VOICE, {**VOICE, "recipient": "+380312123456"}],
        [
            ({**VOICE, "recipient": number}, "recipient")
            for number in ("+380931110001", "+380800500001", "+380891234567", "+4930123456", "+380201234567")
        ],
    ),
    ("alphasms-xml", "`sender`"): SENDERS,
    ("alphasms-xml", "`sender` of `viber`"): Case(
        [{**VIBER, "sender": "Магазин 123"}], [({**VIBER, "sender": "Магазин 1234"}, "sender")]
    ),
    ("alphasms-xml", "`text`"): TEXT,
    ("alphasms-xml", "`text` of `wap`"): Case([{**WAP, "text": ""}, WAP]),
    ("alphasms-xml", "`text` of `viber`"): VIBER_TEXT,
    ("alphasms-xml", "`url` of `wap`"): WAP_LINK,
    ("alphasms-xml", "`image`"): PICTURES,
    ("alphasms-xml", "`button`"): BUTTONS,
    ("alphasms-xml", "`valid_until` of an SMS"): Case(
        [
            until("2031-03-04T09:31:00Z"),
            until("2031-03-09T09:30:00Z"),
            {**VOICE, **until("2031-03-09T09:30:00Z")},
            {"valid_until": "2039-01-01T00:00:00Z"},
        ],
        [
            (until("2031-03-04T09:30:59Z"), "valid_until"),
            (until("2031-03-09T09:30:01Z"), "valid_until"),
            ({**WAP, **until("2031-03-09T09:30:01Z")}, "valid_until"),
        ],
    ),
    ("alphasms-xml", "`viber_valid_until`"): Case(
        [VIBER], [({**VIBER, "viber_valid_until": SEND_AT}, "viber_valid_until")]
    ),
    ("alphasms-http", "`kind`"): kinds("sms", "flash", "wap", "viber", "viber_sms"),
    ("alphasms-http", "`sender`"): SENDERS,
    ("alphasms-http", "`sms_sender`"): Case(
        [{**BOTH, "sms_sender": "Shop-24.u_1"}],
        [({**BOTH, "sms_sender": "My Shop"}, "sms_sender"), ({**BOTH, "sms_sender": "Ab"}, "sms_sender")],
    ),
    ("alphasms-http", "`text`"): TEXT,
    ("alphasms-http", "`text` of `wap`"): NOT_ALONE,
    ("alphasms-http", "`text` of `viber`"): VIBER_TEXT,
    ("alphasms-http", "`sms_text`"): Case(
        [{**BOTH, "sms_text": "я" * 670}],
        [({**BOTH, "sms_text": "я" * 671}, "sms_text"), ({**BOTH, "sms_text": ""}, "sms_text")],
    ),
    ("alphasms-http", "`url` of `wap`"): WAP_LINK,
    ("alphasms-http", "`image`"): PICTURES,
    ("alphasms-http", "`button`"): BUTTONS,
    ("alphasms-http", "`viber_valid_until`"): Case(
        [
            {**VIBER, **viber_until("2031-03-04T09:31:00Z")},
            {**BOTH, **viber_until("2031-03-05T09:30:00Z"), "valid_until": "2031-03-07T09:30:00Z"},
            {**VIBER, "viber_valid_until": "2039-01-01T00:00:00Z"},
        ],
        [
            ({**VIBER, **viber_until("2031-03-04T09:30:59Z")}, "viber_valid_until"),
            ({**BOTH, **viber_until("2031-03-05T09:30:01Z")}, "viber_valid_until"),
        ],
    ),
    ("alphasms-http", "`valid_until` of `viber`"): Case(
        [{**VIBER, **until("2031-03-05T09:30:00Z")}],
        [({**VIBER, **until("2031-03-05T09:30:01Z")}, "valid_until")],
    ),
    ("alphasms-http", "`valid_until` of an SMS"): Case(
        [until("2031-03-04T09:30:30Z"), until("2031-04-04T09:30:00Z")]
    ),
    ("webcom-xml", "`kind`"): kinds("sms", "flash", "ping", "wap", "vcard", "viber", "viber_sms"),
    ("webcom-xml", "`recipient`"): Case(
        [{"recipient": "+49123456789012"}], [({"recipient": "+491234567890123"}, "recipient")]
    ),
    ("webcom-xml", "`sender`"): Case(
        [{"sender": "380931110001234"}, {"sender": "ElevenChars"}, {**PING, "sender": "Shop24"}],
        [
            ({**changes, "sender": sender}, "sender")
            for changes in ({}, PING, CARD, WAP, BOTH)
            for sender in ("TwelveCharss", "Sh@p! #1", "Магазин", "+38093111000", "+380931110001")
        ],
    ),
    ("webcom-xml", "`sms_sender`"): Case(
        [{**BOTH, "sms_sender": "380931110001"}],
        [({**BOTH, "sms_sender": sender}, "sms_sender") for sender in ("TwelveChars.", "+380931110001")],
    ),
    ("webcom-xml", "`text` of `wap`"): NOT_ALONE,
    ("webcom-xml", "`text` of `viber`"): VIBER_TEXT,
    ("webcom-xml", "any text"): Case(
        [{"text": "C:\\temp\n"}],
        [
            ({"text": "C:\\new"}, "text"),
            ({**BOTH, "sms_text": "C:\\new"}, "sms_text"),
            ({**CARD, "city": "C:\\new"}, "city"),
        ],
    ),
    ("webcom-xml", "`url` of `wap`"): PLAIN_LINK,
    ("webcom-xml", "`image`"): Case(
        [{**VIBER, "image": LINK, **BUTTON}], [({**VIBER, "image": LINK}, "button")]
    ),
    ("webcom-xml", "`button`"): Case(
        [{**VIBER, **BUTTON}],
        [
            ({**VIBER, **BUTTON, "button": "O" * 20}, "button"),
            ({**VIBER, "url": LINK}, "button"),
            ({**VIBER, "button": "Open"}, "url"),
        ],
    ),
    ("webcom-xml", "`name` of `vcard`"): Case(
        [CARD], [({**CARD, "city": ""}, "name"), ({**CARD, "name": ""}, "name")]
    ),
    ("webcom-xml", "`cell`, `work`, `fax`"): Case(
        [
            {**CARD, name: number}
            for name in ("cell", "work", "fax")
            for number in ("+380931110001", "380931110001", "+38 (044) 111-00-01", "00380441110001")
        ],
        [
            ({**CARD, name: number}, name)
            for name in ("cell", "work", "fax")
            for number in (
                "ask Ann",
                "0931110001",
                "12",
                "380931110001.0",
                "3.8093111E+11",
                "+380931110001, +380931110002",
                "+380441110001 ext. 5",
            )
        ],
    ),
    ("webcom-xml", "`email`"): Case(
        [{**CARD, "email": "ann@shop.example"}],
        [
            ({**CARD, "email": wrong}, "email")
            for wrong in ("ann", "ann at shop.example", "ann@", "a b@shop.example")
        ],
    ),
    ("webcom-xml", "`url` of `vcard`"): Case(
        [{**CARD, "url": LINK}], [({**CARD, "url": "shop.example"}, "url")]
    ),
    ("webcom-xml", "`valid_until`, `viber_valid_until`"): Case(
        [until("2031-03-04T09:30:30Z"), {**VIBER, **viber_until("2031-04-04T09:30:00Z")}]
    ),
    ("smartswitch", "`kind`"): kinds("sms", "ping"),
    ("smartswitch", "`recipient`"): Case([{"recipient": "+491234567890123"}]),
    ("smartswitch", "`sender` as a name"): Case(
        [{"sender": "ElevenChars"}, {"sender": "12345678901"}],
        [({"sender": sender}, "sender") for sender in ("TwelveChars.", "380931110001", "Магазин")],
    ),
    ("smartswitch", "`sender` as a number"): Case(
        [{"sender": "380931110001234"}],
        [({"sender": sender}, "sender") for sender in ("Shop", "+38093111000")],
        {"source": "number"},
    ),
    ("smartswitch", "`text`"): Case([{"text": "я" * 500}], [({"text": "я" * 800}, "text")]),
    ("smartswitch", "`valid_until`, `send_at`"): Case(
        [until("2031-03-04T09:30:30Z"), until("2031-06-04T09:30:00Z")]
    ),
}
"""By the first two cells of a row."""

TABLE = {
    (provider.strip("`"), name): (page, done)
    for provider, name, page, done, _ in rows(text("docs/reference/fields.md"))
}


def lines(provider: str, options: Mapping[str, str]) -> dict[str, Route]:
    account = RouteConfig(
        "alpha",
        provider,
        "https://provider.example",
        key="k",
        login="l",
        password="p",
        token="t",
        options=options,
    )
    return {"alpha": build_route(account)}


def offered(provider: str, options: Mapping[str, str], changes: Changes) -> Message:
    """What the door of every producer does with plain fields."""
    plain = {"client_id": "c", "recipient": "+380931110001", "sender": "ShopNews", "text": "Ready", **changes}
    if changes.get("kind") in ("ping", "vcard"):
        del plain["text"]
    return accept(Message.from_dict(plain), lines(provider, options))


def test_every_row_has_cases_and_every_case_its_row() -> None:
    assert TABLE.keys() == CASES.keys()
    assert {provider for provider, _ in TABLE} == set(PROVIDERS)


@pytest.mark.parametrize("row", TABLE, ids=" ".join)
def test_a_row_that_says_refuse_refuses_and_no_other_does(row: tuple[str, str]) -> None:
    page, done = TABLE[row]
    refuses = "refuse" in done or done == "the same"
    assert page
    assert refuses == bool(CASES[row].bad)


GOOD = [(*row, case.options, changes) for row, case in CASES.items() for changes in case.good]
BAD = [(*row, case.options, changes, name) for row, case in CASES.items() for changes, name in case.bad]


@pytest.mark.parametrize(("provider", "row", "options", "changes"), GOOD)
def test_what_their_page_allows_is_taken(
    provider: str, row: str, options: Mapping[str, str], changes: Changes
) -> None:
    assert offered(provider, options, changes), row


@pytest.mark.parametrize(("provider", "row", "options", "changes", "name"), BAD)
def test_what_their_page_does_not_allow_is_refused_with_its_field_named(
    provider: str, row: str, options: Mapping[str, str], changes: Changes, name: str
) -> None:
    with pytest.raises(MessageError) as refused:
        offered(provider, options, changes)
    assert refused.value.field == name, row
    assert "got" in str(refused.value)
