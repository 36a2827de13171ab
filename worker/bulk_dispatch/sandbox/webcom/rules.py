"""What makes webcom refuse one recipient (sheet section 5), and how many parts a text has."""

import re
from typing import NamedTuple

from bulk_dispatch.sandbox.packing import segments_of
from bulk_dispatch.sandbox.webcom.content import SILENCE, SMS, VCARD, VIBER, WAP_PUSH, Content
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.sandbox.webcom.texts import Refusal

PHONE = re.compile(r"[1-9][0-9]*")
LONGEST_PHONE = 14
LONGEST_DIGITS, LONGEST_NAME = 15, 11
NAME = re.compile(r"[ -~]+")  # "alphanumeric" [seed]; dots, dashes and blanks are in use
CYRILLIC = re.compile("[\u0400-\u04ff]")


class Rules:
    """The contract of one customer. The rules on used numbers and on money need the memory: `intake`."""

    def __init__(self, options: WebcomOptions) -> None:
        self._options = options
        self._closed = [
            (re.compile(pattern), refusal)
            for pattern, refusal in (
                (options.closed_for_you, Refusal.CLOSED_FOR_YOU),
                (options.closed, Refusal.CLOSED),
            )
            if pattern
        ]
        self._forbidden = re.compile(options.forbidden) if options.forbidden else None

    def of_content(self, content: Content) -> Refusal | None:
        """Why nobody gets this, or None: looked at once a `<message>`."""
        if self._options.blocked:
            return Refusal.BLOCKED
        for channel in content.channels:
            refusal = self._of_viber(content) if channel == VIBER else self._of_sms(content)
            if refusal:
                return refusal
        return None

    def of_phone(self, phone: str) -> Refusal | None:
        """Why this number gets nothing, or None; the stop list stands in the account."""
        if not PHONE.fullmatch(phone):
            return Refusal.NO_PHONE
        if len(phone) > LONGEST_PHONE:
            return Refusal.LONG_PHONE
        return next((refusal for pattern, refusal in self._closed if pattern.match(phone)), None)

    def _of_sms(self, content: Content) -> Refusal | None:
        sender = content.get("sender").strip()
        if len(sender) > (LONGEST_DIGITS if sender.isdecimal() else LONGEST_NAME):
            return Refusal.LONG_SENDER
        if sender and not NAME.fullmatch(sender):
            return Refusal.UNKNOWN_SENDER
        return self._of_sender(sender) or _missing(content) or self._of_words(content.get("text"))

    def _of_viber(self, content: Content) -> Refusal | None:
        refusal = self._of_sender(content.get("sender_viber").strip())
        if refusal:
            return refusal
        if not content.get("text_viber").strip():
            return Refusal.NO_TEXT
        if content.get("button_viber") and not content.get("action_viber"):
            return Refusal.NO_LINK
        return self._of_words(content.get("text_viber"))

    def _of_sender(self, sender: str) -> Refusal | None:
        if not sender:
            return Refusal.NO_SENDER
        if sender in self._options.unmoderated:
            return Refusal.UNMODERATED_SENDER
        known = self._options.senders
        return Refusal.UNKNOWN_SENDER if known is not None and sender not in known else None

    def _of_words(self, text: str) -> Refusal | None:
        return Refusal.MODERATOR if self._forbidden and self._forbidden.search(text) else None


def _missing(content: Content) -> Refusal | None:
    """What this kind of SMS cannot do without. A silent one shows nothing, a card has no text."""
    if content.kind == VCARD:
        return None if content.get("name").strip() and content.card else Refusal.NO_CARD
    if content.kind != SILENCE and not content.get("text").strip():
        return Refusal.NO_TEXT
    return Refusal.NO_LINK if content.kind == WAP_PUSH and not content.get("url").strip() else None


class Told(NamedTuple):
    """What the person gets to see: sender, text and, of a WAP-push, its link."""

    sender: str
    text: str
    url: str


def told(content: Content) -> Told:
    """Of the first channel: a fallback says the same. A card's text is all its fields, one a line."""
    get = content.get
    if content.channels[0] == VIBER:
        return Told(get("sender_viber"), get("text_viber"), "")
    if content.kind == VCARD:
        fields = {"name": get("name"), **content.card}
        return Told(get("sender"), "\n".join(fields[name] for name in sorted(fields)), "")
    return Told(get("sender"), get("text"), get("url") if content.kind == WAP_PUSH else "")


def parts_of(content: Content) -> int:
    """Segments of the first channel; a Viber message is one [unknown - assumption]."""
    if content.channels[0] != SMS:
        return 1
    text = content.get("text")
    return segments_of(CYRILLIC.sub("x", text) if content.get("translite") == "1" else text)
