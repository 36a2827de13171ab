"""Withdrawing a queue part by part, beside those who send from it; and who is trusted with a schedule."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.packages import held_messages, live_packages, open_messages
from bulk_dispatch.ledger.provider_account import TRUSTED, note_balance, note_clock
from bulk_dispatch.ledger.queries import now, route_names, route_rows
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.schema import BLOCK
from bulk_dispatch.ledger.transitions import (
    ClaimRequest,
    Queue,
    QueueCursor,
    cancel,
    cancel_named,
    cancel_next,
    claim,
)
from tests.factories import message, messages
from tests.ledger.book import LEASE, ROUTE, Book, at_once, blocked

HOUR = timedelta(hours=1)


def queue(book: Book, campaign: str = "", lane: Lane = Lane.BULK, until: datetime | None = None) -> Queue:
    return Queue(ROUTE, lane, campaign, until or book.do(now))


def withdrawn(book: Book, wanted: Queue, limit: int) -> list[int]:
    """How many each part withdrew."""
    place: QueueCursor | None = None
    counts = []
    while True:
        count, place = book.do(cancel_next, wanted, place, limit)
        counts.append(count)
        if place is None:
            return counts


# -- part by part --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "counts"), [(2, [2, 2, 1]), (5, [5, 0]), (6, [5])])
def test_a_queue_is_withdrawn_to_its_end(book: Book, limit: int, counts: list[int]) -> None:
    book.enqueue(messages(5))

    assert withdrawn(book, queue(book), limit) == counts

    assert set(book.statuses().values()) == {"cancelled"}
    assert book.books().balanced


def test_other_lanes_routes_campaigns_and_later_messages_stay(book: Book) -> None:
    book.enqueue([message(1, campaign="spring"), message(2, campaign="autumn"), message(3)])
    book.enqueue([message(4, campaign="spring", lane=Lane.URGENT)])
    book.enqueue([message(5, campaign="spring", route="beta")])
    wanted = queue(book, "spring")
    book.enqueue([message(6, campaign="spring")])

    assert withdrawn(book, wanted, 10) == [1]
    assert [name for name, status in book.statuses().items() if status == "cancelled"] == ["client-1"]


def test_what_waits_for_its_time_or_its_next_try_is_in_the_queue(book: Book) -> None:
    book.settle(book.package([message(1)]), Status.QUEUED, delay=HOUR)
    book.enqueue([message(2, send_at=datetime.now(UTC) + 2 * HOUR)])

    assert withdrawn(book, queue(book), 1) == [1, 1, 0]


def test_a_claim_passes_over_what_is_being_withdrawn(book: Book, other: Book) -> None:
    book.enqueue(messages(3))
    with book.ledger.begin() as connection:
        assert cancel_next(connection, queue(book), None, 2)[0] == 2

        package = other.claim().package

    assert package is not None
    assert len(package.items) == 1
    assert list(book.statuses().values()) == ["cancelled", "cancelled", "sending"]


def test_what_is_being_claimed_is_too_late(book: Book, other: Book) -> None:
    book.enqueue(messages(3))
    wanted = queue(book)
    with book.ledger.begin() as connection:
        claim(connection, ClaimRequest(ROUTE, Limits(2, 10**6), parallel=2, lease=LEASE), Lane.BULK)
        late = blocked(other, lambda theirs: cancel_next(theirs, wanted, None, 10))

    assert late.result() == (1, None)
    assert list(book.statuses().values()) == ["sending", "sending", "cancelled"]


def test_two_withdrawing_the_same_queue_withdraw_each_message_once(book: Book, other: Book) -> None:
    for number in range(5):
        batch = [message(n, client_id=f"{number}-{n}") for n in range(300)]
        book.enqueue(batch)
        wanted = queue(book)
        ids = [each.client_id for each in batch]
        works: list[Callable[[], int]] = [
            lambda: sum(withdrawn(book, wanted, 100)),  # noqa: B023
            lambda: other.cancel(ids[::-1]),  # noqa: B023
        ]

        assert sum(at_once(works)) == 300
    assert book.one("SELECT count(*) FROM events WHERE to_status = 'cancelled'") == 1500


def test_those_withdrawn_by_name_are_named(book: Book) -> None:
    book.package([message(1)])
    book.enqueue([message(2), message(3)])

    assert book.do(cancel_named, ["client-3", "client-1", "nobody", "client-2"]) == ["client-2", "client-3"]
    assert book.do(cancel, ["client-2"]) == 0


def test_what_lies_far_apart_is_told_of_by_blocks(book: Book) -> None:
    """Of names from anywhere one row would lie about every id there is, and be read for each of them."""
    for number in range(5):
        book.enqueue([message(1000 * number + n) for n in range(1000)])
    names = [message(number).client_id for number in range(0, 5000, 50)]

    assert book.cancel(names) == 100

    rows = book.rows("SELECT message_ids FROM journal WHERE to_status = 'cancelled'")
    assert sum(len(row.message_ids) for row in rows) == 100
    assert 2 <= len(rows) <= 3
    assert all(row.message_ids[0] // BLOCK == row.message_ids[-1] // BLOCK for row in rows)
    assert book.do(audit) == ()


@pytest.mark.slow
def test_the_queue_is_read_by_its_index(book: Book) -> None:
    """A large ledger with a small queue: whoever read all of it would see a hundred times as much."""
    for start in range(0, 20_000, 5000):
        batch = [message(n) for n in range(start, start + 5000)]
        book.enqueue(batch)
        book.cancel([each.client_id for each in batch])
    book.enqueue([message(n) for n in range(30_000, 30_100)])
    with book.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE messages")

    plan = "\n".join(
        row[0]
        for row in book.rows(
            """
            EXPLAIN SELECT id, due_at FROM messages
            WHERE route = 'alpha' AND lane = 'bulk' AND due_at IS NOT NULL
              AND (due_at, id) > (coalesce(CAST(NULL AS timestamptz), '-infinity'), CAST(0 AS bigint))
              AND enqueued_at <= now() AND campaign = 'spring'
            ORDER BY due_at, id LIMIT 100 FOR UPDATE
            """
        )
    )

    assert "ix_messages_queue" in plan


# -- what is with a provider ---------------------------------------------------------------------------


def test_packages_somebody_comes_by_for_are_alive(book: Book) -> None:
    sent, doubtful, ended = (
        book.package(messages(2)),
        book.package([message(3)]),
        book.package([message(4)]),
    )
    book.settle(sent, Status.SENT)
    book.settle(doubtful, Status.IN_DOUBT)
    book.settle(ended, Status.REJECTED)
    wire = book.package([message(5)])

    assert book.do(live_packages, ROUTE) == [(sent.id, 2), (doubtful.id, 1), (wire.id, 1)]
    assert book.do(live_packages, "beta") == []
    assert book.do(route_names) == [ROUTE]


def test_open_messages_can_be_those_of_a_campaign(book: Book) -> None:
    package = book.package([message(1, campaign="spring"), message(2)])

    found = book.do(open_messages, [package.id], campaign="spring")

    assert [one.id for one in found] == [package.items[0].id]


def test_of_named_messages_those_at_a_provider_are_found(book: Book) -> None:
    book.settle(book.package([message(1), message(2)]), [Status.SENT, Status.IN_DOUBT])
    book.enqueue([message(3)])

    [found] = book.do(held_messages, ["client-3", "client-2", "client-1"])

    assert (found.client_id, found.route, found.message.status) == ("client-1", ROUTE, Status.SENT)


# -- the account ---------------------------------------------------------------------------------------


def test_a_balance_is_kept_with_its_instant(book: Book) -> None:
    book.do(register_routes, [ROUTE])

    at = book.do(note_balance, ROUTE, Decimal("12.50"), "UAH")
    [row] = book.do(route_rows)
    assert (row.balance, row.currency, row.balance_at) == (Decimal("12.50"), "UAH", at)

    book.do(note_balance, ROUTE, Decimal(-1), "")
    [row] = book.do(route_rows)
    assert (row.balance, row.currency) == (Decimal(-1), None)


@pytest.mark.parametrize(
    ("off", "leaves"),
    [
        (None, False),  # nobody has read it yet
        (timedelta(0), True),
        (TRUSTED, True),
        (-TRUSTED, True),
        (TRUSTED + timedelta(seconds=1), False),
        (-TRUSTED - timedelta(seconds=1), False),
        (timedelta(days=-1), False),
    ],
    ids=str,
)
def test_only_a_clock_that_is_right_is_trusted_with_a_schedule(
    book: Book, off: timedelta | None, leaves: bool
) -> None:
    book.enqueue([message(1, send_at=datetime.now(UTC) + HOUR), message(2)])
    if off is not None:
        book.do(note_clock, ROUTE, off)

    with book.ledger.begin() as connection:
        limits = Limits(10, 10**6)
        claimed = claim(
            connection,
            ClaimRequest(ROUTE, limits, parallel=9, lease=LEASE, ahead=2 * HOUR, clocked=True),
            Lane.BULK,
        )

    assert claimed.package is not None
    assert [item.recipient[-1] for item in claimed.package.items] == (["2", "1"] if leaves else ["2"])
