"""What a provider is to us: pure pairs of build and read. No I/O lives here or in any dialect.

A dialect turns our values into a Request and their Reply into Verdicts. Somebody else carries the bytes.
Whatever goes wrong is a Failure: a record that says whether they can have the messages, and what to do
with the route. What is not proven untaken is in doubt.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import ClassVar, Protocol, runtime_checkable

from worker.sms.doubt import Doubt
from worker.sms.message import Message
from worker.sms.package import Item, Limits
from worker.sms.status import Status


class Taken(Enum):
    """Can they have it?"""

    NO = "no"  # surely not: safe to queue again, here or elsewhere
    PERHAPS = "perhaps"  # nobody knows: in doubt


class Remedy(Enum):
    """What a failure asks of the route."""

    NONE = "none"  # carry on
    PAUSE = "pause"  # back off, then try again by itself
    STOP = "stop"  # nothing will work until a person has acted
    HALVE = "halve"  # one message may be spoiling the document: look for it


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure we know by name. `detail` is for people: never a text, a number or a credential."""

    name: str
    taken: Taken
    remedy: Remedy
    meaning: str
    code: str = ""
    detail: str = ""

    def because(self, code: str = "", detail: str = "") -> "Failure":
        """The same failure with the provider's code, or with what was seen."""
        return replace(self, code=code, detail=detail)

    def __str__(self) -> str:
        about = ", ".join(part for part in (f"code {self.code}" if self.code else "", self.detail) if part)
        return f"{self.name}: {self.meaning}" + (f" ({about})" if about else "")


NOT_SENT = Failure("not_sent", Taken.NO, Remedy.PAUSE, "the request never left")
LOST = Failure("lost", Taken.PERHAPS, Remedy.PAUSE, "the request left and no answer came")
THROTTLED = Failure("throttled", Taken.NO, Remedy.PAUSE, "too fast for them")
CREDENTIALS = Failure("credentials", Taken.NO, Remedy.STOP, "they do not let us in")
MONEY = Failure("money", Taken.NO, Remedy.PAUSE, "money or quota used up")
MALFORMED = Failure("malformed", Taken.NO, Remedy.HALVE, "they cannot read our document")
MISDIRECTED = Failure("misdirected", Taken.NO, Remedy.STOP, "that address does not take messages")
SERVER_ERROR = Failure("server_error", Taken.PERHAPS, Remedy.PAUSE, "they failed while answering")
UNREADABLE = Failure("unreadable", Taken.PERHAPS, Remedy.PAUSE, "their answer cannot be understood")

FAILURES = (
    NOT_SENT,
    LOST,
    THROTTLED,
    CREDENTIALS,
    MONEY,
    MALFORMED,
    MISDIRECTED,
    SERVER_ERROR,
    UNREADABLE,
)
"""Every failure there is."""


@dataclass(frozen=True, slots=True)
class Account:
    """Our login at a provider, as a dialect needs it."""

    url: str
    key: str = field(default="", repr=False)
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be seen in a log, an error or a repr."""
        return tuple(secret for secret in (self.key, self.login, self.password, self.token) if secret)


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, complete. Body and headers carry credentials and texts, so the repr hides them."""

    url: str = field(repr=False)
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer, complete and of bounded size."""

    status: int
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """A message whose state we ask for: by our reference, by theirs, or both, as the provider allows."""

    reference: int
    provider_id: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What they say of one message.

    `status` is the status their word amounts to, or None for no news (an unknown code is no news, with
    `strange` set). `known` is False when they say they have no such message. `code` is their word,
    verbatim. `failure` is set where the verdict also says something of the route (money out, throttled).
    """

    reference: int
    status: Status | None
    code: str = ""
    provider_id: str = ""
    segments: int | None = None
    happened_at: datetime | None = None
    known: bool = True
    strange: bool = False
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """They answered message by message. Items of ours that are missing here are in doubt."""

    verdicts: Sequence[Verdict]


@dataclass(frozen=True, slots=True)
class JobTaken:
    """They took the package as an asynchronous job; nothing is known of its messages yet."""

    job: str


class JobPhase(Enum):
    """Where a job stands."""

    RUNNING = "running"  # waiting or being worked on: look again
    DONE = "done"  # every message has been dealt with: ask for each
    BROKEN = "broken"  # broke off; a part may have been taken: ask for each, after a wait
    GONE = "gone"  # they do not know it (yet, or any more)


@dataclass(frozen=True, slots=True)
class JobReport:
    """What they say of a job; `code` is their word."""

    phase: JobPhase
    code: str = ""


class Dialect(Protocol):
    """A provider's wire format for one account: two pairs, and what it can carry."""

    limits: Limits  # for one submit
    status_items: int  # for one status request
    doubt: ClassVar[Doubt]  # how its doubt is settled unless the route says otherwise

    def check(self, message: Message) -> None:
        """Raise MessageError if this provider cannot carry the message."""

    def submit(self, items: Sequence[Item]) -> Request:
        """The request that sends these items, in this order."""

    def read_submit(self, items: Sequence[Item], reply: Reply) -> Answered | JobTaken | Failure:
        """What became of them. Verdict statuses are those of `settle`, and no item gets two."""

    def status(self, asked: Sequence[Asked]) -> Request:
        """The request that asks for their states."""

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """Their states; only what was asked for is answered."""


@runtime_checkable
class Jobs(Protocol):
    """A dialect whose packages may become asynchronous jobs."""

    job_kept: timedelta  # how long they remember one

    def job(self, job: str) -> Request:
        """The request that asks where a job stands."""

    def read_job(self, reply: Reply) -> JobReport | Failure:
        """Where it stands."""


def read_http(reply: Reply) -> Failure | None:
    """The failure an HTTP status alone amounts to, the same for every provider; None for 200.

    429 means throttled wherever it is used. Other client errors say that the web server turned the request
    away; anything else that is not 200 leaves it open whether the application has seen it.
    """
    if reply.status == 200:
        return None
    seen = f"HTTP {reply.status}"
    if reply.status == 429:
        return THROTTLED.because(detail=seen)
    if reply.status in (401, 403):
        return CREDENTIALS.because(detail=seen)
    if reply.status in (404, 405, 410):
        return MISDIRECTED.because(detail=seen)
    if reply.status in (400, 411, 413, 414, 415, 422):
        return MALFORMED.because(detail=seen)
    return SERVER_ERROR.because(detail=seen)
