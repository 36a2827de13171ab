"""The book in a test's hands, a second connection to it, and a database without tables.

These tests are many and small: they share one database, emptied before each, where others get their own.
"""

from collections.abc import Iterator

import pytest

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.conftest import database, emptied
from tests.ledger.book import Book


@pytest.fixture(scope="session")
def shared_url(servers: Addresses, template: str) -> Iterator[str]:
    """A migrated database for all tests of this room."""
    with database(servers, "ledger", template) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    """A migrated, empty database."""
    return emptied(shared_url)


@pytest.fixture
def book(ledger: Ledger) -> Book:
    """The book, empty."""
    return Book(ledger)


@pytest.fixture
def other(database_url: str) -> Iterator[Book]:
    """The same book over connections of its own, as another process has it."""
    ledger = Ledger.connect(database_url)
    yield Book(ledger)
    ledger.close()


@pytest.fixture
def bare_url(servers: Addresses) -> Iterator[str]:
    """A database that nobody has migrated."""
    with database(servers, "bare") as url:
        yield url


@pytest.fixture
def bare(bare_url: str) -> Iterator[Ledger]:
    """A ledger at that database."""
    ledger = Ledger.connect(bare_url)
    yield ledger
    ledger.close()
