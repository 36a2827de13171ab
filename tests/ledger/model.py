"""The ledger as plain dicts: what each transition makes of it, worked out without SQL, locks or threads.

Of the product it takes the names of things and the transitions, no more. Time is counted in ticks and
stands still while somebody acts.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, auto

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import CORRECTABLE, FINAL, TAKEN, EventType, Status, sources
from bulk_dispatch.ledger.transitions import Clock

TICK = timedelta(hours=1)
"""Long enough that the real time an example takes is nothing beside it, on a busy machine too."""

OVER = (PackageState.REFUSED, PackageState.UNSENT, PackageState.CLOSED)

Line = tuple[EventType, Status | None, Status, int | None]
"""One line of history: type, status before, status after, package."""


class Who(Enum):
    """Who writes about a package."""

    HOLDER = auto()  # the dispatcher it was handed to, in time or late
    OTHER = auto()  # a poll, a rescue, a receipt


@dataclass
class ModelMessage:
    """A message; `due` while it is queued, `late` the tick from which it may not be sent any more."""

    route: str
    lane: Lane
    campaign: str
    text: str
    recipient: str
    status: Status
    due: int | None
    late: int | None
    package: int | None = None
    attempts: int = 0
    history: list[Line] = field(default_factory=list)

    @property
    def nobody_got_it(self) -> bool:
        """Whether it came to its end, and no provider had it or may have it."""
        return self.status in CORRECTABLE and not TAKEN & {to_status for _, _, to_status, _ in self.history}


@dataclass
class ModelPackage:
    """A package with its clocks, as ticks; None where a clock stands still."""

    route: str
    lane: Lane
    items: int
    rescue: int | None
    poll: int | None = None
    doubted: int | None = None
    state: PackageState = PackageState.OPEN
    job: str | None = None
    poll_count: int = 0
    inquiry_count: int = 0


@dataclass
class ModelRoute:
    """A route's door."""

    state: str = "active"
    until: int | None = None
    failures: int = 0
    unresolvable: set[int] = field(default_factory=set)  # which of them left doubt


@dataclass(frozen=True)
class Hand:
    """Who may be sending a message now: the dispatcher that was given `package`, for so long."""

    package: int
    until: int


@dataclass(frozen=True)
class Look:
    """When to look again, in ticks from now."""

    poll: int
    rescue: int


@dataclass(frozen=True)
class DeliveryReceipt:
    """What somebody says of a message, about the package he knows it in."""

    message: int
    package: int
    to_status: Status
    delay: int = 0
    tried: bool = False


