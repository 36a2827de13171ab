"""A door over real HTTP, a book behind it, and providers who call."""

import os
from collections.abc import Iterator

import pytest

from tests.conftest import _administer, _named
from tests.web.world import OPEN, World, make_lines, opened
from worker.ledger import Ledger
from worker.ledger.schema import metadata
from worker.local.pair import Addresses


@pytest.fixture(scope="session")
def shared_url(servers: Addresses, template: str) -> Iterator[str]:
    """A migrated database for all tests of this room."""
    name = f"worker_web_{os.getpid()}"
    _administer(servers.database_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _named(servers.database_url, name)
    _administer(servers.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def database_url(shared_url: str) -> str:
    """A migrated, empty database."""
    _administer(shared_url, f"TRUNCATE {', '.join(metadata.tables)}")
    return shared_url


@pytest.fixture
def world(ledger: Ledger) -> Iterator[World]:
    """A door with an entrance for each way to push, open to all who know the secret."""
    with opened(ledger, make_lines(**OPEN)) as world:
        yield world
