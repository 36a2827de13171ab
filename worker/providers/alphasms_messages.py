"""What AlphaSMS carries, and how its XML writes one message.

Source: AlphaSMS documentation. An SMS is one element with attributes; Viber is written as child elements.
"""

from datetime import datetime
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from worker.providers import xml
from worker.sms.content import Content, Kind, Viber, WapPush
from worker.sms.fields import MessageError, mask
from worker.sms.message import Message
from worker.sms.package import Item
from worker.sms.segments import segments

# --- limits ------------------------------------------------------------------------------------------

SENDER_MOST = 11  # characters, of letters and digits alike
SEGMENTS_MOST = 10  # a guess: they only say that too long a text is refused with 204
URL_MOST = 100  # characters of a WAP-push link
VOICE_TO = "+380"  # voice reaches Ukrainian landlines only
PICTURES = (".jpg", ".jpeg", ".png", ".gif")
# A recipient always fits: they take 21 characters, and Message allows 16.

TYPES = {Kind.SMS: "0", Kind.FLASH: "1", Kind.WAP: "2", Kind.VOICE: "3"}
"""The kinds of `message` and `message-async`; Viber has a command of its own."""

VIBER = (Kind.VIBER,)
"""The kinds of `message-viber`. An SMS where Viber does not arrive is not to be had over XML."""


def check(message: Message) -> None:
    """Raise MessageError if AlphaSMS cannot carry the message."""
    if message.kind not in TYPES and message.kind not in VIBER:
        raise MessageError("kind", message.kind.value, "is not carried by AlphaSMS over XML")
    if len(message.sender) > SENDER_MOST:
        raise MessageError("sender", message.sender, f"must be at most {SENDER_MOST} characters")
    if message.viber_valid_until:
        shown = message.viber_valid_until.isoformat()
        raise MessageError("viber_valid_until", shown, "cannot be told to AlphaSMS over XML")
    if message.kind is Kind.VOICE and not message.recipient.startswith(VOICE_TO):
        raise MessageError("recipient", mask(message.recipient), f"must start {VOICE_TO} for voice")
    if isinstance(message.content, Viber):
        _check_viber(message.content)
    else:
        _check_sms(message.content)


def _check_sms(content: Content) -> None:
    text: str = getattr(content, "text", "")
    if (count := segments(text)) > SEGMENTS_MOST:
        raise MessageError("text", f"{count} segments", f"must be at most {SEGMENTS_MOST} segments")
    if isinstance(content, WapPush) and len(content.url) > URL_MOST:
        raise MessageError("url", f"{len(content.url)} characters", f"must be at most {URL_MOST} characters")


def _check_viber(content: Viber) -> None:
    if content.image and not urlsplit(content.image).path.lower().endswith(PICTURES):
        shown = f"<{len(content.image)} characters>"
        raise MessageError("image", shown, f"must be an address that ends in {', '.join(PICTURES)}")
    if content.button and not content.image:
        raise MessageError("image", "", "must be there: AlphaSMS puts a button under a picture only")


def as_sms(item: Item, zone: ZoneInfo) -> xml.Node:
    """A `<msg>` of `message` or `message-async`."""
    attributes = {
        "id": str(item.reference),
        "recipient": item.recipient,
        "sender": item.sender,
        "type": TYPES[item.kind],
    }
    if item.send_at:
        attributes["date_beg"] = _written(item.send_at, zone)
    if item.valid_until:
        attributes["date_end"] = _written(item.valid_until, zone)
    if isinstance(item.content, WapPush):
        attributes["url"] = item.content.url
    text: str = getattr(item.content, "text", "")
    return "msg", attributes, text


def as_viber(item: Item, zone: ZoneInfo) -> xml.Node:
    """A `<msg>` of `message-viber`. It has no end of validity: they document none."""
    attributes = {"id": str(item.reference)}
    if item.send_at:
        attributes["date_beg"] = _written(item.send_at, zone)
    content = item.content
    assert isinstance(content, Viber)
    # One of their samples calls a picture with a button an image; their table says button.
    kind = "button" if content.button else "image" if content.image else "text"
    parts = {
        "phone": item.recipient,
        "sender": item.sender,
        "type": kind,
        "text": content.text,
        "image": content.image,
        "button": content.button,
        "url": content.url,
    }
    return "msg", attributes, [(name, {}, value) for name, value in parts.items() if value]


def _written(moment: datetime, zone: ZoneInfo) -> str:
    """ISO 8601 with its offset: what zone they read a bare time in is not known."""
    return moment.astimezone(zone).isoformat(timespec="seconds")
