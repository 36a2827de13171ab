"""What makes the provider refuse one recipient (sheet sections 2 and 6)."""

import re

from bulk_dispatch.sandbox.smartswitch.reading import Message

# Digits only, international, no plus [seed]. E.164: no country begins with nought, 15 digits are the most.
NUMBER = re.compile(r"[1-9][0-9]{6,14}")
SOURCE_NUMBER = re.compile(r"[0-9]{1,15}")  # [assumption of the sheet]
LONGEST_SOURCE_NAME = 11  # [assumption of the sheet]
REQUEST_ID = re.compile(r"[0-9A-Za-z-]{1,64}")  # [assumption of the sheet]
OWN_ID = re.compile(r"[1-9][0-9]{0,17}")
FLAG = re.compile(r"[01]")
MOST_SEGMENTS = 255  # the number of parts is one octet (3GPP TS 23.040)


PLUS = re.compile(r"\+[1-9][0-9]{6,14}")  # where an installation wants it


def is_allowed(message: Message, segments: int, number: re.Pattern[str] = NUMBER) -> bool:
    """Otherwise its status is `error`. A reason is not given to the customer, and so not here."""
    return bool(
        number.fullmatch(message.destination_number)
        and _source_fits(message)
        and _optional(FLAG, message.require_dlr)
        and _optional(FLAG, message.stealth_ping)
        and _optional(REQUEST_ID, message.request_id)
        and (message.body or message.stealth_ping == "1")
        and segments <= MOST_SEGMENTS
    )


def own_id(request_id: str) -> int | None:
    """The customer's own number, for the counts: many number their calls."""
    return int(request_id) if OWN_ID.fullmatch(request_id) else None


def _source_fits(message: Message) -> bool:
    """A name or a number, never both [assumption of the sheet]; neither means the account's own."""
    if message.source_name:
        return not message.source_number and len(message.source_name) <= LONGEST_SOURCE_NAME
    return _optional(SOURCE_NUMBER, message.source_number)


def _optional(form: re.Pattern[str], value: str) -> bool:
    """An empty value is as good as none: it stands there to keep the groups equal."""
    return not value or form.fullmatch(value) is not None
