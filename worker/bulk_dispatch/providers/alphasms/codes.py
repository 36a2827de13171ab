"""The codes of AlphaSMS XML: what each amounts to, by the question it answers.

Source: AlphaSMS documentation. A number means one thing in `<error>`, where it is about the whole request,
and another in `<msg>`; there 1 means accepted, whichever question it answers, and 102 alone means delivered.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import CREDENTIALS, MALFORMED, MONEY, SERVER_ERROR, THROTTLED, Failure
from bulk_dispatch.providers.interface import JobPhase


class CodeMeaning(NamedTuple):
    """What a code in `<msg>` amounts to."""

    status: Status | None
    failure: Failure | None = None
    known: bool = True
    denies: bool = False  # it says that they do not have the message
    strange: bool = False
    used: bool = False  # they had a message under this id before


class Codes(NamedTuple):
    """The codes of one question."""

    table: Mapping[str, CodeMeaning]
    completed: Mapping[str, CodeMeaning]  # goes before, once `date_completed` stands beside the code
    lost: CodeMeaning  # what a code we do not know amounts to, and what contradictory ones do
    refused: CodeMeaning  # the same of a new code that says by its form that they refuse


CODE = re.compile(r"[0-9]{1,3}")  # one we know or one they may add
REFUSAL = re.compile(r"[2-9][0-9]{2}")  # "a refusal code (200 and up)"

REFUSALS = {
    "200": SERVER_ERROR,  # ERR_UNKNOWN: nobody can tell what they did before it
    "201": MALFORMED,  # ERR_FORMAT
    "202": CREDENTIALS,  # ERR_AUTHORIZATION
    "205": CREDENTIALS,  # ERR_USER_DISABLE
    "209": CREDENTIALS,  # ERR_API_DISABLE
    "210": CREDENTIALS,  # ERR_IP_DENIED
    "212": THROTTLED,  # ERR_THROTTLE
}
"""`<error>`: the request as a whole."""

DELIVERY = {
    "1": Status.SENT,  # accepted, nothing further yet
    "100": Status.SENT,  # SCHEDULED
    "101": Status.SENT,  # ENROUTE
    "102": Status.DELIVERED,
    "103": Status.EXPIRED,
    "104": Status.CANCELLED,  # DELETED
    "105": Status.UNDELIVERABLE,
    "106": Status.SENT,  # ACCEPTED; final once completed
    "107": Status.SENT,  # UNKNOWN; final once completed
    "108": Status.REJECTED,
    "109": Status.UNDELIVERABLE,  # DISCARDED
    "110": Status.SENT,  # SENDING
    "111": Status.UNDELIVERABLE,  # NOT_SUPPORTED, not billed
    "112": Status.REJECTED,  # WRONG_ALPHANAME
    "113": Status.REJECTED,  # WRONG_ALPHANAME_RETURNED
}
"""Where a message that they have stands."""

COMPLETED = {
    # The codes follow the SMPP message states. There ACCEPTED means read on the subscriber's behalf: it
    # has arrived. UNKNOWN with an end to it says that nobody will ever learn more, and that is neither
    # success nor failure; it is what unconfirmed is for.
    "106": CodeMeaning(Status.DELIVERED),
    "107": CodeMeaning(Status.UNCONFIRMED),
}
"""What is final only beside `date_completed`."""

SUBMITTED = Codes(
    {
        # They have it, wherever it stands; the first look at its state will tell.
        **dict.fromkeys(DELIVERY, CodeMeaning(Status.SENT)),
        "200": CodeMeaning(Status.IN_DOUBT),  # ERR_UNKNOWN
        "201": CodeMeaning(Status.REJECTED, denies=True),  # ERR_ID
        "202": CodeMeaning(Status.REJECTED, denies=True),  # ERR_SENDER
        "203": CodeMeaning(Status.REJECTED, denies=True),  # ERR_RECIPIENT
        "204": CodeMeaning(Status.REJECTED, denies=True),  # ERR_LENGTH
        "205": CodeMeaning(Status.QUEUED, CREDENTIALS, denies=True),  # ERR_USER_DISABLE
        "206": CodeMeaning(Status.QUEUED, MONEY, denies=True),  # ERR_BILLING
        "207": CodeMeaning(Status.QUEUED, MONEY, denies=True),  # ERR_OVERLIMIT
        "208": CodeMeaning(
            Status.IN_DOUBT, used=True
        ),  # ERR_DUPLICATE: if ours, asked for by id, and adopted
        # ERR_API_DISABLE, ERR_IP_DENIED: of a request as a whole, so whichever message they stand at.
        **dict.fromkeys(("209", "210"), CodeMeaning(Status.QUEUED, CREDENTIALS, denies=True)),
        "212": CodeMeaning(Status.QUEUED, THROTTLED, denies=True),  # ERR_THROTTLE
    },
    completed={},
    lost=CodeMeaning(Status.IN_DOUBT, strange=True),
    refused=CodeMeaning(Status.REJECTED, denies=True, strange=True),
)
"""`<msg>` in the answer to a submit."""

REPORTED = Codes(
    {
        **{code: CodeMeaning(status) for code, status in DELIVERY.items()},
        "200": CodeMeaning(None),  # ERR_UNKNOWN: of the question, not of the message
        "201": CodeMeaning(None, known=False, denies=True),  # ERR_ID
        # Refused after it was taken with a whole job, as are the next two.
        "202": CodeMeaning(Status.REJECTED, denies=True),
        "203": CodeMeaning(Status.REJECTED, denies=True),
        "204": CodeMeaning(Status.REJECTED, denies=True),
        # Who is not let in learns nothing of the message.
        **dict.fromkeys(("205", "209", "210"), CodeMeaning(None, CREDENTIALS)),
        # Refused within a job, or the account's word to whatever it is asked: no more than a denial.
        "206": CodeMeaning(None, MONEY, known=False, denies=True),
        "207": CodeMeaning(None, MONEY, known=False, denies=True),
        "208": CodeMeaning(None, used=True),  # refused with its job, for its id is taken
        "211": CodeMeaning(None),  # ERR_DELETE: of a cancellation
        "212": CodeMeaning(None),  # asked too fast: the sending need not suffer for it
    },
    COMPLETED,
    lost=CodeMeaning(None, strange=True),
    refused=CodeMeaning(None, strange=True),  # of the question perhaps, and not of the message
)
"""`<msg>` in the answer to a status request."""

WITHDRAWN = Codes(
    {
        # 104 is what was wanted; any other state says that it was too late, and where the message stands.
        **{code: CodeMeaning(status) for code, status in DELIVERY.items()},
        "201": CodeMeaning(None, known=False, denies=True),  # ERR_ID
        "211": CodeMeaning(None),  # ERR_DELETE: too late
        # The rest is no answer: something kept them from trying, or it belongs to a sending.
        "200": CodeMeaning(None, SERVER_ERROR),
        **dict.fromkeys(("205", "209", "210"), CodeMeaning(None, CREDENTIALS)),
        **dict.fromkeys(("206", "207"), CodeMeaning(None, MONEY)),
        "212": CodeMeaning(None, THROTTLED),
        **dict.fromkeys(("202", "203", "204", "208"), CodeMeaning(None, strange=True)),
    },
    COMPLETED,
    lost=CodeMeaning(None, strange=True),
    refused=CodeMeaning(None, strange=True),  # of the question perhaps, and not of the message
)
"""`<msg>` in the answer to a `delete`. They publish no table of it: the mapping is our reading."""

JOBS = {
    "WAITING": JobPhase.RUNNING,
    "RUNNING": JobPhase.RUNNING,
    "COMPLETE": JobPhase.DONE,  # says nothing of a single message
    "FAILED": JobPhase.BROKEN,  # a part of them may have been taken
    "NOTFOUND": JobPhase.GONE,
}
"""`<status>` of a job."""
