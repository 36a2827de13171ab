"""The stop list: numbers that must get nothing. Enqueue looks here."""

from collections.abc import Sequence

from sqlalchemy import Connection, text


def suppress(connection: Connection, recipients: Sequence[str], why: str = "") -> int:
    """Put numbers on the stop list. Messages enqueued for them from now on are suppressed."""
    added = connection.execute(
        text("""
            INSERT INTO stop_list (recipient, why) SELECT unnest(CAST(:recipients AS text[])), :why
            ORDER BY 1 ON CONFLICT DO NOTHING
        """),
        {"recipients": list(recipients), "why": why or None},
    )
    return added.rowcount


def unsuppress(connection: Connection, recipients: Sequence[str]) -> int:
    """Take numbers off the stop list."""
    removed = connection.execute(
        text("DELETE FROM stop_list WHERE recipient = ANY(CAST(:recipients AS text[]))"),
        {"recipients": list(recipients)},
    )
    return removed.rowcount
