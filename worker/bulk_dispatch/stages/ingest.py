"""Ingest: from the intake's streams into the ledger.

Entries are acknowledged after the commit, so a crash in between brings them again, and the ledger's client
ids make the second time a no-op.

What names a route that this worker does not know is set aside, for a newer routes file may have it: whoever
knows the route takes it from there. After PATIENCE it is a dead letter.
"""

import logging
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.intake import DeadLetter, Entry, Place, Unrouted
from bulk_dispatch.ledger import REFUSALS
from bulk_dispatch.ledger.transitions import Enqueued, enqueue
from bulk_dispatch.routing import (
    Route,
    UnknownRoute,
    accept,
    default_route,
    named_route,
    region_of_route,
    shown_route,
    unknown_route,
)
from bulk_dispatch.runtime import Runtime

log = logging.getLogger(__name__)

ENTRIES = 500  # read at once, at most, where each holds a message or two
OCTETS = 2**18  # read at once where they hold more: about two thousand plain messages
ROUNDS = 25  # a step
IDLE = timedelta(seconds=10)  # an entry read so long ago has lost its reader
PATIENCE = timedelta(days=7)  # a message may wait so long for its route to be known
BETWEEN = timedelta(minutes=1)  # two looks for what has waited too long
UNKNOWN = 100  # routes that a lane waits for, at most: of more, the columns of somebody's file are mixed up


LaneOfRoute: TypeAlias = tuple[str, Lane]
"""What a dispatcher works on: a route, and one of its lanes."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a step, or a part of one, did, in messages. `more` if it stopped because a step is bounded; `wake`
    are the lanes that messages were entered into, for the caller to wake their dispatchers."""

    new: int = 0
    duplicates: int = 0
    conflicts: int = 0
    dead: int = 0
    unrouted: int = 0  # set aside
    more: bool = False
    wake: Sequence[LaneOfRoute] = ()

    def __add__(self, other: "Ingested") -> "Ingested":
        return Ingested(
            new=self.new + other.new,
            duplicates=self.duplicates + other.duplicates,
            conflicts=self.conflicts + other.conflicts,
            dead=self.dead + other.dead,
            unrouted=self.unrouted + other.unrouted,
            more=self.more or other.more,
            wake=(*self.wake, *other.wake),
        )


def ingest(runtime: Runtime, lane: Lane) -> Iterator[Ingested]:
    """Move what waits in a lane into the ledger, a bounded amount of it; then what waited for a route that is
    known by now. Yields each part once it is committed: its dispatchers need not wait for the next."""
    more = yield from _drain(runtime, lane)
    if more or runtime.stopping():
        return
    for place in _awaited(runtime, lane):
        if _is_known(runtime, place.route):
            yield from _drain(runtime, place)
        else:
            yield _overdue(runtime, place)
        runtime.intake.tidy(place)


def _drain(runtime: Runtime, place: Place) -> Generator[Ingested, None, bool]:
    """Returns whether there may be more."""
    for _ in range(ROUNDS):
        if runtime.stopping():
            return False
        entries = runtime.intake.read(place, ENTRIES, IDLE, OCTETS)
        if not entries:
            return False
        yield _take(runtime, place, entries, _sort(entries, runtime.routes))
        if len(entries) < ENTRIES and sum(entry.octets for entry in entries) < OCTETS:
            # That was all; what came meanwhile sends a wake-up again.
            return False
    yield Ingested(more=True)
    return True


def _take(runtime: Runtime, place: Place, entries: Sequence[Entry], batch: "_Batch") -> Ingested:
    """Enter a batch, and only then let go of its entries: it is in the book."""
    lane = entries[0].lane
    entered = _enter(runtime, batch)
    if batch.unrouted:
        _forgo(runtime, lane, batch)
    runtime.intake.done(place, entries, batch.dead, batch.unrouted)
    _log(lane, entered, batch)
    return Ingested(
        new=entered.new,
        duplicates=entered.duplicates,
        conflicts=len(entered.conflicts),
        dead=len(batch.dead),
        unrouted=sum(map(len, batch.unrouted.values())),
        wake=tuple(dict.fromkeys((message.route, message.lane) for message in batch.messages)),
    )


@dataclass(slots=True)
class _Batch:
    messages: list[Message] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    unrouted: dict[str, list[object]] = field(default_factory=dict)  # as they came, by the route they name

    def bury(self, lane: Lane, reason: str, content: object) -> None:
        self.dead.append(DeadLetter.about(lane, reason, content))

    def bury_unrouted(self, lane: Lane, route: str, reason: str) -> None:
        """Wait no longer for a route."""
        for raw in self.unrouted.pop(route, []):
            self.bury(lane, f"route: {reason}", raw)


