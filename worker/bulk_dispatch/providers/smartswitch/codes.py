"""The words of SMARTSwitch: what each amounts to.

Source: the public SMARTSwitch wiki, which publishes one code of an error.
"""

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import CREDENTIALS, MALFORMED, MONEY, THROTTLED, UNREADABLE

STATUSES = {
    "ok": Status.SENT,  # sent and charged
    "error": Status.QUEUED,  # neither sent nor charged, for a reason they do not give: safe to try once more
}
"""`attributes.status` of one message. Refused a second time, it is REJECTED."""

ERRORS = {"authentication": CREDENTIALS}
"""`errors[].code`, as far as it is published."""

ERROR_WORDS = {
    "balance": MONEY,
    "credit": MONEY,
    "money": MONEY,
    "limit": THROTTLED,
    "throttle": THROTTLED,
    "throttled": THROTTLED,
    "throttling": THROTTLED,
    "busy": THROTTLED,
    "number": MALFORMED,
    "destination": MALFORMED,
    "body": MALFORMED,
}
"""Whole words of an unpublished code, in the order of weight: a guess. Beside a `time` that ran out they say
nothing of what was done before."""

WEIGHT = [failure.name for failure in (CREDENTIALS, MONEY, UNREADABLE, THROTTLED, MALFORMED)]
"""Of several errors, which one decides: the account's, then what nobody knows."""

PASSING = (MONEY.name, THROTTLED.name)
"""What is no refusal of the message: it leaves once the account has money, or they have time."""

STATES = {
    "enroute": Status.SENT,
    "accepted": Status.SENT,  # by a further hop
    "unknown": Status.SENT,  # not known, so wait
    "delivered": Status.DELIVERED,
    "expired": Status.EXPIRED,
    "undeliverable": Status.UNDELIVERABLE,
    "rejected": Status.REJECTED,
}
"""States in receipts."""
