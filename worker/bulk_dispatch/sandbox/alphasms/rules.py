"""What makes the provider refuse one message (sheet sections 3.1, 3.8, 5 and 10)."""

import re
from typing import NamedTuple

from bulk_dispatch.sandbox.alphasms.codes import Refusal

NORMAL, FLASH, WAP_PUSH, VOICE = "0", "1", "2", "3"
MOST_SEGMENTS = 10  # unpublished [assumption of the sheet]
SHORTEST_VALIDITY, LONGEST_VALIDITY = 60, 5 * 24 * 3600  # seconds after sending [vendor docs]
LONGEST_URL = 100
GREATEST_ID = 2**63 - 1  # unpublished; 14 and 15 digits were seen in use
LONGEST_VIBER, LONGEST_CAPTION, LONGEST_VIBER_SENDER = 1000, 19, 11

ID = re.compile(r"[1-9][0-9]{0,18}")
RECIPIENT = re.compile(r"\+?[0-9]{10,15}")
# 3 to 11 characters, letters or letters with digits [vendor docs]; dot, dash, underscore from the HTTP page,
# which takes a phone number, too.
SENDER = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9._-]{3,11}|(?=.{3,11}$)\+?[0-9]+")
LANDLINE = re.compile(r"\+?380(?:3[1-8]|4[13-8]|5[1-7]|6[12459])[0-9]{7}")  # area codes of Ukraine
LOCAL = re.compile(r"0[0-9]{9}")  # of Ukraine, without the country's 38
NUMBER_SENDER = re.compile(r"\+?[0-9]{10,15}")  # "your phone number" [client code]
WEB = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?")
PICTURE = re.compile(r"https?://[^\s/?#]+/\S*\.(?:jpe?g|png|gif)", re.IGNORECASE)


class Message(NamedTuple):
    """One message to send, not yet judged. What is absent is an empty string; id and dates are None."""

    own: str | None
    recipient: str
    sender: str
    type: str
    url: str
    text: str
    begin_at: float | None = None  # seconds since 1970
    end_at: float | None = None


class ViberMessage(NamedTuple):
    """The same for Viber. `type` is text, image or button."""

    own: str | None
    recipient: str
    sender: str
    type: str
    text: str
    image: str
    button: str
    url: str
    begin_at: float | None = None
    end_at: float | None = None


def refusal(
    message: Message, own: int | None, segments: int, now: float, *, number_senders: bool = False
) -> Refusal | None:
    """Why this message is not taken, or None; `own` is its id as read by `own_id`.

    The rules on used ids (208) and money (206) need the memory and stand in `intake`.
    """
    if message.own is not None and own is None:
        return Refusal.ID
    if not (SENDER.fullmatch(message.sender) or (number_senders and NUMBER_SENDER.fullmatch(message.sender))):
        return Refusal.SENDER
    if not RECIPIENT.fullmatch(message.recipient):
        return Refusal.RECIPIENT
    if not _type_fits(message) or segments > MOST_SEGMENTS or not _dates_fit(message, now):
        return Refusal.LENGTH
    return None


def viber_refusal(message: ViberMessage, own: int | None) -> Refusal | None:
    """The same for Viber; where the sheet has no code of its own for a fault, it is 204."""
    if message.own is not None and own is None:
        return Refusal.ID
    if not 0 < len(message.sender) <= LONGEST_VIBER_SENDER or message.sender.isspace():
        return Refusal.SENDER
    if not RECIPIENT.fullmatch(message.recipient):
        return Refusal.RECIPIENT
    if not message.text.strip() or len(message.text) > LONGEST_VIBER or not _parts_fit(message):
        return Refusal.LENGTH
    return None


def own_id(written: str | None) -> int | None:
    """The number, if it is a positive integer as one writes it: no sign, no leading zeros."""
    if written is None or not ID.fullmatch(written):
        return None
    number = int(written)
    return number if number <= GREATEST_ID else None


def _type_fits(message: Message) -> bool:
    """Text for everything but WAP-push, a link for nothing but that; voice for Ukraine's landlines only."""
    if message.type == WAP_PUSH:
        return 0 < len(message.url) <= LONGEST_URL
    if message.url or not message.text.strip():
        return False
    if message.type == VOICE:
        return LANDLINE.fullmatch(message.recipient) is not None
    return message.type in {NORMAL, FLASH}


def _dates_fit(message: Message, now: float) -> bool:
    if message.end_at is None:
        return True
    validity = message.end_at - max(now, message.begin_at or now)
    return SHORTEST_VALIDITY <= validity <= LONGEST_VALIDITY


def _parts_fit(message: ViberMessage) -> bool:
    """A picture where the type says so, a caption with its link for a button, nothing beside a text.

    The vendor's own sample has a picture with a button as type `image`, against the table: both pass.
    """
    button = 0 < len(message.button) <= LONGEST_CAPTION and WEB.fullmatch(message.url) is not None
    no_button = not message.button and not message.url
    image = PICTURE.fullmatch(message.image) is not None
    fits = {
        "text": not message.image and no_button,
        "image": image and (no_button or button),
        "button": image and button,
    }
    return fits.get(message.type, False)


def international(number: str) -> str:
    """The local form of Ukraine made international; any other number as it is."""
    return f"38{number}" if LOCAL.fullmatch(number) else number


def local_form(number: str) -> str:
    """A number of Ukraine in its local form; any other as it is."""
    found = re.fullmatch(r"\+?38(0[0-9]{9})", number)
    return found[1] if found else number
