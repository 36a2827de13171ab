"""Moves: the mechanism that settle, report, cancel and expiry share."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, TextClause, text

from worker.ledger.arrays import bound, sql_rows
from worker.ledger.schema import sql_list, sql_roads
from worker.sms.package import PackageState
from worker.sms.status import FINAL, Status, Verb


class Move(NamedTuple):
    """One message to one status. `package_id` is the fence: a row that has left that package stays as it is.

    `delay` is how long a message queued again must wait; `tried` whether this used up an attempt; `note` says
    why of this move alone, where the reason given for all of them is not its own.
    """

    message_id: int
    package_id: int | None
    target: Status
    code: str = ""
    provider_id: str = ""
    segments: int | None = None
    happened_at: datetime | None = None
    delay: timedelta = timedelta(0)
    tried: bool = False
    note: str = ""


_COLUMNS = {
    "message_id": "bigint",
    "package_id": "bigint",
    "target": "text",
    "code": "text",
    "provider_id": "text",
    "segments": "smallint",
    "happened_at": "timestamptz",
    "delay": "interval",
    "tried": "smallint",
    "note": "text",
}


def _move_statement(verb: Verb) -> TextClause:
    """Begins with its verb, for whoever looks at what the database is doing."""
    return text(f"""
        /* {verb} */ WITH news AS (
            {sql_rows(_COLUMNS)}
        ), moved AS (
            UPDATE messages m SET
                status = n.target,
                package_id = CASE WHEN n.target <> '{Status.QUEUED}' THEN m.package_id END,
                due_at = CASE WHEN n.target = '{Status.QUEUED}'
                              THEN now() + n.delay END,
                finalized_at = CASE WHEN n.target IN ({sql_list(FINAL)}) THEN now() END,
                attempts = m.attempts + n.tried,
                provider_id = coalesce(n.provider_id, m.provider_id),
                segments = coalesce(n.segments, m.segments)
            FROM news n
            WHERE m.id = n.message_id
              AND m.package_id IS NOT DISTINCT FROM n.package_id
              AND (m.status, n.target) IN ({sql_roads(verb)})
            RETURNING m.id, n.package_id, old.status AS source, n.target, n.code, n.happened_at,
                      n.note
        ), written AS (
            INSERT INTO events (message_id, package_id, verb, source, target, code, note, happened_at)
            SELECT id, package_id, '{verb}', source, target, code, coalesce(note, :why), happened_at
            FROM moved
        )
        SELECT target, count(*) FROM moved GROUP BY target
    """)  # noqa: S608 - our own constants


_MOVE = {verb: _move_statement(verb) for verb in (Verb.CLAIM, Verb.CANCEL, Verb.SETTLE, Verb.REPORT)}

Moved = Mapping[Status, int]
"""How many messages really entered each status."""


def move(connection: Connection, verb: Verb, moves: Sequence[Move], note: str = "") -> Moved:
    """Make moves of one verb, each only by a road of that verb; `note` says why, where a move does not."""
    if not moves:
        return {}
    columns: dict[str, list[Any]] = {
        "message_id": [m.message_id for m in moves],
        "package_id": [m.package_id for m in moves],
        "target": [m.target for m in moves],
        "code": [m.code or None for m in moves],
        "provider_id": [m.provider_id or None for m in moves],
        "segments": [m.segments for m in moves],
        "happened_at": [m.happened_at for m in moves],
        "delay": [m.delay for m in moves],
        "tried": [int(m.tried) for m in moves],
        "note": [m.note or None for m in moves],
    }
    rows = connection.execute(_MOVE[verb], {**bound(columns), "why": note or None})
    return {Status(target): count for target, count in rows}


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
