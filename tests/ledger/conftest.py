"""The book in a test's hands, a second connection to it, and a database without tables.

These tests are many and small: they share one database, emptied before each, where others get their own.
"""

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.conftest import _administer, _named
from tests.ledger.book import Book
from worker.ledger import Ledger
from worker.ledger.schema import metadata
from worker.local.pair import Addresses

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def shared_url(servers: Addresses, template: str) -> Iterator[str]:
    """A migrated database for all tests of this room."""
    name = f"worker_ledger_{os.getpid()}"
    _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(servers.database_url, name)
    _administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(shared_url: str) -> str:
    """A migrated, empty database."""
    _administer(shared_url, f"TRUNCATE {', '.join(metadata.tables)}")
    return shared_url


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
    name = f"worker_bare_{os.getpid()}_{next(_numbers)}"
    _administer(servers.database_url, f"CREATE DATABASE {name}")
    yield _named(servers.database_url, name)
    _administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def bare(bare_url: str) -> Iterator[Ledger]:
    """A ledger at that database."""
    ledger = Ledger.connect(bare_url)
    yield ledger
    ledger.close()