def _sort(entries: Sequence[Entry], routes: Mapping[str, Route]) -> _Batch:
    """Tell messages from what cannot be one. One over which we stumble is buried, too: it would be read again
    and again, and hold up its lane for ever."""
    batch = _Batch()
    for entry in entries:
        if entry.unreadable:
            batch.bury(entry.lane, entry.unreadable, entry.raw)
        for raw in entry.messages:
            try:
                region = region_of_route(named_route(raw), routes)
                message = Message.from_dict(raw, region)  # type: ignore[arg-type]
                batch.messages.append(accept(message, routes))
            except UnknownRoute:
                batch.unrouted.setdefault(message.route, []).append(raw)
            except MessageError as problem:
                if (route := unknown_route(raw, routes)) is not None and problem.field == "recipient":
                    # Its route may say of which country it is.
                    batch.unrouted.setdefault(route, []).append(raw)
                    continue
                # Without the value: in a file with its columns mixed up it is a text or somebody's number.
                batch.bury(entry.lane, f"{problem.field}: {problem.problem}", raw)
            except MemoryError:  # not its fault
                raise
            except Exception as problem:
                batch.bury(entry.lane, f"we stumble over it: {type(problem).__name__}", raw)
    return batch


def _enter(runtime: Runtime, batch: _Batch) -> Enqueued:
    """Enter a batch; if the database refuses a value, find the message that carries it and bury that one."""
    entered = Enqueued(new=0, duplicates=0, conflicts=())
    heap = [batch.messages] if batch.messages else []
    while heap:
        messages = heap.pop()
        try:
            with runtime.ledger.begin() as connection:
                part = enqueue(connection, messages)
        except REFUSALS as problem:
            if len(messages) == 1:
                reason = f"the ledger refused it: {type(problem.orig).__name__}"
                batch.bury(messages[0].lane, reason, messages[0].as_dict())
            else:
                middle = len(messages) // 2
                heap += [messages[middle:], messages[:middle]]
        else:
            entered = Enqueued(
                new=entered.new + part.new,
                duplicates=entered.duplicates + part.duplicates,
                conflicts=entered.conflicts + part.conflicts,
                corrected=entered.corrected + part.corrected,
            )
    return entered


# -- messages whose route is not known


def _awaited(runtime: Runtime, lane: Lane) -> list[Unrouted]:
    """The places of a lane that are worth a look: those whose route is known by now, and once a minute the
    others."""
    routes = runtime.intake.unrouted_routes(lane)
    known = {route for route in routes if _is_known(runtime, route)}
    everyone = known < routes and runtime.intake.claim_wakeup(f"unrouted:{lane.value}", BETWEEN)
    return [Unrouted(lane, route) for route in sorted(routes if everyone else known)]


def _is_known(runtime: Runtime, route: str) -> bool:
    return (route or default_route(runtime.routes)) in runtime.routes


def _overdue(runtime: Runtime, place: Unrouted) -> Ingested:
    """Bury what has waited too long for its route."""
    entries = runtime.intake.overdue(place, PATIENCE, ENTRIES)
    if not entries:
        return Ingested()
    batch = _sort(entries, runtime.routes)
    batch.bury_unrouted(place.lane, place.route, f"nobody knew it for {PATIENCE.days} days")
    return _take(runtime, place, entries, batch)


def _forgo(runtime: Runtime, lane: Lane, batch: _Batch) -> None:
    """Bury what names one route too many."""
    awaited = runtime.intake.unrouted_routes(lane)
    for route in [route for route in batch.unrouted if route not in awaited]:
        if len(awaited) >= UNKNOWN:
            batch.bury_unrouted(lane, route, f"nobody knows it, and {UNKNOWN} others are waited for")
        awaited.add(route)


# -- the log


def _log(lane: Lane, entered: Enqueued, batch: _Batch) -> None:
    log.info(
        "ingested lane=%s new=%d duplicates=%d conflicts=%d dead=%d corrected=%d unrouted=%d",
        lane.value,
        entered.new,
        entered.duplicates,
        len(entered.conflicts),
        len(batch.dead),
        entered.corrected,
        sum(map(len, batch.unrouted.values())),
    )
    for route, aside in batch.unrouted.items():
        log.warning("unknown_route lane=%s route=%s messages=%d", lane.value, shown_route(route), len(aside))
    for conflict in entered.conflicts:
        log.warning(
            "conflict client_id=%s fields=%s producer=%s",
            conflict.client_id,
            ",".join(conflict.fields),
            conflict.producer,
        )
    for letter in batch.dead:
        log.warning("dead_letter lane=%s reason=%r", letter.lane.value, letter.reason)
