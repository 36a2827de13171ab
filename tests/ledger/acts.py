"""What may be done to the ledger, each act twice: for real, in a transaction, and to the model.

`perform` is what a stage would call. `judge` says whether what came of it was right, and does the same to
the model. `alone` is False for one of two acts at the same time: it may have passed over what the other held.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Protocol

from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import Limits, OutboundMessage, PackageState
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.flows import FlowSelection, pause_flows, resume_flows
from bulk_dispatch.ledger.in_doubt import Chunk, DoubtSelection, Resolution, Resolved, chunks, resolve
from bulk_dispatch.ledger.leases import (
    Leased,
    answered,
    doubt_lapsed,
    lease_doubts,
    lease_polls,
    renew,
)
from bulk_dispatch.ledger.packages import OpenMessage, open_messages
from bulk_dispatch.ledger.routes import Streak, note_failure, open_route, pause_route, route_works, stop_route
from bulk_dispatch.ledger.suppressions import suppress, unsuppress
from bulk_dispatch.ledger.transitions import (
    Claim,
    ClaimRequest,
    Clock,
    Conflict,
    Enqueued,
    Looks,
    Package,
    Transition,
    TransitionCounts,
    cancel,
    claim,
    enqueue,
    settle,
    split,
    take_job,
)
from tests.ledger.model import TICK, DeliveryReceipt, Look, Model, ModelPackage, Who


class Act(Protocol):
    """One transaction of somebody's. `waits`: whether it may wait for one that only holds packages and
    messages; who looks for work passes over what is being worked on."""

    waits: ClassVar[bool]

    def perform(self, connection: Connection) -> Any: ...
    def judge(self, model: Model, outcome: Any, alone: bool) -> None: ...


# -- enqueue and cancel --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Offer:
    """A message of an application. Its text begins with its client id, so that whoever gets it can tell."""

    number: int
    route: str
    lane: Lane = Lane.BULK
    campaign: str = ""
    wording: str = "Hello"
    valid: int | None = None  # ticks from now; none left if not above 0

    def message(self) -> Message:
        """As it is offered. In the middle of a tick, so that a slow machine is late for nothing."""
        until = None if self.valid is None else datetime.now(UTC) + (self.valid - 0.5) * TICK
        return Message(
            client_id=f"m{self.number}",
            recipient=recipient(self.number),
            sender="Shop",
            text=f"m{self.number} {self.wording}",
            lane=self.lane,
            route=self.route,
            campaign=self.campaign,
            valid_until=until,
        )


def recipient(number: int) -> str:
    """Whom message `number` is for; some get several."""
    return f"+38093{number % 7:07d}"


def client_id(item: OutboundMessage) -> str:
    """Which message this is that leaves."""
    return str(item.content.as_dict()["text"]).split()[0]


@dataclass(frozen=True)
class Enter:
    """An application or ingest gives us messages."""

    offers: tuple[Offer, ...]
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> tuple[Enqueued, list[Message]]:
        offered = [offer.message() for offer in self.offers]
        return enqueue(connection, offered), offered

    def judge(self, model: Model, outcome: tuple[Enqueued, list[Message]], alone: bool) -> None:
        entered, offered = outcome
        # Who waited for another's correction of the same message makes none of his own.
        left = set() if alone else {conflict.client_id for conflict in entered.conflicts}
        fresh: set[str] = set()
        told: dict[str, list[Message]] = {"new": [], "corrected": [], "repeat": [], "conflict": []}
        for offer, message in zip(self.offers, offered, strict=True):
            what = _what_becomes_of(message, model, fresh, left)
            told[what].append(message)
            if enter := {"new": model.enter, "corrected": model.correct}.get(what):
                enter(message, None if offer.valid is None else model.now + offer.valid)
                fresh.add(message.client_id)
        model.duplicates += len(told["repeat"])
        model.conflicts |= {json.dumps(message.as_dict()) for message in told["conflict"]}
        assert entered == Enqueued(
            new=len(told["new"]) + len(told["corrected"]),
            duplicates=len(told["repeat"]),
            conflicts=tuple(Conflict(message.client_id, ("text",)) for message in told["conflict"]),
            corrected=len(told["corrected"]),
        )


def _what_becomes_of(message: Message, model: Model, fresh: Collection[str], left: Collection[str]) -> str:
    """Of a message that is offered; `fresh` are those entered by the same act, `left` those it left alone."""
    name = message.client_id
    if name not in model.messages:
        return "new"
    if message.text in [one.text for one in model.all_of(name)]:
        return "repeat"
    may_be = name not in fresh and name not in left and model.messages[name].nobody_got_it
    return "corrected" if may_be else "conflict"


@dataclass(frozen=True)
class Withdraw:
    """Somebody cancels messages, known or not."""

    names: tuple[str, ...]
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> int:
        return cancel(connection, self.names)

    def judge(self, model: Model, outcome: int, alone: bool) -> None:
        known = [name for name in dict.fromkeys(self.names) if name in model.messages]
        assert outcome == sum(model.move(EventType.CANCEL, name, None, Status.CANCELLED) for name in known)


@dataclass(frozen=True)
class Stop:
    """Somebody's number goes on the suppression list, or off it."""

    number: int
    on: bool
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> int:
        return (suppress if self.on else unsuppress)(connection, [recipient(self.number)])

    def judge(self, model: Model, outcome: int, alone: bool) -> None:
        stopped = recipient(self.number) in model.stopped
        assert outcome == (stopped is not self.on)
        (model.stopped.add if self.on else model.stopped.discard)(recipient(self.number))


