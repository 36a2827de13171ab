"""The suppression list holds until a message leaves: looked at again at claim, and at once in the queue."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.packages import doubtful_items, listed_messages
from bulk_dispatch.ledger.queries import now
from bulk_dispatch.ledger.suppressions import Listed, find, latest, page, put, suppress, unsuppress
from bulk_dispatch.ledger.transitions import (
    Claim,
    ClaimRequest,
    Queue,
    QueueCursor,
    claim,
    split,
    suppress_next,
)
from tests.factories import message, messages
from tests.ledger.book import LEASE, LONG_AGO, LOOK, ROUTE, Book
from tests.ledger.race import race

NOTE = "put on the suppression list while queued"


def number(which: int) -> str:
    return message(which).recipient


# -- claim ---------------------------------------------------------------------------------------------


def test_who_is_put_on_the_list_while_queued_gets_nothing_and_the_others_leave(book: Book) -> None:
    book.enqueue(messages(3))
    book.suppress([number(2)])

    claimed = book.claim()

    assert claimed.package is not None
    assert [item.recipient for item in claimed.package.items] == [number(1), number(3)]
    assert (claimed.suppressed, claimed.expired, claimed.more) == (1, 0, False)
    assert book.statuses() == {"client-1": "sending", "client-2": "suppressed", "client-3": "sending"}
    [last] = [row for row in book.events() if row.to_status == "suppressed"]
    assert (last.type, last.from_status, last.package_id, last.note) == ("claim", "queued", None, NOTE)
    [row] = [row for row in book.messages().values() if row.status == "suppressed"]
    assert (row.finalized_at is not None, row.due_at, row.package_id) == (True, None, None)
    assert book.package_row(claimed.package.id).message_count == 2
    assert book.books().balanced


def test_who_is_taken_off_the_list_before_the_claim_gets_the_message(book: Book) -> None:
    book.enqueue(messages(1))
    book.suppress([number(1)])
    book.do(unsuppress, [number(1)])

    assert book.claim().suppressed == 0
    assert book.statuses() == {"client-1": "sending"}


def test_a_claim_that_only_met_numbers_of_the_list_opens_nothing_and_says_to_look_again(book: Book) -> None:
    book.enqueue([*messages(2), message(9, client_id="good")])
    book.suppress([number(1), number(2)])

    assert book.claim(items=2) == Claim(
        None, suppressed=2, more=True, reason="all that was due is on the suppression list"
    )
    assert book.one("SELECT count(*) FROM packages") == 0
    assert book.claim(items=2).package is not None
    assert book.statuses()["good"] == "sending"


def test_what_waits_for_another_try_is_looked_at_again(book: Book) -> None:
    book.settle(book.package(messages(2)), Status.QUEUED, tried=True)
    book.suppress([number(1)])

    assert book.claim().suppressed == 1
    assert book.statuses() == {"client-1": "suppressed", "client-2": "sending"}


@pytest.mark.parametrize("report", [Status.QUEUED, Status.IN_DOUBT])
def test_what_comes_back_from_the_wire_is_looked_at_again(book: Book, report: Status) -> None:
    package = book.package(messages(2))
    book.suppress([number(1)])
    book.settle(package, report)
    if report is Status.IN_DOUBT:  # and its provider says that it was never taken
        book.settle(package, Status.QUEUED)

    assert book.claim().suppressed == 1
    assert book.statuses() == {"client-1": "suppressed", "client-2": "sending"}


def test_what_is_scheduled_is_looked_at_again(book: Book) -> None:
    book.enqueue([message(1, send_at=datetime.now(UTC) + timedelta(hours=1)), message(2)])
    book.suppress([number(1)])
    request = ClaimRequest(ROUTE, Limits(10, 10**9), parallel=9, lease=LEASE, ahead=timedelta(hours=2))

    claimed: Claim = book.do(claim, request, Lane.BULK)

    assert claimed.package is not None
    assert (claimed.suppressed, len(claimed.package.items)) == (1, 1)


def test_what_is_both_too_late_and_unwanted_expires(book: Book) -> None:
    book.enqueue(messages(1, valid_until=LONG_AGO))
    book.suppress([number(1)])

    claimed = book.claim()

    assert (claimed.expired, claimed.suppressed) == (1, 0)


def test_urgent_messages_are_looked_at_too_and_the_package_is_of_those_who_leave(book: Book) -> None:
    """Where one package may be on the wire, bulk takes urgent ones first."""
    book.enqueue([message(1, lane=Lane.URGENT), message(2)])
    book.suppress([number(1)])

    claimed = book.claim(parallel=1)

    assert claimed.package is not None
    assert (claimed.package.lane, claimed.suppressed) == (Lane.BULK, 1)


def test_nothing_is_suppressed_where_the_route_was_shut_meanwhile(book: Book) -> None:
    book.enqueue(messages(1))
    book.suppress([number(1)])
    limits = Limits(10, 10**9)

    def claiming(connection: Connection) -> Claim:
        return claim(connection, ClaimRequest(ROUTE, limits, parallel=9, lease=LEASE), Lane.URGENT)

    book.rows("UPDATE messages SET lane = 'urgent' RETURNING 1")
    outcome = race(
        book,
        claiming,
        lambda connection: connection.execute(text("UPDATE routes SET state = 'stopped'")).rowcount,
        statement=1,
        commits=True,
    )

    assert (outcome.first.package, outcome.first.suppressed) == (None, 0)
    assert book.statuses() == {"client-1": "queued"}


@pytest.mark.parametrize(
    ("statement", "suppressed"),
    [(0, 1), (1, 1), (2, 1), (3, 0)],
    ids=["before it picks", "while it picks", "once it has locked the route", "once its package is open"],
)
def test_what_is_committed_before_the_package_is_opened_counts(
    book: Book, statement: int, suppressed: int
) -> None:
    book.enqueue(messages(2, lane=Lane.URGENT))
    limits = Limits(10, 10**9)

    outcome = race(
        book,
        lambda connection: claim(
            connection, ClaimRequest(ROUTE, limits, parallel=9, lease=LEASE), Lane.URGENT
        ),
        lambda connection: suppress(connection, [number(1)]),
        statement=statement,
        commits=True,
    )

    assert outcome.first.suppressed == suppressed
    assert not outcome.waited
    assert book.books().balanced


def test_who_is_put_on_the_list_while_the_claim_waits_for_the_route_gets_nothing(book: Book) -> None:
    book.enqueue(messages(2, lane=Lane.URGENT))
    limits = Limits(10, 10**9)

    def holding_the_route(connection: Connection) -> None:
        connection.execute(text("SELECT FROM routes WHERE name = :route FOR UPDATE"), {"route": ROUTE})
        suppress(connection, [number(1)])

    outcome = race(
        book,
        holding_the_route,
        lambda connection: claim(
            connection, ClaimRequest(ROUTE, limits, parallel=9, lease=LEASE), Lane.URGENT
        ),
        statement=99,  # at its end
        commits=True,
    )

    assert outcome.waited
    assert outcome.second.suppressed == 1
    assert [item.recipient for item in outcome.second.package.items] == [number(2)]
    assert book.statuses() == {"client-1": "suppressed", "client-2": "sending"}
    assert book.package_row(outcome.second.package.id).message_count == 1


def test_a_half_of_a_package_leaves_as_it_was_claimed(book: Book) -> None:
    package = book.package(messages(4))
    book.suppress([number(1)])

    halves = book.do(split, package, LEASE, "unreadable")

    assert [len(half.items) for half in halves] == [2, 2]


# -- its plan ------------------------------------------------------------------------------------------


def _plan_of_the_look(book: Book, recipients: Sequence[str]) -> str:
    """How the statement of a claim that asks the list is carried out."""
    said: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, values: Any, *___: Any) -> None:
        if "suppressions" in statement:
            said.append((statement, values))

    book.enqueue([message(n, recipient=recipient) for n, recipient in enumerate(recipients)])
    event.listen(book.ledger.engine, "before_cursor_execute", hear)
    try:
        assert book.claim(items=len(recipients)).package
    finally:
        event.remove(book.ledger.engine, "before_cursor_execute", hear)
    [(statement, values)] = said
    with book.ledger.begin() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}", values)
        return "\n".join(plan.scalars())


@pytest.mark.slow
class TestANewList:
    @pytest.fixture
    def database_url(self, own_database_url: str) -> str:
        """A database of this test's own: of one that was used before, the planner remembers the size."""
        return own_database_url

    @pytest.mark.parametrize("listed", [0, 30, 300, 200_000])
    @pytest.mark.parametrize("known", [False, True], ids=["unknown to the planner", "known to the planner"])
    def test_a_list_of_any_length_is_asked_by_its_index(self, book: Book, listed: int, known: bool) -> None:
        """Never read as a whole, once it is longer than a page, and never hashed."""
        book.rows(
            "INSERT INTO suppressions (recipient) SELECT '+38050' || lpad(n::text, 7, '0') "
            "FROM generate_series(1, :listed) AS n RETURNING 1",
            listed=listed,
        )
        if known:
            with book.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM ANALYZE suppressions")

        plan = _plan_of_the_look(book, [f"+38093{n * 7919 % 10**7:07d}" for n in range(1000)])

        assert "pk_suppressions" in plan or listed == 0
        assert "Hash" not in plan
        assert "Seq Scan on suppressions" not in plan or listed == 0


