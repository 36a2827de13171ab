"""Checks of the ledger: is it there and migrated, does it keep what it confirms, are there conflicts."""

from collections.abc import Iterator

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.conflicts import unseen_conflicts
from bulk_dispatch.ledger.migrate import behind
from bulk_dispatch.ledger.server import server_settings
from bulk_dispatch.monitoring.checks.result import CheckResult


def check_migration(ledger: Ledger) -> Iterator[CheckResult]:
    """PostgreSQL can be reached, and its schema is the one that this version expects."""
    there, expected = behind(ledger)
    with ledger.begin() as connection:
        name = f"PostgreSQL {server_settings(connection).version}"
    if there != expected:
        yield CheckResult("database", "bad", f"stands at {there or 'nothing'}, {expected} is expected")
    else:
        yield CheckResult("database", "ok", f"{name}, migrated to {there}")


def check_durability(ledger: Ledger) -> Iterator[CheckResult]:
    """The server keeps what it has confirmed, also when the power fails."""
    with ledger.begin() as connection:
        server = server_settings(connection)
    if server.lazy:
        yield CheckResult("durability", "bad", server.warning)


def check_conflicts(ledger: Ledger) -> Iterator[CheckResult]:
    """A producer that gives an id twice learns of it nowhere else, unless it asks. Told until somebody has
    looked."""
    with ledger.begin() as connection:
        count, first = unseen_conflicts(connection)
    if first:
        yield CheckResult(
            "conflicts",
            "warning",
            f"{count} messages since {first:%Y-%m-%d %H:%M} UTC were not sent: their client ids had been "
            "used before, with other content; see `worker conflicts list --seen`, which takes them for seen",
        )
