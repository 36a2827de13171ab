"""A message in AlphaSMS over plain HTTP: what it can carry, and the parameters that say it.

Source: AlphaSMS documentation.
"""

from datetime import UTC, timedelta
from math import ceil
from typing import TypeAlias

from bulk_dispatch.domain.content import Kind, Viber, ViberSms, WapPush
from bulk_dispatch.domain.instants import SECOND, full
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.alphasms import limits

KINDS = (Kind.SMS, Kind.FLASH, Kind.WAP, Kind.VIBER, Kind.VIBER_SMS)
LIFETIME = (timedelta(seconds=60), timedelta(seconds=86_400))  # of a Viber message
DATE = "%Y-%m-%dT%H:%M:%S%z"

Parameters: TypeAlias = list[tuple[str, str]]


def check(message: Message) -> None:
    """Raise MessageError if AlphaSMS cannot carry the message over plain HTTP."""
    if message.kind not in KINDS:
        raise MessageError("kind", message.kind.value, "is not carried by AlphaSMS over HTTP")
    limits.check(message)
    content = message.content
    if isinstance(content, WapPush) and not content.text:
        raise MessageError("text", "", "must be there: over HTTP a link goes with a text")
    if isinstance(content, ViberSms):
        own = content.sms_sender
        limits.check_sender("sms_sender" if own else "sender", own or message.sender)
        limits.check_segments("sms_text", content.sms_text)
    if message.send_at is not None:  # of what leaves at once it is told within what they take
        _check_lifetime(message)


def _check_lifetime(message: Message) -> None:
    """What Viber has, alone or before its SMS."""
    limits.check_lasts("viber_valid_until", message.viber_valid_until, message.send_at, LIFETIME)
    if message.kind is Kind.VIBER:
        limits.check_lasts("valid_until", message.valid_until, message.send_at, LIFETIME)


def parameters_of(item: OutboundMessage, number: str, flash: str) -> Parameters:
    """The parameters of `send`. `number` is the recipient as the account writes it, `flash` what says that a
    text is one."""
    content = item.content
    parameters = [("to", number)]
    if isinstance(content, ViberSms):
        parameters += [("from", content.sms_sender or item.sender), ("message", content.sms_text)]
    elif not isinstance(content, Viber):
        parameters += [("from", item.sender), ("message", getattr(content, "text", ""))]
    if isinstance(content, WapPush):
        parameters.append(("wap", content.url))
    if item.kind is Kind.FLASH:
        parameters.append(("flash", flash))
    if item.send_at:
        parameters.append(("ask_date", full(item.send_at, SECOND).astimezone(UTC).strftime(DATE)))
    return parameters + (_viber(item, content) if isinstance(content, Viber) else [])


def _viber(item: OutboundMessage, content: Viber) -> Parameters:
    kind = "button" if content.button else "image" if content.image else "text"
    optional = {
        "viber_image": content.image,
        "viber_url": content.url,
        "viber_button": content.button,
        "viber_lifetime": _lifetime(item),
        "viber_sms": "1" if isinstance(content, ViberSms) else "",
    }
    return [
        ("viber", "1"),
        ("viber_type", kind),
        ("viber_from", item.sender),
        ("viber_message", content.text),
        *((name, value) for name, value in optional.items() if value),
    ]


def _lifetime(item: OutboundMessage) -> str:
    """Seconds that Viber may take, from when it leaves, never too few; nothing if that has no end."""
    ends = [end for end in (item.viber_valid_until, item.valid_until) if end]
    if not (ends and item.leaves_at):
        return ""
    shortest, longest = LIFETIME
    lasts = max(shortest, min(longest, min(ends) - item.leaves_at))
    return str(ceil(lasts.total_seconds()))
