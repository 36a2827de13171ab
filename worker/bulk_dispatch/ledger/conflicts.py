"""Conflicts that were recorded: what was not sent, because its client id stood for something else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, text

_SHOWN = "id, client_id, producer, at, fields"


@dataclass(frozen=True, slots=True)
class RecordedConflict:
    """A message that was not sent: another was entered before under the same client id of its producer.

    `fields` are those in which the two differ; what was in them stands in the ledger alone. `at` is when it
    was told first.
    """

    client_id: str
    producer: str
    at: datetime
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConflictCursor:
    """A place in the record: all up to this conflict has been seen."""

    at: datetime | None  # None: before all there are
    row: int


def after_all_of(instant: datetime | None) -> ConflictCursor:
    """The place from which everything follows that was recorded later."""
    return ConflictCursor(instant, 2**63 - 1 if instant else 0)


def conflicts_after(
    connection: Connection, producer: str, place: ConflictCursor, limit: int
) -> tuple[list[RecordedConflict], ConflictCursor | None]:
    """The next conflicts of a producer, the oldest first, and the place to go on from; None at the end."""
    rows = connection.execute(
        text(f"""
            SELECT {_SHOWN} FROM conflicts
            WHERE (at, id) > (coalesce(CAST(:at AS timestamptz), '-infinity'), CAST(:row AS bigint))
              AND producer = :producer
            ORDER BY at, id LIMIT :limit
        """),  # noqa: S608 - our own constants
        {"producer": producer, "at": place.at, "row": place.row, "limit": limit},
    ).all()
    end = ConflictCursor(rows[-1].at, rows[-1].id) if len(rows) == limit else None
    return list(_recorded(rows)), end


@dataclass(frozen=True, slots=True)
class ConflictList:
    """How many conflicts there are, and the latest of them, with their rows in the record."""

    total: int
    latest: Sequence[RecordedConflict]
    rows: Sequence[int]


def latest_conflicts(connection: Connection, producer: str | None, limit: int | None) -> ConflictList:
    """What is recorded of one producer, or of all; up to `limit` of it, newest first. Best read in one
    snapshot."""
    whose = "" if producer is None else "WHERE producer = :producer"
    given = {} if producer is None else {"producer": producer}
    total = connection.execute(text(f"SELECT count(*) FROM conflicts {whose}"), given).scalar_one()  # noqa: S608
    rows = connection.execute(
        text(f"SELECT {_SHOWN} FROM conflicts {whose} ORDER BY at DESC, id DESC LIMIT :limit"),  # noqa: S608
        {**given, "limit": limit},
    ).all()
    return ConflictList(total, list(_recorded(rows)), [row.id for row in rows])


def _recorded(rows: Sequence[Row[Any]]) -> Iterator[RecordedConflict]:
    return (
        RecordedConflict(row.client_id, row.producer, row.at, tuple(row.fields.split(", "))) for row in rows
    )


def take_for_seen(connection: Connection, rows: Sequence[int]) -> None:
    """Somebody has looked at these."""
    connection.execute(
        text("""
            UPDATE conflicts SET seen_at = now()
            WHERE id = ANY(CAST(:rows AS bigint[])) AND seen_at IS NULL
        """),
        {"rows": list(rows)},
    )


def unseen_conflicts(connection: Connection) -> tuple[int, datetime | None]:
    """How many there are at which nobody has looked, and when the first of them was recorded."""
    row = connection.execute(text("SELECT count(*), min(at) FROM conflicts WHERE seen_at IS NULL")).one()
    return row[0], row[1]
