"""What the numbers of AlphaSMS say, in words for people.

Source: AlphaSMS documentation. Its errors over HTTP are words already.
"""

from collections.abc import Mapping

XML_TEXTS: Mapping[str, str] = {
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
"""Of a message."""

XML_REQUEST_TEXTS: Mapping[str, str] = {
    "200": "unspecified error",
    "201": "document malformed",
    "202": "bad key or login",
}
"""Of a whole request, where the same number may say something else."""

HTTP_TEXTS: Mapping[str, str] = {
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
}
