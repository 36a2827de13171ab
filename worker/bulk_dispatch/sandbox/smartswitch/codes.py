"""The words of the SMARTSwitch sheet."""

from enum import StrEnum

LATIN_OK, CYRILLIC_OK = "ok", "\u043e\u043a"  # sent and charged: in the samples, and in the table (trap 3)
ERROR = "error"  # not sent, not charged; there is no reason beside it


class CallError(StrEnum):
    """`errors[].code` of a call that was refused as a whole (sheet section 3).

    Only the first is published. The sandbox gives the next two by itself, and they hold none of the words by
    which the sheet guesses at a class; the rest, for the script, hold one each.
    """

    AUTHENTICATION = "authentication"  # bad login or password [seed]
    PARAMETERS = "parameters"  # missing, unknown, wrongly grouped or encoded
    SIZE = "size"  # too many recipients, or too long a query
    INTERNAL = "internal"
    BALANCE = "low_balance"
    CREDIT = "no_credit"
    MONEY = "no_money"
    LIMIT = "rate_limit"
    THROTTLED = "throttled"
    BUSY = "busy"
    NUMBER = "bad_number"
    DESTINATION = "unknown_destination"
    BODY = "empty_body"
    TIMEOUT = "timeout"  # of theirs: what they did before it nobody knows


class State(StrEnum):
    """`message_state` of a receipt (sheet section 4) [vendor docs]; which are final is its assumption."""

    ENROUTE = "enroute"
    ACCEPTED = "accepted"  # taken by a further hop
    UNKNOWN = "unknown"
    DELIVERED = "delivered"  # final
    EXPIRED = "expired"  # final
    UNDELIVERABLE = "undeliverable"  # final
    REJECTED = "rejected"  # final


NEWS = (State.ENROUTE, State.ACCEPTED, State.UNKNOWN)  # not final
