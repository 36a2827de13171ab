"""Receipts in the book: which message each is about, and those that must wait until that is known.

A receipt names a message as the provider does. `provider_message_ids` knows these names from the moment the
answer to the sending is written; a receipt that comes before that is kept for an hour, and matched again. So
is one of a message that is named but queued,
    or on the wire: nothing can be written of it yet. Nor of one that
is held for a collision: what is told of it is of another, until a person has said otherwise.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, text

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.collisions import COLLIDED
from bulk_dispatch.ledger.schema import sql_list

KEPT = timedelta(hours=1)
"""How long a receipt waits for its message."""

MOST = 100_000
"""So many wait on a route; of more, the oldest go at the next match. An account that others use too gets all
their receipts."""

GATHER = timedelta(seconds=1)
"""A hint brings the look at its package so near, and no nearer. A look asks about all that is open there, and
the next hint is about another message of the same package."""

# What was queued again has lost its name, so what is in doubt and named is the copy that the name is of.
_NOT_YET = sql_list((Status.QUEUED, Status.SENDING))
_TOLD = f"""m.status NOT IN ({_NOT_YET})
    AND CASE WHEN m.status = '{Status.IN_DOUBT}' THEN NOT {COLLIDED} ELSE true END"""


@dataclass(frozen=True, slots=True)
class Matched:
    """A word whose message is known and has left, or may have."""

    word: DeliveryReceipt
    message_id: int
    package_id: int | None  # None if it ended without having left
    kind: Kind
    status: Status


def name_messages(connection: Connection, route: str, names: Iterable[tuple[str, int]]) -> None:
    """Note by which ids receipts will name messages: (id, message), each for ever."""
    rows = sorted(set(names))
    if rows:
        connection.execute(
            text("""
                INSERT INTO provider_message_ids (route, provider_message_id, message_id)
                SELECT :route, n.id, n.message_id
                FROM unnest(CAST(:ids AS text[]), CAST(:messages AS bigint[])) AS n (id, message_id)
                ON CONFLICT DO NOTHING
            """),
            {"route": route, "ids": [id_ for id_, _ in rows], "messages": [message for _, message in rows]},
        )


def match(
    connection: Connection, route: str, words: Sequence[DeliveryReceipt]
) -> tuple[list[Matched], list[DeliveryReceipt]]:
    """The words whose message is known and has left, or may have, in their order; and those that have to wait
    for it."""
    rows = connection.execute(
        text(f"""
            SELECT p.provider_message_id AS name, m.id, m.package_id, m.kind, m.status
            FROM unnest(CAST(:names AS text[])) AS n (name)
            JOIN provider_message_ids p ON p.route = :route AND p.provider_message_id = n.name
            JOIN messages m ON m.id = p.message_id AND {_TOLD}
        """),  # noqa: S608 - our own constants
        {"route": route, "names": list({word.provider_message_id for word in words})},
    )
    known = {row.name: row for row in rows}
    matched = [
        Matched(
            word,
            message_id=row.id,
            package_id=row.package_id,
            kind=Kind(row.kind),
            status=Status(row.status),
        )
        for word in words
        if (row := known.get(word.provider_message_id))
    ]
    return matched, [word for word in words if word.provider_message_id not in known]


def keep(connection: Connection, route: str, words: Sequence[DeliveryReceipt]) -> None:
    """Keep words whose message is not known yet. They are not counted here: see `drop_surplus`."""
    if not words:
        return
    connection.execute(
        text("""
            INSERT INTO unmatched_receipts (route, provider_message_id, status, code, happened_at,
                first_channel, read)
            SELECT :route, n.* FROM unnest(
                CAST(:provider_message_id AS text[]), CAST(:status AS text[]), CAST(:code AS text[]),
                CAST(:happened_at AS timestamptz[]), CAST(:first_channel AS boolean[]),
                CAST(:read AS boolean[])
            ) AS n
        """),
        {
            "route": route,
            "provider_message_id": [word.provider_message_id for word in words],
            "status": [word.status.value if word.status else None for word in words],
            "code": [word.code or None for word in words],
            "happened_at": [word.happened_at for word in words],
            "first_channel": [word.first_channel for word in words],
            "read": [word.read for word in words],
        },
    )


def take_kept(connection: Connection, route: str, limit: int) -> list[DeliveryReceipt]:
    """Take out kept words whose message is known by now and has left, or may have, oldest first. Two takers
    never get the same.

    OFFSET 0 keeps the planner from joining the other way round, through every name there is: as a rule
    nothing is kept. MOST of strangers cost 0.15 s a time.
    """
    rows = connection.execute(
        text(f"""
            WITH ripe AS (
                SELECT r.id FROM unmatched_receipts r, LATERAL (
                    SELECT FROM provider_message_ids p
                    JOIN messages m ON m.id = p.message_id AND {_TOLD}
                    WHERE p.route = r.route AND p.provider_message_id = r.provider_message_id OFFSET 0
                ) known
                WHERE r.route = :route ORDER BY r.id LIMIT :limit FOR UPDATE OF r SKIP LOCKED
            )
            DELETE FROM unmatched_receipts r USING ripe WHERE r.id = ripe.id
            RETURNING r.id, r.provider_message_id, r.status, r.code, r.happened_at, r.first_channel, r.read
        """),  # noqa: S608 - our own constants
        {"route": route, "limit": limit},
    ).all()
    return [
        DeliveryReceipt(
            provider_message_id=row.provider_message_id,
            status=Status(row.status) if row.status else None,
            code=row.code or "",
            happened_at=row.happened_at,
            first_channel=row.first_channel,
            read=row.read,
        )
        for row in sorted(rows, key=lambda row: int(row.id))
    ]


def drop_old(connection: Connection, route: str) -> int:
    """Forget kept words that nobody claimed in time. Returns how many."""
    return _drop(connection, route, MOST, "AND at < now() - :kept", kept=KEPT)


def drop_surplus(connection: Connection, route: str) -> int:
    """Forget the oldest kept words beyond MOST. Returns how many."""
    count: int = connection.execute(
        text("SELECT count(*) FROM unmatched_receipts WHERE route = :route"), {"route": route}
    ).scalar_one()
    return _drop(connection, route, count - MOST) if count > MOST else 0


def _drop(connection: Connection, route: str, count: int, condition: str = "", **values: object) -> int:
    """Forget the oldest. To drop or take never waits for another that does."""
    dropped = connection.execute(
        text(f"""
            DELETE FROM unmatched_receipts WHERE id IN (
                SELECT id FROM unmatched_receipts WHERE route = :route {condition}
                ORDER BY id LIMIT :count FOR UPDATE SKIP LOCKED
            )
        """),  # noqa: S608 - our own conditions
        {"route": route, "count": count, **values},
    )
    return dropped.rowcount


def look_now(connection: Connection, package_ids: Iterable[int]) -> int:
    """Let these packages be polled very soon, those that are polled at all; see GATHER. Returns how many will
    be sooner."""
    moved = connection.execute(
        text("""
            UPDATE packages SET poll_at = now() + :gather
            WHERE id IN (
                SELECT id FROM packages
                WHERE id = ANY(CAST(:ids AS bigint[])) AND poll_at > now() + :gather ORDER BY id FOR UPDATE
            )
        """),
        {"ids": sorted(set(package_ids)), "gather": GATHER},
    )
    return moved.rowcount
