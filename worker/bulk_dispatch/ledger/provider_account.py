"""What a provider told of our account: the money left, and its clock. It opens and closes no route."""

from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, text

TRUSTED = timedelta(minutes=2)
"""A provider's clock that is further off is trusted with no schedule [webcom sheet, section 8]."""


def note_balance(connection: Connection, route: str, amount: Decimal, currency: str) -> datetime:
    """Keep what a provider said of the money left. Returns when that was."""
    noted: datetime = connection.execute(
        text("""
            UPDATE routes SET balance = :amount, currency = :currency, balance_at = now()
            WHERE name = :route RETURNING balance_at
        """),
        {"route": route, "amount": amount, "currency": currency or None},
    ).scalar_one()
    return noted


def note_clock(connection: Connection, route: str, ahead: timedelta) -> None:
    """Keep how far a provider's clock is ahead of ours."""
    connection.execute(
        text("UPDATE routes SET clock_skew = :ahead WHERE name = :route"), {"route": route, "ahead": ahead}
    )


def clock_skew(connection: Connection, route: str) -> timedelta | None:
    """How far a provider's clock was ahead of ours when last asked; None if it never was."""
    found: timedelta | None = connection.execute(
        text("SELECT clock_skew FROM routes WHERE name = :route"), {"route": route}
    ).scalar_one_or_none()
    return found


def trusted_ahead(ahead: timedelta, skew: timedelta | None) -> timedelta:
    """How long before its time a provider with a clock of its own may be given a message: `ahead`; not at all
    while that clock is unknown, or off by more than TRUSTED."""
    return ahead if skew is not None and abs(skew) <= TRUSTED else timedelta(0)
