"""`worker db`: what an upgrade will take is told before it begins."""

from collections.abc import Iterator

import pytest
from sqlalchemy import text

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import behind, downgrade, head, upgrade
from tests.cli.conftest import Shell
from tests.factories import messages
from tests.ledger.book import Book

pytestmark = pytest.mark.slow


@pytest.fixture
def older(book: Book) -> Iterator[Ledger]:
    """A ledger of three messages that stands at 0012."""
    book.enqueue(messages(3))
    downgrade(book.ledger, "0012")
    yield book.ledger
    upgrade(book.ledger)


def test_time_and_room_are_told_and_nothing_is_changed(shell: Shell, older: Ledger) -> None:
    ran = shell.worker("db", "upgrade", "--dry-run")

    assert (ran.code, behind(older)[0]) == (0, "0012")
    assert ran.out == f"The database stands at 0012; {head()} is expected. Nothing was changed.\n"
    assert f"Upgrade from 0012 to {head()}, with about 3 messages: about 1 s, " in " ".join(ran.err.split())
    planned = shell.worker("db", "upgrade", "--dry-run", "--json").json
    assert (planned["before"], planned["after"], planned["messages"]) == ("0012", head(), 3)
    assert planned["seconds"] >= 1


def test_they_grow_with_the_ledger(shell: Shell, older: Ledger) -> None:
    with older.begin() as connection:
        connection.execute(text("UPDATE pg_class SET reltuples = 2000000 WHERE relname = 'messages'"))

    planned = shell.worker("db", "upgrade", "--dry-run", "--json").json

    assert planned["messages"] == 2_000_000
    assert planned["seconds"] >= 2 * (30 + 10)


def test_they_are_told_before_it_begins_and_then_it_is_done(shell: Shell, older: Ledger) -> None:
    ran = shell.worker("db", "upgrade")

    assert (ran.code, behind(older)[0]) == (0, head())
    assert "Upgrade from 0012" in ran.err
    assert ran.out == f"The database stands at {head()}.\n"


def test_where_nothing_is_to_be_done_nothing_is_foretold(shell: Shell, book: Book) -> None:
    ran = shell.worker("db", "upgrade", "--dry-run")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out == f"The database stands at {head()}; {head()} is expected. Nothing was changed.\n"
    assert shell.worker("db", "upgrade", "--dry-run", "--json").json == {"before": head(), "after": head()}