@dataclass(frozen=True)
class Brake:
    """Somebody pauses a campaign, on all routes, or lets it go on."""

    campaign: str
    on: bool
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> bool:
        if self.on:
            pause_flows(connection, FlowSelection(self.campaign), "wrong price")
            return True
        return resume_flows(connection, FlowSelection(self.campaign)) > 0

    def judge(self, model: Model, outcome: bool, alone: bool) -> None:
        assert outcome == (self.on or self.campaign in model.paused)
        (model.paused.add if self.on else model.paused.discard)(self.campaign)


# -- dispatchers ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Taking:
    """A dispatcher claims."""

    route: str
    lane: Lane
    items: int
    parallel: int
    lease: int
    waits: ClassVar[bool] = False

    def perform(self, connection: Connection) -> tuple[Claim, list[str], list[str]]:
        """The claim, who expired by it, and who was suppressed."""
        claimed = claim(
            connection,
            ClaimRequest(
                self.route, Limits(self.items, 10**9), parallel=self.parallel, lease=self.lease * TICK
            ),
            self.lane,
        )
        ended = connection.execute(
            text("""
                SELECT m.client_id, e.to_status FROM events e JOIN messages m ON m.id = e.message_id
                WHERE e.at = now() AND e.type = 'claim' AND e.to_status IN ('expired', 'suppressed')
            """)
        ).all()
        expired = [name for name, to_status in ended if to_status == Status.EXPIRED]
        return claimed, expired, [name for name, to_status in ended if to_status == Status.SUPPRESSED]

    def judge(self, model: Model, outcome: tuple[Claim, list[str], list[str]], alone: bool) -> None:
        claimed, expired, suppressed = outcome
        items = claimed.package.items if claimed.package else []
        taken = [client_id(item) for item in items]
        assert bool(claimed.reason) == (not taken)
        assert (claimed.expired, claimed.suppressed) == (len(expired), len(suppressed))
        if model.closed(self.route, self.lane, self.parallel):
            assert (claimed.package, claimed.more) == (None, False)
            assert not (alone and (expired or suppressed))  # only who was overtaken had picked
        elif alone:
            self._judge_choice(model, taken, [*expired, *suppressed], claimed.more)
        self._judge_turns(model, taken, expired, suppressed)
        for names, to_status in ((expired, Status.EXPIRED), (suppressed, Status.SUPPRESSED)):
            for name in names:
                assert model.move(EventType.CLAIM, name, None, to_status)
        if claimed.package:
            self._take(model, claimed.package)

    def _judge_turns(
        self, model: Model, taken: Sequence[str], expired: Sequence[str], suppressed: Sequence[str]
    ) -> None:
        """Nobody is picked twice, before his time, too late, or although his number is on the suppression
        list."""
        picked = [*taken, *expired, *suppressed]
        assert len(set(picked)) == len(picked) <= self.items
        assert set(picked) <= set(model.due(self.route, self.lanes))
        assert not any(map(model.too_late, [*taken, *suppressed]))
        assert all(map(model.too_late, expired))
        assert not any(map(model.unwanted, taken))
        assert all(map(model.unwanted, suppressed))

    def _judge_choice(self, model: Model, taken: Sequence[str], ended: Sequence[str], more: bool) -> None:
        """Nobody is passed over whose turn it was: urgent ones come first, in a flow those who came first.
        All of a flow comes before any of the next."""
        due, picked = model.due(self.route, self.lanes), [*taken, *ended]
        assert len(picked) == min(self.items, len(due))
        urgent = [name for name in due if model.flow(name)[0] is Lane.URGENT]
        assert len([name for name in picked if name in urgent]) == min(self.items, len(urgent))
        in_part = 0
        for flow in {model.flow(name) for name in picked}:
            wanted = [model.turn(name) for name in due if model.flow(name) == flow]
            got = sorted(model.turn(name) for name in picked if model.flow(name) == flow)
            assert got == wanted[: len(got)]
            in_part += len(got) < len(wanted)
        assert in_part <= 1
        assert more == (len(picked) == self.items or bool(ended and not taken))

    @property
    def lanes(self) -> Sequence[Lane]:
        """Those it takes from: its own; bulk takes from both where only one package may be on the wire."""
        return tuple(Lane) if self.lane is Lane.BULK and self.parallel == 1 else (self.lane,)

    def _take(self, model: Model, package: Package) -> None:
        names = [client_id(item) for item in package.items]
        assert package.lane is model.messages[names[0]].lane
        for flow in {model.flow(name) for name in names}:
            turns = [model.turn(name) for name in names if model.flow(name) == flow]
            assert turns == sorted(turns)
        assert [model.messages[name].attempts for name in names] == [item.attempts for item in package.items]
        for item, name in zip(package.items, names, strict=True):
            model.names[item.id] = name
            model.hand_out(name, package.id, self.lease)
            assert model.move(EventType.CLAIM, name, None, Status.SENDING, into=package.id)
        model.open_package(package.id, self.route, package.lane, names, self.lease)


