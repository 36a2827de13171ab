"""A message in AlphaSMS XML: what it can carry, and how it is written.

Source: AlphaSMS documentation. An SMS is one element with attributes; Viber is written as child elements.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.content import Kind, Viber, WapPush
from bulk_dispatch.domain.instants import SECOND, full
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.numbers import is_landline
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.alphasms import limits
from bulk_dispatch.providers.formats import xml

VOICE_TO = "+380"  # voice reaches Ukrainian landlines only
LASTS = (timedelta(minutes=1), timedelta(days=5))  # an SMS, from when it leaves

TYPES = {Kind.SMS: "0", Kind.FLASH: "1", Kind.WAP: "2", Kind.VOICE: "3"}
"""The kinds of `message` and `message-async`; Viber has a command of its own."""

VIBER = (Kind.VIBER,)
"""The kinds of `message-viber`. An SMS where Viber does not arrive is not to be had over XML."""


@dataclass(frozen=True, slots=True)
class MessageFormat:
    """How messages are written where their page is silent or says two things: dates with the offset of
    `zone`; a recipient as `numbered` makes it of E.164; a button under a picture as a `button`, which their
    table wants, or as an image, which their sample has."""

    zone: ZoneInfo
    numbered: Callable[[str], str]
    button: str = "button"


# By which every message is judged: to look for a member, or into a table of them, takes longer.
CARRIED = (*TYPES, *VIBER)
VOICE = Kind.VOICE


def check(message: Message) -> None:
    """Raise MessageError if AlphaSMS cannot carry the message over XML."""
    kind = message.content.kind
    if kind not in CARRIED:
        raise MessageError("kind", kind.value, "is not carried by AlphaSMS over XML")
    if message.viber_valid_until:
        shown = message.viber_valid_until.isoformat()
        raise MessageError("viber_valid_until", shown, "cannot be told to AlphaSMS over XML")
    if kind is VOICE:
        _check_landline(message.recipient)
    if message.valid_until is not None and kind not in VIBER:  # of Viber it is not told
        limits.check_lasts("valid_until", message.valid_until, message.send_at, LASTS)
    limits.check(message)


def _check_landline(recipient: str) -> None:
    if not recipient.startswith(VOICE_TO):
        raise MessageError("recipient", recipient, f"must start {VOICE_TO} for voice")
    if not is_landline(recipient):
        raise MessageError("recipient", recipient, "must be a landline: they read to no other phone")


def as_sms(item: OutboundMessage, manner: MessageFormat) -> xml.Node:
    """A `<msg>` of `message` or `message-async`."""
    attributes = {
        "id": str(item.reference),
        "recipient": manner.numbered(item.recipient),
        "sender": item.sender,
        "type": TYPES[item.kind],
    }
    if item.send_at:
        attributes["date_beg"] = _written(item.send_at, manner.zone)
    if item.valid_until:
        attributes["date_end"] = _written(_end(item, item.valid_until), manner.zone)
    if isinstance(item.content, WapPush):
        attributes["url"] = item.content.url
    text: str = getattr(item.content, "text", "")
    return "msg", attributes, text


def as_viber(item: OutboundMessage, manner: MessageFormat) -> xml.Node:
    """A `<msg>` of `message-viber`. It has no end of validity: they document none."""
    attributes = {"id": str(item.reference)}
    if item.send_at:
        attributes["date_beg"] = _written(item.send_at, manner.zone)
    content = item.content
    assert isinstance(content, Viber)
    kind = manner.button if content.button else "image" if content.image else "text"
    parts = {
        "phone": manner.numbered(item.recipient),
        "sender": item.sender,
        "type": kind,
        "text": content.text,
        "image": content.image,
        "button": content.button,
        "url": content.url,
    }
    return "msg", attributes, [(name, {}, value) for name, value in parts.items() if value]


def _end(item: OutboundMessage, until: datetime) -> datetime:
    """In whole seconds and never before it, unless that were longer than they take, from when it leaves."""
    leaves_at = full(item.send_at, SECOND) if item.send_at else item.leaves_at
    end = full(until, SECOND)
    return min(end, (leaves_at + LASTS[1]).replace(microsecond=0)) if leaves_at else end


def _written(moment: datetime, zone: ZoneInfo) -> str:
    """ISO 8601 with its offset: what zone they read a bare time in is not known. Never before its time."""
    return full(moment, SECOND).astimezone(zone).isoformat(timespec="seconds")
