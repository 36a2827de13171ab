"""Transitions: the mechanism that settle, report, cancel and expiry share."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, TextClause, text

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import FINAL, EventType, Status, sources
from bulk_dispatch.ledger.bulk_params import bound, sql_rows
from bulk_dispatch.ledger.collisions import EARLY, TOLD_TOO_EARLY, told_too_early
from bulk_dispatch.ledger.journal import sql_journal
from bulk_dispatch.ledger.routes import stop_route
from bulk_dispatch.ledger.schema import sql_list, sql_transitions

log = logging.getLogger(__name__)


class Transition(NamedTuple):
    """One message to one status. `package_id` is the fence: a row that has left that package stays as it is.

    `delay` is how long a message queued again must wait; `tried` whether this used up an attempt; `note` is
    the reason of this one alone, where the one given for all is not its own. `behind`: so far may the
    clock that tells `happened_at` be behind ours.
    """

    message_id: int
    package_id: int | None
    to_status: Status
    code: str = ""
    provider_message_id: str = ""
    segments_billed: int | None = None
    happened_at: datetime | None = None
    delay: timedelta = timedelta(0)
    tried: bool = False
    note: str = ""
    behind: timedelta = timedelta(0)


_COLUMNS = {
    "message_id": "bigint",
    "package_id": "bigint",
    "to_status": "text",
    "code": "text",
    "provider_message_id": "text",
    "segments_billed": "smallint",
    "happened_at": "timestamptz",
    "delay": "interval",
    "tried": "smallint",
    "note": "text",
    "behind": "interval",
}


def _move_statement(event_type: EventType) -> TextClause:
    """Begins with its type, for people who look at what the database is doing. News from before its
    message left collides, whatever it says: it is of another, and nothing it names is kept as ours."""
    held = sources(EventType.COLLIDE, Status.IN_DOUBT)
    collides = "true" if event_type is EventType.COLLIDE else "n.early IS NOT NULL"
    journal = sql_journal(
        "moved",
        "happened_at",
        package_id="package_id",
        type=f"CASE WHEN collided IS NULL THEN '{event_type}' ELSE '{EventType.COLLIDE}' END",
        from_status="from_status",
        to_status="to_status",
        code="code",
        note=f"CASE WHEN collided IS NULL THEN coalesce(note, :reason) ELSE '{TOLD_TOO_EARLY}' END",
    )
    return text(f"""
        /* {event_type} */ WITH told AS (
            {sql_rows(_COLUMNS)}
        ), news AS (
            SELECT n.*, c.early FROM told n {EARLY}
        ), moved AS (
            UPDATE messages m SET
                status = CASE WHEN n.early IS NULL THEN n.to_status ELSE '{Status.IN_DOUBT}' END,
                package_id = CASE WHEN n.to_status <> '{Status.QUEUED}' THEN m.package_id END,
                earlier_packages = CASE WHEN n.to_status = '{Status.QUEUED}'
                    THEN m.earlier_packages || m.package_id ELSE m.earlier_packages END,
                collided = CASE WHEN {collides} THEN true END,
                due_at = CASE WHEN n.to_status = '{Status.QUEUED}'
                              THEN now() + n.delay END,
                finalized_at = CASE WHEN n.to_status IN ({sql_list(FINAL)}) AND n.early IS NULL
                    THEN now() END,
                attempts = m.attempts + n.tried,
                provider_message_id = coalesce(CASE WHEN n.early IS NULL THEN n.provider_message_id END,
                    m.provider_message_id),
                segments_billed = coalesce(CASE WHEN n.early IS NULL THEN n.segments_billed END,
                    m.segments_billed)
            FROM news n
            WHERE m.id = n.message_id
              AND m.package_id IS NOT DISTINCT FROM n.package_id
              AND (m.status, n.to_status) IN ({sql_transitions(event_type)})
              AND (n.early IS NULL OR m.status IN ({sql_list(status for status in held if status)}))
            RETURNING m.id, n.package_id, old.status AS from_status, m.status AS to_status, n.code,
                n.happened_at,
                      n.note, n.early, CASE WHEN n.early IS NOT NULL THEN m.route END AS collided
        ), written AS (
            {journal}
        )
        SELECT to_status, collided, count(*) AS messages, max(early) AS early
        FROM moved GROUP BY to_status, collided
    """)  # noqa: S608 - our own constants


_TYPES = (EventType.CLAIM, EventType.CANCEL, EventType.SETTLE, EventType.REPORT, EventType.COLLIDE)
_MOVE = {event_type: _move_statement(event_type) for event_type in _TYPES}

TransitionCounts = Mapping[Status, int]
"""How many messages really entered each status."""


def apply(
    connection: Connection, event_type: EventType, moves: Sequence[Transition], note: str = ""
) -> TransitionCounts:
    """Apply transitions of one type, each only where that type allows it; `note` is the reason, where a
    transition gives none.

    News that happened before its message first left collides instead: the message is in doubt, and its route
    stops.
    """
    if not moves:
        return {}
    columns: dict[str, list[Any]] = {
        "message_id": [m.message_id for m in moves],
        "package_id": [m.package_id for m in moves],
        "to_status": [m.to_status for m in moves],
        "code": [m.code or None for m in moves],
        "provider_message_id": [m.provider_message_id or None for m in moves],
        "segments_billed": [m.segments_billed for m in moves],
        "happened_at": [m.happened_at for m in moves],
        "delay": [m.delay for m in moves],
        "tried": [int(m.tried) for m in moves],
        "note": [m.note or None for m in moves],
        "behind": [m.behind for m in moves],
    }
    rows = connection.execute(_MOVE[event_type], {**bound(columns), "reason": note or None}).all()
    moved: Counter[Status] = Counter()
    for row in rows:
        moved[Status(row.to_status)] += row.messages
        if row.collided:
            log.error("collision route=%s messages=%d early=%s", row.collided, row.messages, row.early)
            stop_route(connection, row.collided, told_too_early(row.collided, row.messages, row.early))
    return moved


def lock_packages(
    connection: Connection, package_ids: Iterable[int], state: PackageState | None = None
) -> list[int]:
    """Lock packages, in order; those in `state` only, if one is given."""
    return list(
        connection.execute(
            text(f"""
                SELECT id FROM packages WHERE id = ANY(CAST(:ids AS bigint[]))
                {"AND state = :state" if state else ""} ORDER BY id FOR UPDATE
            """),  # noqa: S608 - our own constants
            {"ids": list(package_ids), **({"state": state.value} if state else {})},
        ).scalars()
    )