@dataclass(frozen=True)
class Halving:
    """A dispatcher was told that his package cannot be read."""

    package: Package
    route: str
    lease: int
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> list[Package]:
        return split(connection, self.package, self.lease * TICK, "unreadable")

    def judge(self, model: Model, outcome: list[Package], alone: bool) -> None:
        number, names = self.package.id, [client_id(item) for item in self.package.items]
        whole = sorted(model.inside(number, Status.SENDING)) == sorted(names)
        if model.packages[number].state is not PackageState.OPEN or not whole:
            assert outcome == []
            return
        assert [item for half in outcome for item in half.items] == list(self.package.items)
        assert len(outcome) == 2
        for half in outcome:
            held = [client_id(item) for item in half.items]
            model.open_package(half.id, self.route, half.lane, held, self.lease)
            for name in held:
                model.hand_out(name, half.id, self.lease, of=number)
        model.packages[number].state = PackageState.REFUSED
        model.packages[number].rescue = None


@dataclass(frozen=True)
class Job:
    """A dispatcher was told that his package became a job."""

    package: int
    look: int
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> bool:
        return take_job(connection, self.package, f"job-{self.package}", self.look * TICK)

    def judge(self, model: Model, outcome: bool, alone: bool) -> None:
        package = model.packages[self.package]
        assert outcome == (package.state is PackageState.OPEN and package.doubted is None)
        if outcome:
            package.state, package.job = PackageState.JOB, f"job-{self.package}"
            package.rescue, package.poll = None, model.now + self.look
            for name in model.inside(self.package):
                model.give_back(name, self.package)


@dataclass(frozen=True)
class Renewal:
    """A dispatcher asks whether his package is still his, before it leaves."""

    package: int
    lease: int
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> bool:
        return renew(connection, self.package, self.lease * TICK)

    def judge(self, model: Model, outcome: bool, alone: bool) -> None:
        package = model.packages[self.package]
        assert outcome == (package.state is PackageState.OPEN)
        if outcome:
            package.rescue = model.now + self.lease
            for name in model.inside(self.package, Status.SENDING):
                model.hand_out(name, self.package, self.lease, of=self.package)


