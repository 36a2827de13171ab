"""What a provider is to us: pure pairs of build and read. No I/O lives here or in any dialect.

A dialect turns our values into a Request and their Reply into StatusReports; `http_client` carries the bytes.
Whatever goes wrong is a Failure.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import ClassVar, NamedTuple
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import (
    CREDENTIALS,
    MALFORMED,
    MISDIRECTED,
    NOT_OFFERED,
    SERVER_ERROR,
    THROTTLED,
    Failure,
)


class Mode(StrEnum):
    """How a provider is to answer a package, where it has several ways."""

    SYNC = "sync"  # with a status report for each message
    ASYNC = "async"  # with a job, which is asked for its end


@dataclass(frozen=True, slots=True)
class Account:
    """An account at a provider, as its route describes it to the dialect: where, who we are, and how much.

    What is 0 or None is the dialect's to choose. `options` are the keys that the dialect alone knows
    (`Dialect.options`), texts as they stand in the routes file.
    """

    url: str
    key: str = field(default="", repr=False)
    login: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    mode: Mode = Mode.SYNC
    package_items: int = 0  # messages a package
    package_bytes: int = 0  # bytes a request, about
    in_flight: int = 0  # requests of one package at once, where each message is one
    status_items: int = 0  # messages a status request
    zone: ZoneInfo | None = None  # of the provider's times that carry none
    receipts: bool = False  # it is to push states to us
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
    """One HTTP answer, of bounded size. `ended`: its head told where it ends, by a length or in chunks, and
    there it ended; else only the connection did, and what was cut off cannot be noticed (RFC 9112, 6.3)."""

    status: int
    body: bytes = field(repr=False)
    ended: bool = True


class Asked(NamedTuple):
    """A message whose state we ask for: by our reference, by theirs, or both, as the provider allows."""

    reference: int
    provider_message_id: str = ""


class StatusReport(NamedTuple):
    """What they say of one message.

    `status` is the status their word amounts to, or None for no news (an unknown code is no news, with
    `strange` set). `known` is False when they say they have no such message. `code` is their word,
    verbatim. `failure` is set where the report also says something of the route (money out, throttled).
    `first_channel`: it is the end of its first channel only; a message that falls back goes on. `read`: they
    say that it was read, too. `suppress`: this recipient wants nothing from us. `used`: they had a message
    under our id before: ours, if we have sent it before, and else a stranger's.
    """

    reference: int
    status: Status | None
    code: str = ""
    provider_message_id: str = ""
    segments: int | None = None
    happened_at: datetime | None = None
    known: bool = True
    strange: bool = False
    failure: Failure | None = None
    first_channel: bool = False
    read: bool = False
    suppress: bool = False
    used: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """They answered message by message. Items of ours that are missing here are in doubt."""

    reports: Sequence[StatusReport]


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


class Dialect(ABC):
    """A provider's wire format for one account: what it can carry, and how that is sent.

    A dialect derives from this class, and from a `Feature` for each thing that only some providers can do:
    its first line is the list of what it does. One that lacks a method of these cannot be registered (mypy)
    nor made (Python).
    """

    kinds: ClassVar[Collection[Kind]]  # of content that it carries
    doubt: ClassVar[DoubtPolicy]  # how its doubt is settled unless the route says otherwise
    options: ClassVar[Mapping[str, str]] = {}  # keys of a route that it alone knows, and their defaults
    families: ClassVar[Mapping[Kind, str]] = {}  # of kinds; what is of another leaves apart
    code_texts: ClassVar[Mapping[str, str]] = {}  # its codes in words, where they are none themselves
    request_code_texts: ClassVar[Mapping[str, str]] = {}  # of a whole request, where they say something else
    limits: Limits  # of a package

    @abstractmethod
    def __init__(self, account: Account) -> None:
        """Raises ValueError for an option that cannot be used and for missing credentials."""

    @abstractmethod
    def check(self, message: Message) -> None:
        """Raise MessageError if this provider cannot carry the message."""

    def apart(self, kind: Kind) -> str:
        """The family of a kind; only messages of one family leave together. Those without are one, too."""
        return self.families.get(kind, "")

    @abstractmethod
    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        """The request that sends these items, in this order."""

    @abstractmethod
    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | JobTaken | Failure:
        """What became of them. Statuses are those of `settle`, and no item gets two."""


class Feature(ABC):  # noqa: B024 - those that derive from it have methods, but for two
    """Something that only some providers can do. A dialect has those that it derives from, and no other."""


class Schedules(Feature):
    """The provider holds a message until its time (`OutboundMessage.send_at`)."""

    longest_ahead: timedelta  # how long before its time a message may be handed over


class Clocks(Feature):
    """The provider reads times by a clock of its own, without an offset, and says what it shows."""

    zone: ZoneInfo  # in which that clock goes; an hour that it shows twice cannot be told to them

    @abstractmethod
    def clock(self) -> Request:
        """The request that asks what time it is there."""

    @abstractmethod
    def read_clock(self, reply: Reply, now: datetime) -> timedelta | Failure:
        """How far their clock, read in the zone we were given, is ahead of `now` (aware)."""


class Rewrites(Feature):
    """The provider may change a text on its way, if the route asks for it."""

    rewrites: bool  # it does on this route: how many segments there are is theirs to say


class Respells(Feature):
    """A text that the provider cannot be told as it was given is changed before it is counted and kept."""

    @abstractmethod
    def respelled(self, message: Message) -> Message:
        """The message as it will arrive. As such it is counted and kept."""


class Statuses(Feature):
    """The provider can be asked about messages that it has taken."""

    status_items: int  # messages a request
    status_in_flight: int = 1  # requests at once
    by_reference: ClassVar[bool]  # by our own id; else by theirs only, so not before they gave one
    dated: ClassVar[Collection[str]] = ()
    """Words of an end that their page promises never to tell without its instant."""

    @abstractmethod
    def status(self, asked: Sequence[Asked]) -> Request:
        """The request that asks for their states."""

    @abstractmethod
    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """Their states; only what was asked for is answered."""


class Cancels(Feature):
    """The provider can be told to forget a message that has not left it."""

    cancel_items: int  # messages a request

    @abstractmethod
    def cancel(self, asked: Sequence[Asked]) -> Request:
        """The request that withdraws them. To repeat it is harmless."""

    @abstractmethod
    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """CANCELLED for what will never arrive; any other news as in `read_status`; None where it is too
        late, and with `failure` or `strange` where that is no answer."""


class Jobs(Feature):
    """A package may become an asynchronous job, which is asked about until it ends."""

    job_kept: timedelta  # how long they remember one

    @abstractmethod
    def job(self, job: str) -> Request:
        """The request that asks where a job stands."""

    @abstractmethod
    def read_job(self, reply: Reply) -> JobReport | Failure:
        """Where it stands."""


# -- receipts: they tell without being asked


@dataclass(frozen=True, slots=True)
class Push:
    """What they sent to our address. It is of bounded size, and as untrusted as any answer."""

    body: bytes = field(repr=False)
    query: str = field(default="", repr=False)  # as it stands in the URL, undecoded
    content_type: str = ""


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What they want to hear once we have their receipts; always with HTTP 200."""

    body: bytes = field(default=b"OK", repr=False)
    media_type: str = "text/plain"


