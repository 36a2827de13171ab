"""Cancel: what is still queued is withdrawn, by name or queue by queue; or because of the suppression
list."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.status import EventType, Status
from bulk_dispatch.ledger.flows import OF_LANE
from bulk_dispatch.ledger.suppressions import MEANT
from bulk_dispatch.ledger.transitions.transition import Transition, apply

# Locked in one order, so that two that withdraw the same messages wait for each other and not in a circle.
_IN_ORDER = "ORDER BY flow_id, due_at, id"
_NAMED = text(f"""
    SELECT id, client_id FROM messages
    WHERE client_id = ANY(CAST(:ids AS text[])) AND producer = :producer AND corrected_by IS NULL
      AND due_at IS NOT NULL
    {_IN_ORDER} FOR UPDATE
""")  # noqa: S608 - our own constants


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
class QueueCursor:
    """A place in a queue: all up to this message has been seen."""

    flow_id: int
    due_at: datetime
    message_id: int


# By the index of the queue, from where the last part ended: what is withdrawn leaves dead entries in front,
# and messages of other campaigns are read once.
_AHEAD = f"""
    messages WHERE route = :route AND flow_id {OF_LANE.format(lane=":lane")} AND due_at IS NOT NULL
      AND (flow_id, due_at, id) > (
          CAST(:flow_id AS bigint), CAST(:due_at AS timestamptz), CAST(:message_id AS bigint)
      )
      AND enqueued_at <= :until
"""
_NEXT = f"SELECT flow_id, due_at, id FROM {_AHEAD} {{narrower}} {_IN_ORDER} LIMIT :limit FOR UPDATE"  # noqa: S608


def cancel_next(
    connection: Connection, queue: Queue, after: QueueCursor | None, limit: int, note: str = ""
) -> tuple[int, QueueCursor | None]:
    """Withdraw the next messages of a queue, at most `limit`. Returns how many, and the place to go on from;
    None at the end."""
    given = {name: part for name in ("campaign", "producer") if (part := getattr(queue, name))}
    narrower = " ".join(f"AND {name} = :{name}" for name in given)
    values = {**_from(queue, after, limit), **given}
    rows = connection.execute(text(_NEXT.format(narrower=narrower)), values).all()
    _withdraw(connection, [row.id for row in rows], note)
    place = QueueCursor(*rows[-1]) if len(rows) == limit else None
    return len(rows), place


# No index knows whom a message is for, and none is worth what it would cost every message. So the queue is
# read from the front, a bounded part at a time and without locks; only what is found is locked then, and only
# if it is still queued.
_LOOK = text(f"""
    WITH looked AS MATERIALIZED (
        SELECT flow_id, due_at, id, recipient FROM {_AHEAD} {_IN_ORDER} LIMIT :limit
    )
    SELECT flow_id, due_at, id, (SELECT count(*) FROM looked) AS looked,
           ARRAY(SELECT l.id FROM looked l JOIN suppressions s USING (recipient) WHERE {MEANT}) AS listed
    FROM looked ORDER BY flow_id DESC, due_at DESC, id DESC LIMIT 1
""")  # noqa: S608 - our own constants
_STILL_QUEUED = text(f"""
    SELECT id FROM messages WHERE id = ANY(CAST(:ids AS bigint[])) AND due_at IS NOT NULL
    {_IN_ORDER} FOR UPDATE
""")  # noqa: S608 - our own constants


def suppress_next(
    connection: Connection,
    queue: Queue,
    after: QueueCursor | None,
    limit: int,
    note: str = "",
    *,
    numbers: Sequence[str] = (),
) -> tuple[int, QueueCursor | None]:
    """Suppress who is on the suppression list among the next messages of a queue, of every campaign; of these
    numbers only, if any are given. At most `limit` are looked at. Returns how many were suppressed, and the
    place to go on from; None at the end."""
    values = {**_from(queue, after, limit), "numbers": list(numbers) or None}
    last = connection.execute(_LOOK, values).one_or_none()
    if last is None:
        return 0, None
    queued: Sequence[int] = []
    if last.listed:
        queued = connection.execute(_STILL_QUEUED, {"ids": last.listed}).scalars().all()
        _withdraw(connection, queued, note, Status.SUPPRESSED)
    return len(queued), QueueCursor(last.flow_id, last.due_at, last.id) if last.looked == limit else None


def _from(queue: Queue, after: QueueCursor | None, limit: int) -> dict[str, object]:
    """What _AHEAD is bound to."""
    return {
        "route": queue.route,
        "lane": queue.lane.value,
        "until": queue.until,
        "flow_id": after.flow_id if after else -1,
        "due_at": after.due_at if after else None,
        "message_id": after.message_id if after else 0,
        "limit": limit,
    }


def _withdraw(
    connection: Connection, message_ids: Sequence[int], note: str, to_status: Status = Status.CANCELLED
) -> None:
    """Cancel, or suppress, queued messages whose locks we hold."""
    moves = [Transition(message_id, None, to_status) for message_id in message_ids]
    moved = apply(connection, EventType.CANCEL, moves, note).get(to_status, 0)
    if moved != len(moves):  # only a write that bypassed this file can do that
        raise RuntimeError(f"{to_status} {moved} of {len(moves)} messages that were locked")
