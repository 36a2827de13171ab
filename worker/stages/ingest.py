"""Ingest: from the intake's streams into the ledger.

Entries are acknowledged after the commit, so a crash in between brings them again, and the ledger's client
ids make the second time a no-op.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from worker.intake import DeadLetter, Entry
from worker.ledger import REFUSALS
from worker.ledger.transitions import Enqueued, enqueue
from worker.lines import Line, accept
from worker.runtime import Runtime
from worker.sms.fields import MessageError
from worker.sms.message import Lane, Message

log = logging.getLogger(__name__)

ENTRIES = 500  # read at once, at most, where each holds a message or two
OCTETS = 2**18  # read at once where they hold more: about two thousand plain messages
ROUNDS = 25  # a step
IDLE = timedelta(seconds=10)  # an entry read so long ago has lost its reader


@dataclass(frozen=True, slots=True)
class Ingested:
    """What one step did, in messages. `more` if it stopped because a step is bounded."""

    new: int = 0
    duplicates: int = 0
    conflicts: int = 0
    dead: int = 0
    more: bool = False

    def plus(self, entered: Enqueued, dead: int) -> "Ingested":
        """With one more round."""
        return Ingested(
            self.new + entered.new,
            self.duplicates + entered.duplicates,
            self.conflicts + len(entered.conflicts),
            self.dead + dead,
        )


def ingest(runtime: Runtime, lane: Lane) -> Ingested:
    """Move what waits in a lane into the ledger, a bounded amount of it."""
    done = Ingested()
    for _ in range(ROUNDS):
        if runtime.stopping():
            return done
        entries = runtime.intake.read(lane, ENTRIES, IDLE, OCTETS)
        if not entries:
            return done
        batch = _sort(entries, runtime.lines)
        entered = _enter(runtime, batch)
        runtime.intake.done(lane, entries, batch.dead)  # only now: they are in the book
        for route, message_lane in dict.fromkeys((m.route, m.lane) for m in batch.messages):
            runtime.ring("dispatch", f"{route}:{message_lane.value}")
        done = done.plus(entered, len(batch.dead))
        _log(lane, entered, batch)
        if len(entries) < ENTRIES and sum(entry.octets for entry in entries) < OCTETS:
            # That was all; what came meanwhile rings again.
            return done
    return replace(done, more=True)


@dataclass(slots=True)
class _Batch:
    messages: list[Message] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)

    def bury(self, lane: Lane, reason: str, content: object) -> None:
        self.dead.append(DeadLetter.about(lane, reason, content))


def _sort(entries: Sequence[Entry], lines: Mapping[str, Line]) -> _Batch:
    """Tell messages from what cannot be one. One over which we stumble is buried, too: it would be read again
    and again, and hold up its lane for ever."""
    batch = _Batch()
    for entry in entries:
        if entry.unreadable:
            batch.bury(entry.lane, entry.unreadable, entry.raw)
        for raw in entry.messages:
            try:
                batch.messages.append(accept(Message.from_dict(raw), lines))  # type: ignore[arg-type]
            except MessageError as problem:
                # Without the value: in a file with its columns mixed up it is a text or somebody's number.
                batch.bury(entry.lane, f"{problem.field}: {problem.problem}", raw)
            except MemoryError:  # not its fault
                raise
            except Exception as problem:
                batch.bury(entry.lane, f"we stumble over it: {type(problem).__name__}", raw)
    return batch


def _enter(runtime: Runtime, batch: _Batch) -> Enqueued:
    """Enter a batch; if the database refuses a value, find the message that carries it and bury that one."""
    entered = Enqueued(0, 0, ())
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
                entered.new + part.new,
                entered.duplicates + part.duplicates,
                entered.conflicts + part.conflicts,
                entered.corrected + part.corrected,
            )
    return entered


def _log(lane: Lane, entered: Enqueued, batch: _Batch) -> None:
    log.info(
        "ingested lane=%s new=%d duplicates=%d conflicts=%d dead=%d corrected=%d",
        lane.value,
        entered.new,
        entered.duplicates,
        len(entered.conflicts),
        len(batch.dead),
        entered.corrected,
    )
    for conflict in entered.conflicts:
        log.warning(
            "conflict client_id=%s fields=%s producer=%s",
            conflict.client_id,
            ",".join(conflict.fields),
            conflict.producer,
        )
    for letter in batch.dead:
        log.warning("dead_letter lane=%s reason=%r", letter.lane.value, letter.reason)
