"""Totals: what the journal has moved between statuses, summed up as far as nothing can be added any more."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, text

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.schema import PROVIDER, sql_list

FAILED = frozenset({Status.REJECTED, Status.UNDELIVERABLE, Status.EXPIRED, Status.FAILED})
"""Ends for which somebody asks why."""

_SUMS = f"""
    SELECT j.from_status, j.to_status, {PROVIDER} AS provider,
           CASE WHEN j.to_status IN ({sql_list(FAILED)}) THEN j.code END AS code,
           sum(j.message_count)::bigint AS message_count
    FROM journal j LEFT JOIN packages p
        ON p.id = j.package_id AND j.to_status IN ({sql_list(FAILED)}) AND j.code IS NOT NULL
    WHERE j.id > {{after}} {{up_to}} GROUP BY 1, 2, 3, 4
"""  # noqa: S608 - our own constants

# Rows of the journal get their numbers before they are committed. But whoever has taken a number has the id
# of its transaction already, for it has changed messages first. So what is numbered up to the last row seen
# is all there once every transaction is over that had begun: an id taken after the look is later than theirs.
_LOOK = text("""
    SELECT coalesce(c.up_to, 0) AS up_to, coalesce(c.next_up_to, 0) AS next_up_to,
           coalesce(c.next_xid, 0) AS next_xid,
           coalesce(c.next_xid, 0) < CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint)
               AS ended,
           c.next_xid >= CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS foreign_xid,
           (SELECT coalesce(max(id), 0) FROM journal) AS last
    FROM (SELECT) AS one LEFT JOIN journal_closing c ON true
""")
_CLOSE = text("""
    INSERT INTO journal_closing AS c (up_to, next_up_to, next_xid)
    VALUES (:up_to, :last, CAST(CAST(pg_current_xact_id() AS text) AS bigint))
    ON CONFLICT (id) DO UPDATE SET
        up_to = EXCLUDED.up_to,
        next_up_to = CASE WHEN :reached THEN EXCLUDED.next_up_to ELSE c.next_up_to END,
        next_xid = CASE WHEN :reached THEN EXCLUDED.next_xid ELSE c.next_xid END
    WHERE c.next_xid = :next_xid AND c.up_to = :after
""")
_ADD = text(f"""
    INSERT INTO journal_totals AS t (from_status, to_status, provider, code, message_count)
    {_SUMS.format(after=":after", up_to="AND j.id <= :up_to")}
    ON CONFLICT (from_status, to_status, provider, code)
        DO UPDATE SET message_count = t.message_count + EXCLUDED.message_count
""")


STEP = 1_000_000
"""Rows of the journal that are summed up at once."""


@dataclass(frozen=True, slots=True)
class Closed:
    """What one closing did: how many numbers of rows it summed up to, and whether there are more to be closed
    at once."""

    rows: int = 0
    more: bool = False


def close_books(connection: Connection, step: int = STEP) -> Closed:
    """Sum up the part of the journal that nothing can be added to any more, at most `step` rows of it. What
    is closed next is what is there now: it takes two calls. Two at once are harmless.

    Wants a transaction that has written nothing yet, for its id must be taken after the look.
    """
    look = connection.execute(_LOOK).one()
    if look.foreign_xid:  # of the server that this ledger was copied from by a dump: begin anew from here
        end = look.up_to
    elif look.ended and look.last > look.up_to:
        end = look.next_up_to
    else:
        return Closed()
    up_to = min(end, look.up_to + step)
    values = {
        "after": look.up_to,
        "up_to": up_to,
        "last": look.last,
        "next_xid": look.next_xid,
        "reached": up_to == end,
    }
    if not connection.execute(_CLOSE, values).rowcount:
        return Closed()  # somebody else was quicker
    connection.execute(_ADD, {"after": look.up_to, "up_to": up_to})
    return Closed(up_to - look.up_to, more=up_to < end)


@dataclass(frozen=True, slots=True)
class Total:
    """Messages that went from one status to another; for those that failed, for one reason."""

    from_status: str | None
    to_status: str
    provider: str | None
    code: str | None
    count: int


_TOTALS = text(f"""
    SELECT from_status, to_status, provider, code, sum(message_count)::bigint FROM (
        SELECT from_status, to_status, provider, code, message_count FROM journal_totals
        UNION ALL {_SUMS.format(after="coalesce((SELECT up_to FROM journal_closing), 0)", up_to="")}
    ) parts GROUP BY 1, 2, 3, 4
""")  # noqa: S608 - our own constants


def totals(connection: Connection) -> Iterator[Total]:
    """All that the journal has moved. Reads the part that is not closed yet."""
    return (Total(*row) for row in connection.execute(_TOTALS))
