"""Failures: whatever goes wrong with a provider, by name.

Each is a value that says whether they can have the messages, and what to do with the route. What is not
proven untaken is in doubt.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum


class Acceptance(Enum):
    """Can they have it?"""

    NOT_ACCEPTED = "no"  # surely not: safe to queue again, here or elsewhere
    UNKNOWN = "perhaps"  # nobody knows: in doubt


class RouteAction(Enum):
    """What a failure asks of the route."""

    NONE = "none"  # carry on
    PAUSE = "pause"  # back off, then try again by itself
    STOP = "stop"  # nothing will work until a person has acted
    BISECT = "halve"  # one message may be spoiling the document: look for it


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure we know by name. `detail` is for people: never a text, a number or a credential."""

    name: str
    taken: Acceptance
    remedy: RouteAction
    meaning: str
    code: str = ""
    detail: str = ""
    wait: timedelta = field(default=timedelta(0), compare=False)  # how long the route should pause at least

    def because(self, code: str = "", detail: str = "") -> "Failure":
        """The same failure with the provider's code, or with what was seen."""
        return replace(self, code=code, detail=detail)

    def doubted(self) -> "Failure":
        """The same, where nobody knows whether they have it: to look for a bad message may repeat others."""
        remedy = RouteAction.PAUSE if self.remedy is RouteAction.BISECT else self.remedy
        return replace(self, taken=Acceptance.UNKNOWN, remedy=remedy)

    def __str__(self) -> str:
        about = ", ".join(part for part in (f"code {self.code}" if self.code else "", self.detail) if part)
        return f"{self.name}: {self.meaning}" + (f" ({about})" if about else "")


NOT_SENT = Failure("not_sent", Acceptance.NOT_ACCEPTED, RouteAction.PAUSE, "the request never left")
LOST = Failure("lost", Acceptance.UNKNOWN, RouteAction.PAUSE, "the request left and no answer came")
THROTTLED = Failure("throttled", Acceptance.NOT_ACCEPTED, RouteAction.PAUSE, "too fast for them")
CREDENTIALS = Failure("credentials", Acceptance.NOT_ACCEPTED, RouteAction.STOP, "they do not let us in")
MONEY = Failure("money", Acceptance.NOT_ACCEPTED, RouteAction.PAUSE, "money or quota used up")
MALFORMED = Failure("malformed", Acceptance.NOT_ACCEPTED, RouteAction.BISECT, "they cannot read our document")
MISDIRECTED = Failure(
    "misdirected", Acceptance.NOT_ACCEPTED, RouteAction.STOP, "that address does not take messages"
)
NOT_OFFERED = Failure("not_offered", Acceptance.UNKNOWN, RouteAction.PAUSE, "they do not offer that")
SERVER_ERROR = Failure("server_error", Acceptance.UNKNOWN, RouteAction.PAUSE, "they failed while answering")
UNREADABLE = Failure("unreadable", Acceptance.UNKNOWN, RouteAction.PAUSE, "their answer cannot be understood")
COLLISION = Failure(
    "collision",
    Acceptance.UNKNOWN,
    RouteAction.STOP,
    "another ledger has used this account, and our ids are taken there",
)
REFUSING = Failure(
    "refusing",
    Acceptance.NOT_ACCEPTED,
    RouteAction.STOP,
    "they refuse message after message in words we do not know",
)

FAILURES = (
    NOT_SENT,
    LOST,
    THROTTLED,
    CREDENTIALS,
    MONEY,
    MALFORMED,
    MISDIRECTED,
    NOT_OFFERED,
    SERVER_ERROR,
    UNREADABLE,
    COLLISION,
    REFUSING,
)
"""Every failure there is."""
