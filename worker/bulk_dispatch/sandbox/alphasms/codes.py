"""The code tables of the AlphaSMS sheet. The same number means different things at different levels."""

from enum import IntEnum


class RequestError(IntEnum):
    """A report on the whole document, in `<error>` (sheet section 4) [vendor docs]."""

    UNKNOWN = 200  # unspecified; the outcome is open
    FORMAT = 201  # the document is malformed; nothing accepted [assumption of the sheet]
    AUTHORIZATION = 202  # bad key or login
    USER_DISABLE = 205  # customer disabled
    API_DISABLE = 209  # API switched off in the panel
    IP_DENIED = 210  # the caller's address is not on the list
    THROTTLE = 212  # sending rate exceeded


class Refusal(IntEnum):
    """A report on one message that was not taken (sheet section 5)."""

    UNKNOWN = 200  # unspecified
    ID = 201  # on sending: a bad id; on asking: an id not known
    SENDER = 202  # bad sender
    RECIPIENT = 203  # bad number
    LENGTH = 204  # text empty or too long; the sandbox also uses it for what has no code of its own
    USER_DISABLE = 205  # customer disabled [client code]
    BILLING = 206  # money
    OVERLIMIT = 207  # quota
    DUPLICATE = 208  # this own id was used before; nothing was sent now
    DELETE = 211  # could not be deleted: the answer to `delete` only
    THROTTLE = 212  # too fast [client code]


class State(IntEnum):
    """How far a taken message has come (sheet section 6) [vendor docs]. Those the sandbox uses."""

    ACCEPTED = 1  # received, nothing further yet
    SCHEDULED = 100  # waiting for its time
    ENROUTE = 101  # under way
    DELIVERED = 102  # final
    EXPIRED = 103  # final: validity ran out
    DELETED = 104  # final: removed before it left
    UNDELIVERABLE = 105  # final
    REJECTED = 108  # final: refused by a delivery interface
    SENDING = 110  # being handed to the network
