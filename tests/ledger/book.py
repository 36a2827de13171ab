"""A ledger in a test's hands: transitions with sensible values, ways to every status, looks at the rows."""

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, text

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import Limits, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import Books, books
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import (
    Claim,
    ClaimRequest,
    Enqueued,
    Looks,
    Package,
    Transition,
    TransitionCounts,
    cancel,
    claim,
    enqueue,
    settle,
)
from bulk_dispatch.local.wait import wait_until

ROUTE = "alpha"
PATIENCE = timedelta(seconds=20)
LEASE = timedelta(minutes=1)
LOOK = Looks(poll=timedelta(seconds=30), rescue=timedelta(seconds=5))
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

_Result = TypeVar("_Result")

ONE_BY_ONE = """
    WITH told AS (DELETE FROM journal RETURNING *)
    INSERT INTO journal (package_id, at, type, from_status, to_status, code, note, message_count, message_ids,
                         happened_at)
    SELECT t.package_id, t.at, t.type, t.from_status, t.to_status, t.code, t.note, 1, ARRAY[u.message_id],
           CASE WHEN u.happened_at IS NOT NULL THEN ARRAY[u.happened_at] END
    FROM told t, unnest(t.message_ids, t.happened_at) AS u (message_id, happened_at)
    ORDER BY t.id, u.message_id
"""
"""As if a statement of its own had moved each message: what a test writes into the journal is of one."""


