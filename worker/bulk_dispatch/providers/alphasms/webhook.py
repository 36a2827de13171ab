"""What AlphaSMS pushes to the address in the customer's panel, whichever of its APIs sent the message.

Neither its method nor its body is published. One client takes an id under one of three names and a status
that is a name or a number; so a push is a hint that there is news, and the message is then asked about.
"""

import re
from collections.abc import Iterable, Sequence

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats.webhook import Record, records
from bulk_dispatch.providers.interface import Push

IDS = ("id", "msg_id", "message_id")  # theirs or ours: they do not say
ID = re.compile(r"(?!0+$)[0-9A-Za-z]{1,64}")
STATE = re.compile(r"[A-Za-z_ ]{1,40}|[0-9]{1,3}")  # as it may be kept


def read_hints(push: Push) -> Sequence[DeliveryReceipt] | Failure:
    """A hint for each id: what they say of it is kept as a code and moves nothing."""
    hints = [hint for record in records(push) for hint in _hints(record)]
    return list(dict.fromkeys(hints)) or UNREADABLE.because(detail="no id in what was pushed")


def _hints(record: Record) -> Iterable[DeliveryReceipt]:
    said = record.get("status", "").strip()
    code = said if not said or STATE.fullmatch(said) else "?"
    numbers = (record.get(name, "").strip() for name in IDS)
    return [DeliveryReceipt(number, None, code=code) for number in numbers if ID.fullmatch(number)]
