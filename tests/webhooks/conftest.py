"""A door over real HTTP, a book behind it, and providers who call."""

from collections.abc import Iterator

import pytest

from bulk_dispatch.ledger import Ledger
from tests.webhooks.world import OPEN, World, make_lines, opened


@pytest.fixture
def world(ledger: Ledger) -> Iterator[World]:
    """A door with an entrance for each way to push, open to all who know the secret."""
    with opened(ledger, make_lines(**OPEN)) as world:
        yield world