@dataclass(frozen=True)
class Book:
    """One ledger; every call is a transaction of its own."""

    ledger: Ledger

    # -- the transitions

    def enqueue(self, offered: Sequence[Message]) -> Enqueued:
        """Enter messages."""
        with self.ledger.begin() as connection:
            register_routes(connection, sorted({message.route for message in offered}))
            return enqueue(connection, offered)

    def claim(
        self,
        lane: Lane = Lane.BULK,
        *,
        route: str = ROUTE,
        items: int = 1000,
        octets: int = 10**9,
        parallel: int = 100,
        lease: timedelta = LEASE,
    ) -> Claim:
        """Claim, with limits that are not in the way."""
        with self.ledger.begin() as connection:
            limits = Limits(items, octets)
            return claim(connection, ClaimRequest(route, limits, parallel=parallel, lease=lease), lane)

    def settle(
        self,
        package: Package,
        reports: Status | Sequence[Status],
        *,
        emptied: PackageState = PackageState.CLOSED,
        look: Looks = LOOK,
        delay: timedelta = timedelta(0),
        tried: bool = False,
    ) -> TransitionCounts:
        """One report for all of a package's messages, or one for each of the first ones."""
        each = [reports] * len(package.items) if isinstance(reports, Status) else reports
        moves = [
            Transition(item.id, package.id, to_status, delay=delay, tried=tried)
            for item, to_status in zip(package.items, each, strict=False)
        ]
        with self.ledger.begin() as connection:
            return settle(connection, moves, {package.id: look}, emptied=emptied)

    def report(self, package: Package, reports: Status | Sequence[Status]) -> TransitionCounts:
        """The same, for reports."""
        each = [reports] * len(package.items) if isinstance(reports, Status) else reports
        news = [
            Transition(item.id, package.id, to_status)
            for item, to_status in zip(package.items, each, strict=False)
        ]
        with self.ledger.begin() as connection:
            return settle(connection, [], {package.id: LOOK}, news=news)

    def cancel(self, client_ids: Sequence[str]) -> int:
        """Withdraw."""
        with self.ledger.begin() as connection:
            return cancel(connection, client_ids)

    def suppress(self, recipients: Sequence[str]) -> int:
        """Put numbers on the suppression list."""
        with self.ledger.begin() as connection:
            return suppress(connection, recipients)

    def do(self, event_type: Callable[..., _Result], *values: Any, **named: Any) -> _Result:
        """Any other function of the ledger, or a read."""
        with self.ledger.begin() as connection:
            return event_type(connection, *values, **named)

    # -- ways

    def package(self, offered: Sequence[Message], *, lease: timedelta = LEASE) -> Package:
        """Enter messages and claim them all into one package."""
        self.enqueue(offered)
        package = self.claim(offered[0].lane, route=offered[0].route, items=len(offered), lease=lease).package
        assert package is not None
        assert len(package.items) == len(offered)
        return package

    def bring(self, offered: Sequence[Message], status: Status) -> None:
        """Walk new messages to a status, as is allowed. What is to expire must be offered late."""
        if status is Status.SUPPRESSED:
            self.suppress([message.recipient for message in offered])
        if status in (Status.QUEUED, Status.SUPPRESSED):
            self.enqueue(offered)
        elif status is Status.CANCELLED:
            self.enqueue(offered)
            self.cancel([message.client_id for message in offered])
        elif status is Status.EXPIRED:
            self.enqueue(offered)
            for route in sorted({message.route for message in offered}):
                self.claim(route=route)
        else:
            for route in sorted({message.route for message in offered}):
                self._bring_package([message for message in offered if message.route == route], status)

    def _bring_package(self, offered: Sequence[Message], status: Status) -> None:
        package = self.package(offered)
        if status is Status.SENDING:
            return
        if status in (Status.SENT, Status.IN_DOUBT, Status.REJECTED, Status.FAILED):
            self.settle(package, status)
        else:
            self.settle(package, Status.SENT)
            self.report(package, status)

    # -- looks

    def rows(self, statement: str, **values: object) -> list[Row[Any]]:
        """What a statement of the test's own finds, or changes behind the transitions' back."""
        with self.ledger.begin() as connection:
            found = connection.execute(text(statement), values)
            return list(found) if found.returns_rows else []

    def one(self, statement: str, **values: object) -> Any:
        """The first value of the only row."""
        [row] = self.rows(statement, **values)
        return row[0]

    def messages(self) -> dict[int, Row[Any]]:
        """Every message row, by id."""
        return {row.id: row for row in self.rows("SELECT * FROM messages ORDER BY id")}

    def events(self, after: int = 0) -> list[Row[Any]]:
        """Every event, oldest first."""
        return self.rows("SELECT * FROM events WHERE id > :after ORDER BY id", after=after)

    def statuses(self) -> dict[str, str]:
        """Status by client id."""
        return {row.client_id: row.status for row in self.messages().values()}

    def package_row(self, package_id: int) -> Row[Any]:
        """One package as it stands."""
        [row] = self.rows("SELECT * FROM packages WHERE id = :id", id=package_id)
        return row

    def books(self) -> Books:
        """The books, of one instant."""
        with self.ledger.snapshot() as connection:
            return books(connection)

    def waiting_for_a_lock(self) -> int:
        """How many connections to this database wait for another's lock."""
        waiting: int = self.one("""
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'
        """)
        return waiting


class Background:
    """Work in a thread; `result` waits for it, and raises what it raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._outcome: Any = None
        self._problem: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._work()
        except BaseException as problem:
            self._problem = problem

    def result(self) -> Any:
        """What the work returned."""
        self._thread.join(PATIENCE.total_seconds())
        assert not self._thread.is_alive()
        if self._problem:
            raise self._problem
        return self._outcome


def at_once(works: Iterable[Callable[[], _Result]]) -> list[_Result]:
    """Let several works begin at the same moment, each in its thread; their results, in order."""
    waiting = list(works)
    barrier = threading.Barrier(len(waiting))

    def begin(work: Callable[[], _Result]) -> _Result:
        barrier.wait(PATIENCE.total_seconds())
        return work()

    running = [Background(lambda work=work: begin(work)) for work in waiting]  # type: ignore[misc]
    return [background.result() for background in running]


def eventually(happened: Callable[[], bool]) -> None:
    """Fails unless it comes true in time."""
    assert wait_until(happened, PATIENCE)


def blocked(book: Book, work: Callable[[Connection], _Result]) -> Background:
    """Start work in a transaction of its own, and return once it waits for somebody's lock."""

    def run() -> _Result:
        with book.ledger.begin() as connection:
            return work(connection)

    background = Background(run)
    eventually(lambda: book.waiting_for_a_lock() > 0)
    return background
