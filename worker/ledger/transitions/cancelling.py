"""Cancel: what is still queued is withdrawn, by name or queue by queue."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from worker.ledger.transitions.moves import Move, move
from worker.sms.message import Lane
from worker.sms.status import Status, Verb

# Locked in one order, so that two who withdraw the same messages wait for each other and not in a circle.
_NAMED = text("""
    SELECT id, client_id FROM messages
    WHERE client_id = ANY(CAST(:ids AS text[])) AND producer = :producer AND corrected_by IS NULL
      AND due_at IS NOT NULL
    ORDER BY due_at, id FOR UPDATE
""")


def cancel(connection: Connection, client_ids: Sequence[str], note: str = "", producer: str = "") -> int:
    """Withdraw messages of a producer that are still queued. Returns how many were."""
    return len(cancel_named(connection, client_ids, note, producer))


def cancel_named(
    connection: Connection, client_ids: Sequence[str], note: str = "", producer: str = ""
) -> list[str]:
    """The same; returns the client ids of those withdrawn."""
    rows = connection.execute(_NAMED, {"ids": list(client_ids), "producer": producer}).all()
    _withdraw(connection, [row.id for row in rows], note)
    return [row.client_id for row in rows]


@dataclass(frozen=True, slots=True)
class Queue:
    """Whose queued messages are meant: of a route and a lane, of one campaign and one producer unless those
    are empty, enqueued until an instant: who cancels does not mean what comes later."""

    route: str
    lane: Lane
    campaign: str
    until: datetime
    producer: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a queue: all up to this message has been seen."""

    due_at: datetime
    message_id: int


# By the index of the queue, from where the last part ended: what is withdrawn leaves dead entries in front,
# and messages of other campaigns are read once.
_NEXT = """
    SELECT id, due_at FROM messages
    WHERE route = :route AND lane = :lane AND due_at IS NOT NULL
      AND (due_at, id) > (coalesce(CAST(:due_at AS timestamptz), '-infinity'), CAST(:message_id AS bigint))
      AND enqueued_at <= :until {narrower}
    ORDER BY due_at, id LIMIT :limit FOR UPDATE
"""


def cancel_next(
    connection: Connection, queue: Queue, after: Place | None, limit: int, note: str = ""
) -> tuple[int, Place | None]:
    """Withdraw the next messages of a queue, at most `limit`. Returns how many, and the place to go on from;
    None at the end."""
    values = {
        "route": queue.route,
        "lane": queue.lane.value,
        "until": queue.until,
        "due_at": after.due_at if after else None,
        "message_id": after.message_id if after else 0,
        "limit": limit,
    }
    given = {name: part for name in ("campaign", "producer") if (part := getattr(queue, name))}
    narrower = " ".join(f"AND {name} = :{name}" for name in given)
    rows = connection.execute(text(_NEXT.format(narrower=narrower)), {**values, **given}).all()
    _withdraw(connection, [row.id for row in rows], note)
    place = Place(rows[-1].due_at, rows[-1].id) if len(rows) == limit else None
    return len(rows), place


def _withdraw(connection: Connection, message_ids: Sequence[int], note: str) -> None:
    """Cancel queued messages whose locks we hold."""
    moves = [Move(message_id, None, Status.CANCELLED) for message_id in message_ids]
    moved = move(connection, Verb.CANCEL, moves, note).get(Status.CANCELLED, 0)
    if moved != len(moves):  # only a write that bypassed this file can do that
        raise RuntimeError(f"cancelled {moved} of {len(moves)} messages that were locked")