# -- the queue, at once --------------------------------------------------------------------------------


def queue(book: Book, lane: Lane = Lane.BULK, route: str = ROUTE) -> Queue:
    return Queue(route, lane, "", book.do(now))


def test_of_a_queue_those_on_the_list_are_suppressed(book: Book) -> None:
    book.enqueue([*messages(4), message(5, lane=Lane.URGENT), message(6, route="beta")])
    book.suppress([number(1), number(3), number(5), number(6)])

    assert book.do(suppress_next, queue(book), None, 100, "asked") == (2, None)

    assert [name for name, status in book.statuses().items() if status == "suppressed"] == [
        "client-1",
        "client-3",
    ]
    told = [(row.type, row.from_status, row.note) for row in book.events() if row.to_status == "suppressed"]
    assert told == [("cancel", "queued", "asked")] * 2
    assert book.books().balanced


def test_of_some_numbers_only_these_are_suppressed(book: Book) -> None:
    book.enqueue(messages(3))
    book.suppress([number(1), number(2)])

    assert book.do(suppress_next, queue(book), None, 100, numbers=[number(2), number(3)]) == (1, None)
    assert book.statuses() == {"client-1": "queued", "client-2": "suppressed", "client-3": "queued"}


def test_a_queue_is_looked_through_part_by_part(book: Book) -> None:
    book.enqueue(messages(9))
    book.suppress([number(2), number(9)])
    found, places, place = [], 0, None
    for _ in range(9):
        count, place = book.do(suppress_next, queue(book), place, 3)
        found.append(count)
        places += isinstance(place, QueueCursor)
        if place is None:
            break

    assert (found, places) == ([1, 0, 1, 0], 3)


