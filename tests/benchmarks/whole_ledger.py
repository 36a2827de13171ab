"""How long the books take, and the history of one message, over a ledger that holds many."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import books, history
from tests.benchmarks.filled_ledger import client_id, fill
from tests.benchmarks.installation import Installation

BOOKS = 5  # times that the books are counted
HISTORIES = 20  # messages that are looked up, all over the ledger


@dataclass(frozen=True)
class Times:
    """Medians: of the books in seconds, of one message's history in milliseconds."""

    messages: int
    books_s: float
    status_ms: float

    def figures(self) -> dict[str, float]:
        """For machines."""
        return {
            "messages": self.messages,
            "books_s": round(self.books_s, 3),
            "status_ms": round(self.status_ms, 2),
        }

    def table(self) -> list[str]:
        """Markdown."""
        return [
            "| messages in the ledger | the books, s | the history of one, ms |",
            "|---:|---:|---:|",
            f"| {self.messages:,} | {self.books_s:.2f} | {self.status_ms:.1f} |",
        ]


def measure(place: Installation, count: int) -> Times:
    """Over so many messages, all of them delivered."""
    fill(place, count)
    ledger = Ledger.connect(place.addresses.database_url)
    try:
        return Times(
            count,
            statistics.median(_seconds(lambda: _count(ledger, count)) for _ in range(BOOKS)),
            1000 * statistics.median(_seconds(lambda: _look_up(ledger, name)) for name in _names(count)),  # noqa: B023
        )
    finally:
        ledger.close()


def _names(count: int) -> list[str]:
    return [client_id(1 + number * count // HISTORIES) for number in range(HISTORIES)]


def _count(ledger: Ledger, count: int) -> None:
    with ledger.snapshot() as connection:
        found = books(connection)
    if (found.total, found.balanced) != (count, True):
        raise RuntimeError(f"the books have {found.total} of {count} messages; denied: {found.unbalanced}")


def _look_up(ledger: Ledger, name: str) -> None:
    with ledger.snapshot() as connection:
        found = history(connection, name)
    if found is None or not found.events:
        raise RuntimeError(f"no history of {name}")


def _seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
