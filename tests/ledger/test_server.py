"""The server that the ledger lives on: too old is refused at once, and what it lacks is named."""

from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import create_engine

from bulk_dispatch.ledger import Ledger, LedgerError, LedgerRefusedError, TooOldError
from bulk_dispatch.ledger.server import LEAST, ServerSettings, check_version
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.conftest import database
from tests.factories import message
from tests.ledger.book import Book

NOBODY = "postgresql+psycopg://me@127.0.0.1:9/none"


@pytest.mark.parametrize("version", [150018, 160002, 170099])
def test_given_an_older_server_when_weighed_then_both_versions_are_told(version: int) -> None:
    with pytest.raises(TooOldError) as caught:
        check_version(version)

    assert str(caught.value) == f"PostgreSQL {version // 10_000} is too old; {LEAST} is needed"


@pytest.mark.parametrize("version", [180000, 180004, 190001])
def test_given_a_server_new_enough_when_weighed_then_nothing_is_said(version: int) -> None:
    check_version(version)


def test_given_a_server_below_what_is_needed_when_opened_then_no_statement_reaches_it(
    servers: Addresses, database_url: str
) -> None:
    with closing(Ledger.connect(database_url, least=99)) as ledger:
        with pytest.raises(TooOldError, match=r"^PostgreSQL 18 is too old; 99 is needed$"), ledger.begin():
            pytest.fail("nobody gets in")
        with pytest.raises(LedgerError, match="too old"):
            ledger.lacks()


def test_given_no_server_when_asked_what_it_lacks_then_nothing_is_said() -> None:
    with closing(Ledger.connect(NOBODY)) as ledger:
        assert ledger.lacks() == ""


@pytest.mark.parametrize(
    ("lazy", "said"),
    [
        ((), ""),
        (("fsync",), "fsync is off in PostgreSQL: a crash may forget what was sent"),
        (("fsync", "full_page_writes"), "fsync and full_page_writes are off in PostgreSQL: a crash may"),
    ],
)
def test_given_settings_that_are_off_when_told_then_each_is_named(lazy: tuple[str, ...], said: str) -> None:
    found = ServerSettings(18, lazy).warning

    assert found.startswith(said)
    assert bool(found) is bool(lazy)


@pytest.fixture
def stranger(servers: Addresses, template: str, database_url: str) -> Iterator[str]:
    """The address of the same database for somebody who may not read it."""
    engine = create_engine(database_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE ROLE stranger LOGIN")
    yield database_url.replace("postgres@", "stranger@")
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP OWNED BY stranger; DROP ROLE stranger")
    engine.dispose()


def test_given_an_account_that_may_not_read_when_asked_then_that_is_one_sentence(stranger: str) -> None:
    with closing(Ledger.connect(stranger)) as ledger, pytest.raises(LedgerRefusedError) as caught:
        Book(ledger).enqueue([message(1)])

    assert str(caught.value).startswith("the database refuses: permission denied for")


def test_given_a_database_of_this_process_then_it_is_new_enough(servers: Addresses) -> None:
    with database(servers, "fresh") as url, closing(Ledger.connect(url)) as ledger, ledger.begin():
        pass
