"""A message as webcom's gateway wants it: what it can carry, and `<message>` with its `<abonent>`s.

Source: vendor documentation, and that of other gateways on the same platform ("family").
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.content import (
    Content,
    Kind,
    Ping,
    Sms,
    VCard,
    Viber,
    ViberSms,
    WapPush,
    with_line_feeds,
)
from bulk_dispatch.domain.instants import MINUTE, SECOND, full
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.numbers import phone_number
from bulk_dispatch.domain.package import OutboundMessage, reckoned
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.formats import xml
from bulk_dispatch.providers.senders import LATIN, Senders
from bulk_dispatch.timezones import told_once

TYPES = {
    Kind.SMS: {"type_send_1": "sms", "type": "sms"},
    Kind.FLASH: {"type_send_1": "sms", "type": "flashsms"},
    Kind.PING: {"type_send_1": "sms", "type": "silence"},
    Kind.WAP: {"type_send_1": "sms", "type": "wappush"},
    Kind.VCARD: {"type_send_1": "sms", "type": "vcard"},
    Kind.VIBER: {"type_send_1": "viber"},
    Kind.VIBER_SMS: {"type_send_1": "viber", "type_send_2": "sms", "type": "sms"},
}
"""What they carry, and the attributes that say so."""

RECIPIENT_MOST = 14  # digits: "fewer than 15"
SENDERS = Senders(LATIN, plus=False)  # "15 for digits, 11 alphanumeric"
LINE_BREAKS = {"backslash-n": "\\n", "line-feed": "\n", "blank": " "}
"""What may stand for a line break: two characters, as the family has it; the break itself; or a blank."""

PING_TEXT, NO_TEXT = "ping", "none"
CARD_NUMBERS = ("cell", "work", "fax")
EMAIL = re.compile(r"[^\s@]+@[^\s@]+")
VIBER_LONGEST = timedelta(days=1)  # what a Viber message lives for if nothing is said
NAME_MARKUP = 32  # bytes of mark-up about a campaign's name


@dataclass(frozen=True, slots=True)
class WebcomFormat:
    """How messages are written: times in the account's `zone`; with the campaign's name, if they are told it;
    and asking for Latin letters in place of Cyrillic, which is done to SMS only.

    Where their page is silent: what stands for a line break; the text of a ping, which wants one though
    nobody sees it (empty: none); and whether elements that a content could have are written empty.
    """

    zone: ZoneInfo
    campaign_name: bool = False
    transliterate: bool = False
    line_break: str = LINE_BREAKS["backslash-n"]
    ping_text: str = PING_TEXT
    empty_parts: bool = False


def check(message: Message, manner: WebcomFormat) -> None:
    """Raise MessageError if they cannot carry the message, written so."""
    if message.kind not in TYPES:
        raise MessageError("kind", message.kind.value, "is not carried by webcom.mobi")
    if len(message.recipient.lstrip("+")) > RECIPIENT_MOST:
        raise MessageError("recipient", message.recipient, f"must have at most {RECIPIENT_MOST} digits")
    _check_sender(message)
    _check_content(message.content, manner)


def respelled(message: Message, manner: WebcomFormat) -> Message:
    """The message with the one line end that they can be told, or with none, where it is counted by
    characters."""
    content = message.content
    if not isinstance(content, Sms):
        return message
    if manner.line_break == LINE_BREAKS["blank"] and ("\n" in content.text or "\r" in content.text):
        return message.saying(type(content)(with_line_feeds(content.text).replace("\n", " ")))
    if "\r" in content.text:
        return message.saying(type(content)(with_line_feeds(content.text)))
    return message


def messages(items: Sequence[OutboundMessage], manner: WebcomFormat) -> list[xml.Node]:
    """A `<message>` for each content (of each campaign, where they are told), an `<abonent>` for each item;
    `number_sms` counts them as they come."""
    alike: dict[tuple[str, Content, str], list[xml.Node]] = {}
    for number, item in enumerate(items, 1):
        campaign = item.campaign if manner.campaign_name else ""
        what = (item.sender, item.content, campaign)
        alike.setdefault(what, []).append(_abonent(number, item, manner.zone))
    return [
        (
            "message",
            TYPES[content.kind],
            [*_content(sender, content, manner), *_asides(content, campaign, manner), *abonents],
        )
        for (sender, content, campaign), abonents in alike.items()
    ]


def measured_with_campaign(item: OutboundMessage) -> int:
    """Bytes about a message that is told with its campaign, on the generous side."""
    return reckoned(item) + (NAME_MARKUP + 4 * len(item.campaign) if item.campaign else 0)


def _check_sender(message: Message) -> None:
    """Of its SMS, if it is or has one."""
    content = message.content
    if message.kind is Kind.VIBER:
        return
    own = content.sms_sender if isinstance(content, ViberSms) else ""
    SENDERS.check("sms_sender" if own else "sender", own or message.sender)


def _check_content(content: Content, manner: WebcomFormat) -> None:
    if not isinstance(content, Sms):  # nearly all there are
        _check_parts(content)
    if manner.line_break != LINE_BREAKS["backslash-n"]:
        return
    for field, value in content.as_dict().items():
        if "\\n" in value:  # they know no way to write it otherwise
            raise MessageError(
                field,
                f"{len(value)} characters",
                "must not hold a backslash before an n, which arrives as a line break",
            )


def _check_parts(content: Content) -> None:
    """What goes with what."""
    if isinstance(content, Viber) and content.image and not content.button:
        raise MessageError("button", "", "must be there: a picture goes with a button and its link")
    if isinstance(content, WapPush) and not content.text:
        raise MessageError("text", "", "must be there: every SMS has a text, one with a link too")
    if isinstance(content, VCard):
        _check_card(content)


def _check_card(card: VCard) -> None:
    """Numbers and the address of a card are such, or the phone that gets it can do nothing with them."""
    for field in CARD_NUMBERS:
        if value := getattr(card, field):
            _check_number(field, value)
    if card.email and not EMAIL.fullmatch(card.email):
        raise MessageError("email", card.email, "must be an e-mail address")


def _check_number(field: str, value: str) -> None:
    """An international number; they write theirs without the plus, so digits alone may lack it."""
    try:
        phone_number(value, field)
    except MessageError:
        if not (value.isascii() and value.isdigit() and _is_international(f"+{value}")):
            raise


def _is_international(number: str) -> bool:
    try:
        return bool(phone_number(number))
    except MessageError:
        return False


def _content(sender: str, content: Content, manner: WebcomFormat) -> Iterator[xml.Node]:
    """The elements of its channels, and of no other."""
    if isinstance(content, Viber):
        yield from _viber(sender, content, manner)
    if isinstance(content, ViberSms):
        yield from _texts(manner, sender=content.sms_sender or sender, text=content.sms_text)
    elif isinstance(content, VCard):
        yield from _texts(manner, sender=sender)
        yield from _vcard(content, manner)
    elif isinstance(content, WapPush):  # without a text it entered in another year: then the link is one
        yield from _texts(manner, sender=sender, text=content.text or content.url, url=content.url)
    elif isinstance(content, Ping):
        yield from _texts(manner, sender=sender, text=manner.ping_text)
    elif not isinstance(content, Viber):
        yield from _texts(manner, sender=sender, text=content.text)


def _asides(content: Content, campaign: str, manner: WebcomFormat) -> Iterator[xml.Node]:
    """What nobody reads on a phone. Without a name they show a word of their own."""
    latin = manner.transliterate and content.kind is not Kind.VIBER
    return _texts(replace(manner, empty_parts=False), name_delivery=campaign, translite="1" if latin else "")


def _viber(sender: str, content: Viber, manner: WebcomFormat) -> Iterator[xml.Node]:
    return _texts(
        manner,
        sender_viber=sender,
        text_viber=content.text,
        button_viber=content.button,
        action_viber=content.url,
        image_viber=content.image,
    )


def _vcard(card: VCard, manner: WebcomFormat) -> Iterator[xml.Node]:
    yield from _texts(manner, name=card.name)
    yield from _attributes(manner, "phone", cell=card.cell, work=card.work, fax=card.fax)
    yield from _texts(
        manner, email=card.email, url=card.url, position=card.position, organization=card.organization
    )
    yield from _attributes(
        manner,
        "address",
        post_office_box=card.post_office_box,
        street=card.street,
        city=card.city,
        region=card.region,
        postal_code=card.postal_code,
        country=card.country,
    )
    yield from _texts(manner, additional=card.additional)


def _texts(manner: WebcomFormat, **fields: str) -> Iterator[xml.Node]:
    """An element for each field that is there."""
    for name, text in fields.items():
        if text or manner.empty_parts:
            yield name, {}, with_line_feeds(text).replace("\n", manner.line_break)


def _attributes(manner: WebcomFormat, name: str, **fields: str) -> Iterator[xml.Node]:
    """An element with those fields as attributes, if any is there."""
    there = {field: value for field, value in fields.items() if value or manner.empty_parts}
    if there:
        yield name, there, ""


def _abonent(number: int, item: OutboundMessage, zone: ZoneInfo) -> xml.Node:
    attributes = {
        "phone": item.recipient.lstrip("+"),
        "number_sms": str(number),
        "client_id_sms": str(item.reference),
    }
    if item.send_at:
        attributes["time_send"] = f"{_tellable(item.send_at, MINUTE, zone).astimezone(zone):%Y-%m-%d %H:%M}"
    for name, until in _validity(item, zone):
        attributes[name] = f"{until.astimezone(zone):%Y-%m-%d %H:%M:%S}"
    return "abonent", attributes, ""


def _tellable(moment: datetime, unit: timedelta, zone: ZoneInfo) -> datetime:
    """The moment in full units, never before its time. Of an hour that clocks there show twice nobody knows
    which one they would take it for: then it is the end of that hour."""
    return told_once(full(moment, unit), zone)


def _validity(item: OutboundMessage, zone: ZoneInfo) -> Iterator[tuple[str, datetime]]:
    """The ends of validity by channel. What is too late for the message is too late for Viber."""
    if isinstance(item.content, Viber):
        ends = [
            _tellable(until, SECOND, zone) for until in (item.viber_valid_until, item.valid_until) if until
        ]
        # Viber takes no more than the day that it has anyway.
        if ends and not (item.leaves_at and min(ends) - item.leaves_at >= VIBER_LONGEST):
            yield "validity_period_viber", min(ends)
    if item.valid_until and item.kind is not Kind.VIBER:
        yield "validity_period", _tellable(item.valid_until, SECOND, zone)
