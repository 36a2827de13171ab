"""A door over real HTTP, a book behind it, and providers who call."""

from collections.abc import Iterator

import pytest

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.conftest import database, emptied
from tests.webhooks.world import OPEN, World, make_lines, opened


@pytest.fixture(scope="session")
def shared_url(servers: Addresses, template: str) -> Iterator[str]:
    """A migrated database for all tests of this room."""
    with database(servers, "web", template) as url:
        yield url


@pytest.fixture
def database_url(shared_url: str) -> str:
    """A migrated, empty database."""
    return emptied(shared_url)


@pytest.fixture
def world(ledger: Ledger) -> Iterator[World]:
    """A door with an entrance for each way to push, open to all who know the secret."""
    with opened(ledger, make_lines(**OPEN)) as world:
        yield world
