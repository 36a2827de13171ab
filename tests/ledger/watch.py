"""A look at the whole ledger, of one instant, and what must be true of it whatever happened."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Row, text

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import FINAL, EventType, Status
from bulk_dispatch.ledger.queries import books
from tests.ledger.book import Book
from tests.ledger.model import OVER, TICK, Line, Model

_MESSAGES = text("""
    SELECT id, client_id, route, status, package_id, attempts, due_at - now() AS due_in,
           corrected_by IS NULL AS current
    FROM messages ORDER BY id
""")
_PACKAGES = text("""
    SELECT id, route, message_count, state, job, poll_count, inquiry_count,
           poll_at - now() AS poll_in, rescue_at - now() AS rescue_in, in_doubt_since - now() AS doubted_in
    FROM packages
""")
_ROUTES = text(
    "SELECT name, state, paused_until - now() AS paused_for, consecutive_failures, unresolvable_failures "
    "FROM routes"
)
_EVENTS = text("""
    SELECT e.id, m.id AS message_id, e.type, e.from_status, e.to_status, e.package_id
    FROM events e JOIN messages m ON m.id = e.message_id WHERE e.id > :after ORDER BY e.id
""")


@dataclass
class Watch:
    """What was seen last, and what was ever seen of each message's history."""

    book: Book
    messages: Sequence[Row[Any]] = ()
    packages: Sequence[Row[Any]] = ()
    routes: Sequence[Row[Any]] = ()
    histories: dict[int, list[Line]] = field(default_factory=dict)
    ends: dict[int, str] = field(default_factory=dict)
    last_event: int = 0

    def look(self) -> None:
        """See the ledger as it stands now."""
        with self.book.ledger.begin() as connection:  # nobody writes now, so this is one instant
            self.messages = connection.execute(_MESSAGES).all()
            self.packages = connection.execute(_PACKAGES).all()
            self.routes = connection.execute(_ROUTES).all()
            self._read_events(connection)

    def _read_events(self, connection: Connection) -> None:
        for row in connection.execute(_EVENTS, {"after": self.last_event}):
            from_status = Status(row.from_status) if row.from_status else None
            line = (EventType(row.type), from_status, Status(row.to_status), row.package_id)
            self.histories.setdefault(row.message_id, []).append(line)
            self.last_event = row.id

    # -- as the model says

    def agrees(self, model: Model) -> None:
        """Every message with its whole history, every package and route."""
        assert self._messages() == {
            name: [
                (*(one.status, one.package, one.attempts, _left(one.due, model)), one.history)
                for one in model.all_of(name)
            ]
            for name in model.messages
        }
        assert all(rows[-1].current and not any(row.current for row in rows[:-1]) for rows in self._by_name())
        assert self._packages() == {
            number: (
                package.state,
                *(package.route, package.items, package.job, package.poll_count, package.inquiry_count),
                *(_left(at, model) for at in (package.poll, package.rescue, package.doubted)),
            )
            for number, package in model.packages.items()
        }
        assert {
            row.name: (row.state, _ticks(row.paused_for), row.consecutive_failures, row.unresolvable_failures)
            for row in self.routes
        } == {
            name: (route.state, _left(route.until, model), route.failures, sorted(route.unresolvable))
            for name, route in model.routes.items()
        }

    def _messages(self) -> Mapping[str, list[tuple[object, ...]]]:
        return {
            rows[0].client_id: [
                (*(row.status, row.package_id, row.attempts, _ticks(row.due_in)), self.histories[row.id])
                for row in rows
            ]
            for rows in self._by_name()
        }

    def _by_name(self) -> Iterable[Sequence[Row[Any]]]:
        """The messages of each client id, the oldest first."""
        found: dict[str, list[Row[Any]]] = {}
        for row in self.messages:
            found.setdefault(row.client_id, []).append(row)
        return found.values()

    def _packages(self) -> Mapping[int, tuple[object, ...]]:
        return {
            row.id: (
                row.state,
                *(row.route, row.message_count, row.job, row.poll_count, row.inquiry_count),
                *(_ticks(clock) for clock in (row.poll_in, row.rescue_in, row.doubted_in)),
            )
            for row in self.packages
        }

    # -- whatever the model says

    def books_balance(self, model: Model) -> None:
        """Each message is in one status, the events prove the count, and no repeat is forgotten."""
        found = self.book.do(books)
        assert found.unbalanced == ()
        assert found.by_status == Counter(Status(row.status) for row in self.messages)
        assert (found.duplicates, found.conflicts) == (model.duplicates, len(model.conflicts))

    def histories_chain(self) -> None:
        """Each line leaves where the one before came to, and the last is where the message stands."""
        for row in self.messages:
            lines = self.histories[row.id]
            came = [to_status for _, _, to_status, _ in lines]
            assert [from_status for _, from_status, _, _ in lines] == [None, *came[:-1]]
            assert came[-1] == row.status

    def finals_stay(self) -> None:
        """What has come to its end once is there for ever."""
        now = {row.id: row.status for row in self.messages}
        assert {number: now[number] for number in self.ends} == self.ends
        self.ends.update({number: status for number, status in now.items() if status in FINAL})

    def somebody_comes_by(self) -> None:
        """For what is queued, a claim; for what is in a package, the clock of a stage that looks at it."""
        packages = {row.id: row for row in self.packages}
        for row in self.messages:
            if row.status == Status.QUEUED:
                assert row.due_in is not None
            if row.status in (Status.SENDING, Status.SENT, Status.IN_DOUBT):
                assert _comes_by(row.status, packages[row.package_id]), f"{row} is forgotten"

    def what_is_over_is_empty(self) -> None:
        """A package that has ended holds nothing open, and nobody looks at it."""
        open_ones = {row.package_id for row in self.messages if row.status in (Status.SENDING, Status.SENT)}
        over = [row for row in self.packages if row.state in OVER]
        assert [row for row in over if row.id in open_ones or row.poll_in or row.rescue_in] == []


def _comes_by(status: str, package: Row[Any]) -> bool:
    rescued = package.rescue_in is not None and package.state in (PackageState.OPEN, PackageState.IN_DOUBT)
    polled = package.poll_in is not None
    return {
        Status.SENT: polled,
        Status.IN_DOUBT: rescued,
        # The poll of a package that is open or in doubt asks about what is sent; of these it sees it too.
        Status.SENDING: (rescued and package.state == PackageState.OPEN) or polled,
    }[Status(status)]


def _left(at: int | None, model: Model) -> int | None:
    return None if at is None else at - model.now


def _ticks(left: timedelta | None) -> int | None:
    return None if left is None else round(left / TICK)
