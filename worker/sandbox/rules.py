"""What makes the provider refuse one message of a package (sheet sections 3.1 and 5)."""

import re
from math import ceil

from worker.sandbox.codes import Refusal
from worker.sandbox.reading import Message

NORMAL, FLASH, WAP_PUSH, VOICE = "0", "1", "2", "3"
MOST_SEGMENTS = 10  # unpublished [assumption of the sheet]
SHORTEST_VALIDITY, LONGEST_VALIDITY = 60, 5 * 24 * 3600  # seconds after sending [vendor docs]
LONGEST_URL = 100
GREATEST_ID = 2**63 - 1  # unpublished; 14 and 15 digits were seen in use

ID = re.compile(r"[1-9][0-9]{0,18}")
RECIPIENT = re.compile(r"\+?[0-9]{10,15}")
# 3 to 11 characters, letters or letters with digits [vendor docs]; dot, dash, underscore from the HTTP page.
SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._-]{3,11}")
GSM = re.compile(
    "[@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,\\-./0-9:;<=>?¡A-ZÄÖÑÜ§¿a-zäöñüà\f^{}\\\\\\[~\\]|€]*"
)
GSM_TWICE = re.compile("[\f^{}\\\\\\[~\\]|€]")  # these take two places of the GSM alphabet


def refusal(message: Message, own: int | None, segments: int, now: float) -> Refusal | None:
    """Why this message is not taken, or None; `own` is its id as read by `own_id`.

    The rule on used ids (208) needs the memory and stands in `intake`.
    """
    if message.own is not None and own is None:
        return Refusal.ID
    if not SENDER.fullmatch(message.sender):
        return Refusal.SENDER
    if not RECIPIENT.fullmatch(message.recipient):
        return Refusal.RECIPIENT
    if not _type_fits(message) or segments > MOST_SEGMENTS or not _dates_fit(message, now):
        return Refusal.LENGTH
    return None


def own_id(written: str | None) -> int | None:
    """The number, if it is a positive integer as one writes it: no sign, no leading zeros."""
    if written is None or not ID.fullmatch(written):
        return None
    number = int(written)
    return number if number <= GREATEST_ID else None


def segments_of(text: str) -> int:
    """Parts charged: one holds 160 latin or 70 cyrillic characters [vendor docs].

    Of several, each holds 153 or 67 [assumption of the sheet: the GSM standard].
    """
    if GSM.fullmatch(text):
        length, one, part = len(text) + len(GSM_TWICE.findall(text)), 160, 153
    else:
        length, one, part = len(text.encode("utf-16-be")) // 2, 70, 67
    return 1 if length <= one else ceil(length / part)


def _type_fits(message: Message) -> bool:
    """Text for everything but WAP-push, a link for nothing but that; voice for Ukraine only."""
    if message.type == WAP_PUSH:
        return 0 < len(message.url) <= LONGEST_URL
    if message.url or not message.text.strip():
        return False
    if message.type == VOICE:
        return message.recipient.lstrip("+").startswith("380")
    return message.type in {NORMAL, FLASH}


def _dates_fit(message: Message, now: float) -> bool:
    if message.end_at is None:
        return True
    validity = message.end_at - max(now, message.begin_at or now)
    return SHORTEST_VALIDITY <= validity <= LONGEST_VALIDITY
