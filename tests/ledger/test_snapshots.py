"""Who holds a snapshot of the ledger, and what is shown of them."""

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.server import SnapshotHolder, snapshot_holders
from bulk_dispatch.monitoring.checks.ledger import check_snapshots
from tests.ledger.test_joined import libpq

AT_ONCE = timedelta(0)


@pytest.fixture
def dump(database_url: str) -> Iterator["psycopg.Connection[tuple[object, ...]]"]:
    """A session that sees one instant, as a dump does."""
    with psycopg.connect(libpq(database_url), application_name="a dump") as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield session


def holders(ledger: Ledger, held_for: timedelta = AT_ONCE) -> list[SnapshotHolder]:
    with ledger.begin() as connection:
        return snapshot_holders(connection, held_for)


def test_who_sees_one_instant_is_named_with_the_statement_and_without_its_values(
    ledger: Ledger, dump: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    dump.execute(
        "SELECT 'Olena''s', $$+380931110001$$,\n  1234 FROM messages WHERE recipient = '+380931110001'"
    )

    [holder] = holders(ledger)

    assert holder.pid == dump.info.backend_pid
    assert holder.name.startswith("a dump, ")
    assert holder.query == "SELECT ?, ?, ? FROM messages WHERE recipient = ?"


def test_the_doctor_says_what_it_costs_and_how_it_is_ended(
    ledger: Ledger, dump: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    dump.execute("SELECT count(*) FROM messages")

    [found] = check_snapshots(ledger, AT_ONCE)

    assert (found.what, found.result) == ("snapshots", "warning")
    assert f"(pid {dump.info.backend_pid}) has been in one transaction for 0 s" in found.seen
    assert found.seen.endswith(f"claims get slower: SELECT pg_terminate_backend({dump.info.backend_pid})")


def test_who_has_only_begun_or_has_not_been_at_it_for_long_is_not_named(
    ledger: Ledger, dump: "psycopg.Connection[tuple[object, ...]]"
) -> None:
    assert holders(ledger) == []
    dump.execute("SELECT count(*) FROM messages")

    assert holders(ledger, timedelta(minutes=1)) == []
    dump.rollback()
    assert holders(ledger) == []
