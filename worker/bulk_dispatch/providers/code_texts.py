"""What the codes of providers say, in words: one table for all that people are shown.

Only numbers need it. The words of webcom and SMARTSwitch, and AlphaSMS's errors over HTTP, say it themselves.
Source: the providers' pages, as protocol sheets have them.
"""

from collections.abc import Mapping

from bulk_dispatch.domain.status import Status

_ALPHASMS_XML: Mapping[str, str] = {
    "1": "accepted",
    "100": "scheduled",
    "101": "under way",
    "102": "delivered",
    "103": "validity ran out",
    "104": "deleted",
    "105": "absent subscriber",  # UNDELIVERABLE
    "106": "accepted on the subscriber's behalf",
    "107": "state unknown",
    "108": "refused by the network",
    "109": "discarded",
    "110": "being handed to the network",
    "111": "operator not supported, not billed",
    "112": "sender not approved by the operator",
    "113": "sender not approved by the operator, money returned",
    "200": "unspecified error",
    "201": "bad message id",
    "202": "bad sender",
    "203": "bad number",
    "204": "text empty or too long",
    "205": "customer disabled",
    "206": "billing error",
    "207": "message quota used up",
    "208": "id used before",
    "209": "API switched off in their panel",
    "210": "our address is not on their list",
    "211": "cannot be deleted any more",
    "212": "sending too fast",
}

_OF_THE_REQUEST: Mapping[str, Mapping[str, str]] = {
    "alphasms-xml": {
        "200": "unspecified error",
        "201": "document malformed",
        "202": "bad key or login",
    }
}
"""Where a code is about a whole request it may say something else. Then its messages are queued again."""

_CODES: Mapping[str, Mapping[str, str]] = {
    "alphasms-xml": _ALPHASMS_XML,
    "alphasms-http": {
        "0": "pending",
        "1": "being sent",
        "2": "sent",
        "3": "delivered",
        "5": "out of reach",
        "10": "deleted",
        "50": "partly delivered",
        "95": "operator not supported",
        "96": "network failure",
        "99": "bad number, or not in service",
        "116": "read",
    },
    "webcom-xml": {
        "not_deliver": "not delivered",
        "partly_deliver": "sent, and no receipt ever came",
    },
}


def meaning(provider: str | None, code: str | None, target: str | None = None) -> str:
    """A provider's code in words, as it brought a message to the status `target`; empty if it says so itself,
    or nobody knows it."""
    whole = _OF_THE_REQUEST if target == Status.QUEUED else {}
    return whole.get(provider or "", {}).get(code or "") or _CODES.get(provider or "", {}).get(code or "", "")


def in_words(provider: str | None, code: str | None, target: str | None = None) -> str:
    """The code with its words, as people are shown it; empty if there is none.

    >>> in_words("alphasms-xml", "105")
    '105 absent subscriber'
    """
    return " ".join(filter(None, (code, meaning(provider, code, target))))