@dataclass
class Model:
    """The book. Messages by client id, packages by number; the messages that were corrected beside.

    `hands` is a book of its own: it knows what dispatchers were given and have given back themselves, and
    nothing of what others wrote about it. That no message is in two hands follows from it alone.
    """

    routes: dict[str, ModelRoute]
    now: int = 0
    messages: dict[str, ModelMessage] = field(default_factory=dict)
    corrected: dict[str, list[ModelMessage]] = field(default_factory=dict)
    packages: dict[int, ModelPackage] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)  # the ledger's id to client id, once it was claimed
    hands: dict[str, Hand] = field(default_factory=dict)
    stopped: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)  # campaigns
    duplicates: int = 0
    conflicts: set[str] = field(default_factory=set)

    # -- enqueue

    def enter(self, message: Message, late: int | None) -> None:
        """A client id that was never seen before."""
        stopped = message.recipient in self.stopped
        status = Status.SUPPRESSED if stopped else Status.QUEUED
        self.messages[message.client_id] = ModelMessage(
            message.route,
            message.lane,
            message.campaign,
            message.text,
            message.recipient,
            status,
            None if stopped else self.now,
            late,
        )
        self.messages[message.client_id].history.append((EventType.ENQUEUE, None, status, None))

    def correct(self, message: Message, late: int | None) -> None:
        """In the stead of one that nobody got. Whoever had that in hand has nothing more to do with it."""
        name = message.client_id
        self.corrected.setdefault(name, []).append(self.messages.pop(name))
        self.hands.pop(name, None)
        self.enter(message, late)

    def all_of(self, name: str) -> list[ModelMessage]:
        """All messages there ever were under a client id, the oldest first."""
        return [*self.corrected.get(name, []), self.messages[name]]

    # -- the transitions

    def move(
        self,
        event_type: EventType,
        name: str,
        package: int | None,
        to_status: Status,
        *,
        into: int | None = None,
    ) -> bool:
        """Move one message, if it is still in `package` and that transition is allowed."""
        message = self.messages[name]
        if message.package != package or message.status not in sources(event_type, to_status):
            return False
        message.history.append((event_type, message.status, to_status, into or package))
        message.status = to_status
        message.due = None
        return True

    def settle(self, word: DeliveryReceipt, who: Who) -> bool:
        """One message out of a request, or out of doubt."""
        name = self.names[word.message]
        if not self.move(EventType.SETTLE, name, word.package, word.to_status):
            return False
        message = self.messages[name]
        message.attempts += word.tried
        if word.to_status is Status.QUEUED:
            message.package, message.due = None, self.now + word.delay
        if who is Who.HOLDER:
            self.give_back(name, word.package)
        return True

    def report(self, word: DeliveryReceipt) -> bool:
        """What became of one message in the network."""
        name = self.names[word.message]
        moved = self.move(EventType.REPORT, name, word.package, word.to_status)
        self.messages[name].attempts += word.tried and moved
        return moved

    # -- hands

    def hand_out(self, name: str, package: int, lease: int, *, of: int | None = None) -> None:
        """Give a message to a dispatcher: nobody may have it in hand, but himself as part of package `of`."""
        hand = self.hands.get(name)
        free = hand is None or hand.until <= self.now or hand.package == of
        assert free, f"{name} is handed out with package {package} while {hand} may be sending it"
        self.hands[name] = Hand(package, self.now + lease)

    def give_back(self, name: str, package: int) -> None:
        """The dispatcher has no more to do with it. A late one gives back nothing that is another's."""
        hand = self.hands.get(name)
        if hand is not None and hand.package == package:
            del self.hands[name]

    # -- packages

    def inside(self, package: int, *statuses: Status) -> list[str]:
        """The messages of a package in these statuses; all of them, if none is named."""
        return [
            name
            for name, message in self.messages.items()
            if message.package == package and (not statuses or message.status in statuses)
        ]

    def open_package(self, number: int, route: str, lane: Lane, names: Iterable[str], lease: int) -> None:
        """A new package, leased to whoever opened it."""
        held = list(names)
        self.packages[number] = ModelPackage(route, lane, len(held), self.now + lease)
        for name in held:
            self.messages[name].package = number

    def restate(
        self, looks: Mapping[int, Look], keeps: Collection[Clock], emptied: PackageState = PackageState.CLOSED
    ) -> None:
        """Packages follow their messages."""
        for number, look in looks.items():
            if self.packages[number].state not in OVER:
                self._restate(number, look, keeps, emptied)

    def _restate(self, number: int, look: Look, keeps: Collection[Clock], emptied: PackageState) -> None:
        package = self.packages[number]
        sending = bool(self.inside(number, Status.SENDING))
        doubtful = bool(self.inside(number, Status.IN_DOUBT))
        sent = bool(self.inside(number, Status.SENT))
        leased = sending and package.state is PackageState.OPEN
        if package.state is PackageState.JOB and not sending:
            package.poll_count = 0
        if not (sent or (sending and not leased)):
            package.poll = None
        elif package.poll is None or Clock.POLL not in keeps:
            package.poll = self.now + look.poll
        if not (leased or doubtful):
            package.rescue = None
        elif not leased and (package.doubted is None or Clock.RESCUE not in keeps):
            package.rescue = self.now + look.rescue
        package.doubted = (self.now if package.doubted is None else package.doubted) if doubtful else None
        if not leased:
            package.state = _state(package.state, doubtful, sending, sent, emptied)

    # -- looks

    def closed(self, route: str, lane: Lane, parallel: int) -> bool:
        """Whether the governor lets nobody of this lane through."""
        door = self.routes[route]
        shut = door.state == "stopped" or (door.state == "paused" and (door.until or 0) > self.now)
        busy, places = self.busy(route), max(1, parallel - 1)  # of the bulk lane
        kept = lane is Lane.BULK and busy[lane] >= places
        return shut or kept or busy[Lane.URGENT] + min(busy[Lane.BULK], places) >= parallel

    def busy(self, route: str) -> Counter[Lane]:
        """How many packages of each lane are on the wire."""
        open_ones = (package for package in self.packages.values() if package.state is PackageState.OPEN)
        return Counter(package.lane for package in open_ones if package.route == route)

    def due(self, route: str, lanes: Collection[Lane]) -> list[str]:
        """What may be claimed; of a flow first come first, of one tick in any order."""
        names = [
            name
            for name, message in self.messages.items()
            if message.route == route and message.due is not None and message.due <= self.now
            if message.lane in lanes and message.campaign not in self.paused
        ]
        return sorted(names, key=self.turn)

    def flow(self, name: str) -> tuple[Lane, str]:
        """Of those of a route."""
        message = self.messages[name]
        return message.lane, message.campaign

    def turn(self, name: str) -> int:
        """Whose turn comes before whose in a flow."""
        due = self.messages[name].due
        assert due is not None
        return due

    def too_late(self, name: str) -> bool:
        """Whether its validity has passed."""
        late = self.messages[name].late
        return late is not None and late <= self.now

    def unwanted(self, name: str) -> bool:
        """Whether its number is on the suppression list."""
        return self.messages[name].recipient in self.stopped

    def unfinished(self) -> list[str]:
        """Messages that somebody must still do something about."""
        ended = FINAL | {Status.UNCONFIRMED}
        return [name for name, message in self.messages.items() if message.status not in ended]


def _state(
    before: PackageState, doubtful: bool, sending: bool, sent: bool, emptied: PackageState
) -> PackageState:
    if doubtful:
        return PackageState.IN_DOUBT
    if sending:
        return before
    return PackageState.SETTLED if sent else emptied
