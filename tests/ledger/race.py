"""Two transactions at the same time, stopped and started where the test wants it."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, event, text

from bulk_dispatch.local.wait import wait_until
from tests.ledger.book import PATIENCE, Background, Book

Work = Callable[[Connection], Any]


@dataclass(frozen=True)
class Outcome:
    """What both brought; None for the first, if it was rolled back. `waited`: the second, for the first."""

    first: Any
    second: Any
    waited: bool


class _Abandoned(Exception):
    """The first has done its work and must be forgotten."""


@dataclass
class _Gate:
    """Stops a transaction before its n-th statement, or at its end, until somebody opens."""

    statement: int
    reached: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    passed: int = 0

    def watch(self, connection: Connection) -> None:
        """Count this connection's statements from now on."""
        event.listen(connection, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        if self.passed == self.statement:
            self.stop()
        self.passed += 1

    def stop(self) -> None:
        """Wait here, unless it was opened before."""
        self.reached.set()
        assert self.opened.wait(PATIENCE.total_seconds())


def race(book: Book, first: Work, second: Work, *, statement: int, commits: bool) -> Outcome:
    """Let `first` come to its n-th statement, or to its end; there let `second` begin. Once that is done, or
    waits for the first, `first` goes on, and commits or is rolled back."""
    gate = _Gate(statement)
    ahead = Background(lambda: _ahead(book, first, gate, commits))
    assert gate.reached.wait(PATIENCE.total_seconds())
    done, process = threading.Event(), list[int]()
    behind = Background(lambda: _behind(book, second, process, done))
    waits = False

    def stands() -> bool:
        nonlocal waits
        waits = not done.is_set() and bool(process) and _waits(book, process[0])
        return waits or done.is_set()

    stood = wait_until(stands, PATIENCE)
    gate.opened.set()
    try:
        brought = ahead.result()
    finally:
        found = behind.result()
    assert stood
    return Outcome(brought, found, waits)


def _ahead(book: Book, work: Work, gate: _Gate, commits: bool) -> Any:
    try:
        with book.ledger.begin() as connection:
            gate.watch(connection)
            outcome = work(connection)
            gate.stop()
            if not commits:
                raise _Abandoned
            return outcome
    except _Abandoned:
        return None
    finally:
        gate.reached.set()


def _behind(book: Book, work: Work, process: list[int], done: threading.Event) -> Any:
    try:
        with book.ledger.begin() as connection:
            process.append(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())
            return work(connection)
    finally:
        done.set()


def _waits(book: Book, process: int) -> bool:
    found: bool = book.one("SELECT cardinality(pg_blocking_pids(:process)) > 0", process=process)
    return found