def test_what_comes_later_is_left_to_claim(book: Book) -> None:
    book.suppress([number(1)])
    before = queue(book)
    book.do(unsuppress, [number(1)])
    book.enqueue(messages(1))
    book.suppress([number(1)])

    assert book.do(suppress_next, before, None, 100) == (0, None)
    assert book.claim().suppressed == 1


def test_what_is_being_claimed_is_waited_for_and_then_left(book: Book) -> None:
    book.enqueue(messages(2))
    look, limits = queue(book), Limits(10, 10**9)

    def stopping(connection: Connection) -> tuple[int, QueueCursor | None]:
        suppress(connection, [number(1)])
        return suppress_next(connection, look, None, 100)

    outcome = race(
        book,
        lambda connection: claim(connection, ClaimRequest(ROUTE, limits, parallel=9, lease=LEASE), Lane.BULK),
        stopping,
        statement=99,  # at its end
        commits=True,
    )

    assert outcome.waited
    assert (outcome.first.suppressed, outcome.second) == (0, (0, None))
    assert set(book.statuses().values()) == {"sending"}


# -- what is under way ---------------------------------------------------------------------------------


def test_of_packages_those_on_the_list_without_an_end_are_found(book: Book) -> None:
    package = book.package(messages(4))
    book.settle(package, [Status.SENT, Status.IN_DOUBT, Status.SENT, Status.REJECTED])
    book.suppress([number(1), number(2), number(4)])

    found = book.do(listed_messages, [package.id])

    assert [(one.id, one.status) for one in found] == [
        (package.items[0].id, Status.SENT),
        (package.items[1].id, Status.IN_DOUBT),
    ]
    assert [one.status for one in book.do(listed_messages, [package.id], [number(2), number(3)])] == [
        Status.IN_DOUBT
    ]


def test_what_is_in_doubt_is_not_sent_again_to_whom_is_on_the_list(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, Status.IN_DOUBT, look=LOOK)
    book.suppress([number(1)])

    found = book.do(doubtful_items, [package.id], Limits(10, 10**9))

    assert [item.recipient for _, item in found] == [number(2)]


# -- the list ------------------------------------------------------------------------------------------

SPRING = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_a_number_keeps_the_date_and_the_reason_it_was_given_first(book: Book) -> None:
    entries = [Listed(number(1), SPRING, "asked by phone"), Listed(number(2)), Listed(number(1), None, "no")]

    assert book.do(put, entries) == 2
    assert book.do(put, [Listed(number(1), None, "again")]) == 0

    assert book.do(find, number(1)) == Listed(number(1), SPRING, "asked by phone")
    second = book.do(find, number(2))
    assert second is not None
    assert second.added_at is not None
    assert second.reason == ""
    assert datetime.now(UTC) - second.added_at < timedelta(minutes=1)
    assert book.do(find, number(3)) is None


def test_the_list_is_read_from_both_ends(book: Book) -> None:
    book.do(put, [Listed(number(n), SPRING + timedelta(days=n)) for n in range(1, 6)])

    count, found = book.do(latest, 2)
    assert (count, [one.recipient for one in found]) == (5, [number(5), number(4)])
    assert len(book.do(latest, 0)[1]) == 5
    assert [one.recipient for one in book.do(page, "", 3)] == [number(1), number(2), number(3)]
    assert [one.recipient for one in book.do(page, number(3), 3)] == [number(4), number(5)]
    assert book.do(page, number(5)) == []