# -- whoever writes about packages ---------------------------------------------------------------------


@dataclass(frozen=True)
class Writing:
    """Somebody settles and reports. `answered` are packages about which a question was answered."""

    who: Who
    looks: Mapping[int, Look]
    words: tuple[DeliveryReceipt, ...] = ()
    news: tuple[DeliveryReceipt, ...] = ()
    keeps: tuple[Clock, ...] = ()
    emptied: PackageState = PackageState.CLOSED
    answered: tuple[int, ...] = ()
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> TransitionCounts:
        moved = settle(
            connection,
            [_move(word) for word in self.words],
            {package: Looks(look.poll * TICK, look.rescue * TICK) for package, look in self.looks.items()},
            news=[_move(word) for word in self.news],
            keeps=self.keeps,
            emptied=self.emptied,
        )
        answered(connection, self.answered)
        return moved

    def judge(self, model: Model, outcome: TransitionCounts, alone: bool) -> None:
        moved: Counter[Status] = Counter()
        moved.update(word.to_status for word in self.words if model.settle(word, self.who))
        moved.update(word.to_status for word in self.news if model.report(word))
        assert dict(outcome) == dict(moved)
        model.restate(self.looks, self.keeps, self.emptied)
        for package in self.answered:
            model.packages[package].inquiry_count += 1


def _move(word: DeliveryReceipt) -> Transition:
    return Transition(word.message, word.package, word.to_status, delay=word.delay * TICK, tried=word.tried)


# -- rescue and poll -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lapse:
    """Rescue takes up what dead dispatchers left."""

    route: str
    look: int
    waits: ClassVar[bool] = False

    def perform(self, connection: Connection) -> list[int]:
        return doubt_lapsed(connection, self.route, self.look * TICK)

    def judge(self, model: Model, outcome: list[int], alone: bool) -> None:
        lapsed = [
            number
            for number, package in model.packages.items()
            if package.route == self.route and package.state is PackageState.OPEN
            if package.rescue is not None and package.rescue <= model.now
        ]
        assert set(outcome) <= set(lapsed)
        if alone:
            assert outcome == sorted(lapsed)
        for number in outcome:
            for name in model.inside(number, Status.SENDING):
                assert model.move(EventType.SETTLE, name, number, Status.IN_DOUBT)
        model.restate({number: Look(self.look, self.look) for number in outcome}, ())


@dataclass(frozen=True)
class Looking:
    """Packages that somebody looks at, and their messages as he saw them when he began."""

    leased: tuple[Leased, ...]
    messages: tuple[OpenMessage, ...]


_SEEN = {Clock.POLL: (Status.SENDING, Status.SENT), Clock.RESCUE: (Status.IN_DOUBT,)}


@dataclass(frozen=True)
class Leasing:
    """Poll or rescue takes packages to look at, by their clock."""

    clock: Clock
    route: str
    messages: int
    lease: int
    waits: ClassVar[bool] = False

    def perform(self, connection: Connection) -> Looking:
        lease = lease_polls if self.clock is Clock.POLL else lease_doubts
        leased = lease(connection, self.route, messages=self.messages, lease=self.lease * TICK)
        found = open_messages(connection, [package.id for package in leased], _SEEN[self.clock])
        return Looking(tuple(leased), tuple(found))

    def judge(self, model: Model, outcome: Looking, alone: bool) -> None:
        due = {number: package for number, package in model.packages.items() if self._due(model, package)}
        leased = {package.id for package in outcome.leased}
        assert leased <= due.keys()
        if alone:
            self._judge_turns(due, leased)
        for package in outcome.leased:
            self._lease(model, package)
        seen = sorted(name for number in leased for name in model.inside(number, *_SEEN[self.clock]))
        assert sorted(model.names[message.id] for message in outcome.messages) == seen

    def _at(self, package: ModelPackage) -> int | None:
        return package.poll if self.clock is Clock.POLL else package.rescue

    def _due(self, model: Model, package: ModelPackage) -> bool:
        state = package.state
        asked = state is not PackageState.OPEN if self.clock is Clock.POLL else state is PackageState.IN_DOUBT
        at = self._at(package)
        return package.route == self.route and asked and at is not None and at <= model.now

    def _judge_turns(self, due: Mapping[int, ModelPackage], leased: set[int]) -> None:
        """As many as there is room for, the longest due first."""
        left = due.keys() - leased
        times = {number: self._at(package) or 0 for number, package in due.items()}
        if left:
            assert leased
            assert sum(due[number].items for number in leased) >= self.messages
            assert max(times[number] for number in leased) <= min(times[number] for number in left)

    def _lease(self, model: Model, leased: Leased) -> None:
        package = model.packages[leased.id]
        if self.clock is Clock.POLL:
            package.poll, package.poll_count = model.now + self.lease, package.poll_count + 1
        else:
            package.rescue = model.now + self.lease
        tries = package.poll_count if self.clock is Clock.POLL else package.inquiry_count
        assert (leased.state, leased.job, leased.tries) == (package.state, package.job or "", tries)


