"""The suppression list: numbers that must get nothing. Enqueue looks here, and claim looks again."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from bulk_dispatch.ledger.bulk_params import bound, sql_rows


@dataclass(frozen=True, slots=True)
class Listed:
    """A number of the suppression list: since when (None: from now on), and why."""

    recipient: str = field(repr=False)
    added_at: datetime | None = None
    reason: str = field(default="", repr=False)  # people write numbers and names into it


MEANT = "(CAST(:numbers AS text[]) IS NULL OR s.recipient = ANY (CAST(:numbers AS text[])))"
"""Of a row s of the suppression list: it is one of :numbers; any row is, if these are NULL."""

# Sorted, so that two that add the same numbers lock in the same order and cannot deadlock.
_ADD = text(f"""
    INSERT INTO suppressions (recipient, added_at, reason)
    SELECT recipient, coalesce(added_at, now()), reason
    FROM ({sql_rows({"recipient": "text", "added_at": "timestamptz", "reason": "text"})}) AS n
    ORDER BY recipient ON CONFLICT DO NOTHING
""")  # noqa: S608 - our own constants


def suppress(connection: Connection, recipients: Sequence[str], reason: str = "") -> int:
    """Put numbers on the suppression list: from now on their messages are suppressed when they are enqueued,
    or claimed. Returns how many were not on it; who was keeps the date and the reason."""
    return put(connection, [Listed(recipient, None, reason) for recipient in recipients])


def put(connection: Connection, entries: Sequence[Listed]) -> int:
    """The same, with a date and a reason each."""
    columns: dict[str, list[Any]] = {
        "recipient": [entry.recipient for entry in entries],
        "added_at": [entry.added_at for entry in entries],
        "reason": [entry.reason or None for entry in entries],
    }
    return connection.execute(_ADD, bound(columns)).rowcount


def unsuppress(connection: Connection, recipients: Sequence[str]) -> int:
    """Take numbers off the suppression list."""
    removed = connection.execute(
        text("DELETE FROM suppressions WHERE recipient = ANY(CAST(:recipients AS text[]))"),
        {"recipients": list(recipients)},
    )
    return removed.rowcount


def find(connection: Connection, recipient: str) -> Listed | None:
    """What the suppression list says of a number; None if it is not on it."""
    row = connection.execute(
        text(f"{_SELECT} WHERE recipient = :recipient"), {"recipient": recipient}
    ).one_or_none()
    return Listed(*row) if row else None


def latest(connection: Connection, limit: int) -> tuple[int, list[Listed]]:
    """How many numbers are on the list, and those added last; all if `limit` is 0."""
    count: int = connection.execute(text("SELECT count(*) FROM suppressions")).scalar_one()
    rows = connection.execute(
        text(f"{_SELECT} ORDER BY added_at DESC, recipient LIMIT :limit"), {"limit": limit or None}
    )
    return count, [Listed(*row) for row in rows]


def page(connection: Connection, after: str, size: int = 10_000) -> list[Listed]:
    """The next part of the list, by number: what comes after this one. Empty at the end."""
    rows = connection.execute(
        text(f"{_SELECT} WHERE recipient > :after ORDER BY recipient LIMIT :size"),
        {"after": after, "size": size},
    )
    return [Listed(*row) for row in rows]


_SELECT = "SELECT recipient, added_at, coalesce(reason, '') FROM suppressions"