class Receipts(Feature):
    """The provider pushes states to us."""

    hints: ClassVar[bool]  # a push says only that there is news: the message is then asked about

    @abstractmethod
    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        """What was pushed, in its order; UNREADABLE if it cannot be understood."""

    def acknowledge(self, receipts: Sequence[DeliveryReceipt]) -> Acknowledgement:  # noqa: ARG002 - names none of them
        """The answer that says we have these, and for ever: a plain OK, unless they document another."""
        return Acknowledgement()


def joined(reports: Iterable[StatusReport], lost: Status | None) -> list[StatusReport]:
    """One status report a message; those that contradict each other decide nothing, and it is `lost`."""
    found: dict[int, StatusReport] = {}
    for report in reports:
        first = found.setdefault(report.reference, report)
        if first is not report and first != report:
            found[report.reference] = StatusReport(report.reference, lost, code=first.code, strange=True)
    return list(found.values())


def read_http(reply: Reply) -> Failure | None:
    """The failure an HTTP status alone amounts to, the same for every provider; None for 200.

    429 means throttled wherever it is used. Other client errors say that the web server turned the request
    away; anything else that is not 200 leaves it open whether the application has seen it.
    """
    if reply.status == 200:
        return None
    return _HTTP.get(reply.status, SERVER_ERROR).because(detail=f"HTTP {reply.status}")


_HTTP = {
    429: THROTTLED,
    **dict.fromkeys((401, 403), CREDENTIALS),
    **dict.fromkeys((404, 405, 410), MISDIRECTED),
    **dict.fromkeys((400, 411, 413, 414, 415, 422), MALFORMED),
    501: NOT_OFFERED,
}
