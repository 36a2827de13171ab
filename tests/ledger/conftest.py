"""The book in a test's hands, a second connection to it, and a database without tables."""

from collections.abc import Iterator

import pytest

from bulk_dispatch.ledger import Ledger
from tests.ledger.book import Book


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
def bare(bare_url: str) -> Iterator[Ledger]:
    """A ledger at a database that nobody has migrated."""
    ledger = Ledger.connect(bare_url)
    yield ledger
    ledger.close()
