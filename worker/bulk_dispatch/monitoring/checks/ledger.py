"""Checks of the ledger: is it there and migrated, does it keep what it confirms, are there conflicts."""

from collections.abc import Iterator
from datetime import timedelta

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.conflicts import unseen_conflicts
from bulk_dispatch.ledger.flows import flows
from bulk_dispatch.ledger.migrate import behind
from bulk_dispatch.ledger.server import server_settings, snapshot_holders
from bulk_dispatch.monitoring.checks.result import CheckResult

HELD_FOR = timedelta(seconds=30)
"""So long a transaction may last; ours take milliseconds, but for books and audits."""

QUERY_SHOWN = 60  # characters of a statement


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


def check_snapshots(ledger: Ledger, held_for: timedelta = HELD_FOR) -> Iterator[CheckResult]:
    """Nobody holds on to the ledger as it was for so long that what has changed since slows claims down."""
    with ledger.begin() as connection:
        holders = snapshot_holders(connection, held_for)
    for holder in holders:
        name = f"{holder.name} (pid {holder.pid})" if holder.pid else holder.name
        end = f"SELECT pg_terminate_backend({holder.pid})" if holder.pid else "ROLLBACK PREPARED"
        query = f", last with: {holder.query[:QUERY_SHOWN]}" if holder.query else ""
        yield CheckResult(
            "snapshots",
            "warning",
            f"{name} has been in one transaction for {int(holder.held_for.total_seconds())} s{query}; until "
            f"it ends, rows of messages that went out cannot be cleared away, and claims get slower: {end}",
        )


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


def check_flows(ledger: Ledger) -> Iterator[CheckResult]:
    """No campaign waits because somebody paused it and forgot."""
    with ledger.begin() as connection:
        paused = [flow for flow in flows(connection) if flow.paused_at and flow.queued]
    for flow in paused:
        producer = f' --producer "{flow.producer}"' if flow.producer else ""
        yield CheckResult(
            "flows",
            "warning",
            f"{flow.queued} messages of campaign {flow.campaign or '(none)'} wait on {flow.route}, paused "
            f"since {flow.paused_at:%Y-%m-%d %H:%M} UTC: {flow.reason}; to let them go: "
            f'`worker flows resume --campaign "{flow.campaign}"{producer}`',
        )
