"""What the frame and one provider's package know of each other.

A family (`alphasms`, `webcom`, `smartswitch`) has one `Account`, and one `Provider` for each dialect that
leads to it. A provider reads requests strictly, judges them, and answers; it knows no socket, no script and
no clock. The frame routes, counts, misbehaves on the wire and spoils answers; it knows no protocol.
`providers` lists the families.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Flag, auto
from math import ceil
from typing import Any, Literal, NamedTuple, Protocol

from bulk_dispatch.sandbox.account import Account, Record

Code = int | str  # of a report, in the provider's own words: a number, or a name where it has none


class Call(NamedTuple):
    """A request as it came, whole."""

    method: str
    path: str
    query: bytes  # without the question mark, still percent-encoded
    headers: Mapping[str, str]  # names in lower case (or any, if the mapping does not care)
    body: bytes


class Reply(NamedTuple):
    """An answer as it leaves."""

    body: bytes
    media_type: str
    status: int = 200
    coding: str = ""  # its Content-Encoding, for an answer that was spoilt so


class Refused(Exception):
    """A request that cannot be read, or is not allowed: answered whole, and no rule of the script sees it."""

    def __init__(self, command: str, reply: Reply) -> None:
        super().__init__(command)
        self.command = command  # for the counts: the command's name if it was understood, else "unreadable"
        self.reply = reply


class Trait(Flag):
    """What the script has to know of a command. `Trait(0)`: nothing special, such as a balance."""

    SENDS = auto()  # takes messages; the alias "send" of a rule means all of these
    ASKS = auto()  # asks for states; the alias "status"
    LISTS = auto()  # its answer has one item a message: `Answer.items`
    SUBMITS_JOB = auto()  # answered with a job
    JOB = auto()  # asks for a job


class Request(Protocol):
    """A readable request of somebody we know. All else in it is between a provider and itself."""

    @property
    def command(self) -> str:
        """One of `Provider.commands`."""

    @property
    def recipients(self) -> Collection[str]:
        """Digits of the numbers it sends to; empty for what sends nothing. Read by rules with a recipient."""


@dataclass(frozen=True)
class Orders:
    """What the script wants to become of the items, whatever the protocol would say."""

    code: Code | None = None  # a report for `share` of the items; they are not taken, or not known
    share: float = 1.0  # of the items; with job_end: those the job takes, from the front
    job_end: str = "COMPLETE"  # AlphaSMS jobs only

    def codes(self, count: int) -> list[Code | None]:
        """The report put in the place of each item's own, or None; spread evenly, always the same."""
        if self.code is None:
            return [None] * count
        share = self.share
        return [
            self.code if ceil((place + 1) * share) > ceil(place * share) else None for place in range(count)
        ]


@dataclass(frozen=True)
class Answer:
    """The truth, before the frame spoils it. `items`: one a message if the command lists, else none."""

    items: list[Any]
    write: Callable[[list[Any]], Reply]  # the whole answer of these items


class News(NamedTuple):
    """A message and an instant (seconds since 1970) when its state changed."""

    record: Record
    at: float


class Push(NamedTuple):
    """One POST to whoever listens for states."""

    body: bytes
    media_type: str


class Receipts(Protocol):
    """How a provider tells of states by itself."""

    @property
    def most(self) -> int:
        """News in one call."""

    @property
    def attempts(self) -> int:
        """Calls in all before it gives up on a piece of news."""

    def instants(self, record: Any) -> Sequence[float]:
        """When there will be something to tell of this message, in order; empty: never."""

    def push(self, news: Sequence[News]) -> Push:
        """The call that tells the states the messages had at those instants."""

    def acknowledged(self, status: int, body: bytes, news: Sequence[News]) -> Collection[int]:
        """The numbers of those the listener's answer says it has taken."""

    def strangers(self, count: int, at: float) -> list[News]:
        """News of messages nobody has sent."""


class Provider(Protocol):
    """One dialect, at its own addresses. Instants are seconds since 1970."""

    name: str  # as in a route: "alphasms-xml"
    paths: Mapping[str, Sequence[str]]  # address to HTTP methods
    commands: Mapping[str, Trait]
    shape: Literal["xml", "json", "text"]  # of its answers
    errors: Mapping[Code, Reply]  # reports on a whole request, for the fault `error`
    throttled: Reply | None  # to a request too many; None where no such answer is documented
    receipts: Receipts | None

    @property
    def account(self) -> Account[Any]:
        """Of its family."""

    def read(self, call: Call) -> Request:
        """The request; raises `Refused`."""

    def answer(self, request: Any, orders: Orders, now: float) -> Answer:
        """Do it (`account.keep`), and say so. On disk before this returns."""

    def has_code(self, code: Code) -> bool:
        """Whether `Orders.code` may be this: for the faults `message_code` and `unknown_code`."""

    def recoded(self, item: Any, code: Code) -> Any:
        """The same item with this report in its place, known to the sheet or not."""

    def strangers(self, command: str, count: int) -> list[Any]:
        """Items of such an answer about messages nobody has sent."""