# -- a person ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A person sees what is in doubt."""

    route: str
    waits: ClassVar[bool] = False

    def perform(self, connection: Connection) -> list[Chunk]:
        return chunks(connection, DoubtSelection(route=self.route))

    def judge(self, model: Model, outcome: list[Chunk], alone: bool) -> None:
        seen = {model.names[number] for chunk in outcome for number in chunk.message_ids}
        doubtful = {
            name
            for name, message in model.messages.items()
            if message.status is Status.IN_DOUBT and message.route == self.route
        }
        assert seen == doubtful


@dataclass(frozen=True)
class Resolving:
    """A person says what has become of messages in doubt, some while after they were seen."""

    chunk: Chunk
    resolution: Resolution
    look: Look
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> list[Resolved]:
        looks = Looks(self.look.poll * TICK, self.look.rescue * TICK)
        return resolve(connection, self.chunk, self.resolution, looks=lambda _: looks, note="a person")

    def judge(self, model: Model, outcome: list[Resolved], alone: bool) -> None:
        to_status = {
            Resolution.SENT: Status.SENT,
            Resolution.REJECTED: Status.REJECTED,
            Resolution.REQUEUE: Status.QUEUED,
        }[self.resolution]
        moved = [
            DeliveryReceipt(number, package, to_status)
            for number, package in zip(self.chunk.message_ids, self.chunk.package_ids, strict=True)
            if model.names[number] in model.inside(package, Status.IN_DOUBT)
        ]
        assert all(model.settle(word, Who.OTHER) for word in moved)
        assert sorted(row.client_id for row in outcome) == sorted(model.names[word.message] for word in moved)
        model.restate({word.package: self.look for word in moved}, (Clock.RESCUE,))


# -- the governor --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Door:
    """A route fails and is paused for a while, stopped, opened, or found to work."""

    route: str
    what: str
    wait: int = 1
    unresolvable: bool = False
    waits: ClassVar[bool] = True

    def perform(self, connection: Connection) -> Streak | None:
        if self.what == "pause":
            streak = note_failure(connection, self.route, unresolvable=self.unresolvable)
            pause_route(connection, self.route, self.wait * TICK, "busy")
            return streak
        if self.what == "stop":
            stop_route(connection, self.route, "no money")
        else:
            (open_route if self.what == "open" else route_works)(connection, self.route)
        return None

    def judge(self, model: Model, outcome: Streak | None, alone: bool) -> None:
        door = model.routes[self.route]
        still = door.state == "stopped" or (door.state == "paused" and (door.until or 0) > model.now)
        if self.what == "pause":
            if door.state == "stopped":
                assert outcome == Streak(0, 0)
                return
            door.state, door.until = "paused", max(door.until or 0, model.now + self.wait)
            door.failures += not still  # those that fail during a pause had left before it
            door.unresolvable |= {door.failures} if self.unresolvable else set()
            assert outcome == Streak(door.failures, len(door.unresolvable))
        elif self.what == "stop":
            door.state, door.until = "stopped", None
        elif self.what == "open" or (self.what == "works" and door.failures and not still):
            door.state, door.until, door.failures, door.unresolvable = "active", None, 0, set()
        elif self.what == "works" and door.state != "stopped":
            door.unresolvable = set()  # they do answer
