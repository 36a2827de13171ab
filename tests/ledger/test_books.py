"""The books: whatever happens, in whatever order, they balance; they tell if anything else wrote."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.leases import doubt_lapsed, lease_doubts, lease_polls, renew
from bulk_dispatch.ledger.queries import books, by_status, history
from bulk_dispatch.ledger.totals import Closed, close_books
from bulk_dispatch.ledger.transitions import (
    Clock,
    Looks,
    Package,
    Transition,
    enqueue,
    settle,
    split,
    take_job,
)
from tests.factories import message, messages
from tests.ledger.book import LEASE, LONG_AGO, LOOK, ROUTE, Book, at_once, eventually

# -- a random life -----------------------------------------------------------------------------------

NOW = Looks(poll=timedelta(0), rescue=timedelta(0))
WORDS = (*Status, None)  # what somebody may say of a message; None: nothing


@dataclass
class Life:
    """A book with the packages its dispatchers think they have; nobody tells them what happened meanwhile."""

    book: Book
    number: int = 0
    offered: int = 0
    packages: list[Package] = field(default_factory=list)

    def enqueue(self, draw: st.DataObject) -> None:
        """Some new, some known, some with other content, too late, or for a number on the suppression
        list."""
        batch = []
        for _ in range(draw.draw(st.integers(1, 6))):
            new = self.number == 0 or draw.draw(st.booleans())
            self.number += new
            batch.append(
                message(
                    self.number if new else draw.draw(st.integers(1, self.number)),
                    text=draw.draw(st.sampled_from(["Hello", "Hello", "Hello", "Bye"])),
                    lane=draw.draw(st.sampled_from(Lane)),
                    valid_until=draw.draw(st.sampled_from([None, None, None, LONG_AGO])),
                )
            )
        entered = self.book.enqueue(batch)
        self.offered += len(batch)
        assert entered.new + entered.duplicates + len(entered.conflicts) == len(batch)

    def suppress(self, draw: st.DataObject) -> None:
        """Whoever comes next may be on the suppression list."""
        self.book.suppress([message(self.number + draw.draw(st.integers(0, 2))).recipient])

    def claim(self, draw: st.DataObject) -> None:
        """By either lane."""
        lane, items = draw.draw(st.sampled_from(Lane)), draw.draw(st.integers(1, 4))
        if package := self.book.claim(lane, items=items, parallel=5).package:
            self.packages.append(package)

    def settle(self, draw: st.DataObject) -> None:
        """Somebody, in time or late, says any word of any message of any package."""
        if self.packages:
            package = draw.draw(st.sampled_from(self.packages))
            moves, news = (
                [
                    Transition(item.id, package.id, word, tried=draw.draw(st.booleans()))
                    for item in package.items
                    if (word := draw.draw(st.sampled_from(WORDS)))
                ]
                for _ in range(2)
            )
            emptied = draw.draw(
                st.sampled_from([PackageState.CLOSED, PackageState.UNSENT, PackageState.REFUSED])
            )
            keeps = draw.draw(st.sets(st.sampled_from(Clock)))
            self.book.do(settle, moves, {package.id: NOW}, news=news, emptied=emptied, keeps=keeps)

    def split(self, draw: st.DataObject) -> None:
        """Halves of a package, by somebody who may be late."""
        if splittable := [package for package in self.packages if len(package.items) > 1]:
            package = draw.draw(st.sampled_from(splittable))
            self.packages += self.book.do(split, package, LEASE, "unreadable")

    def job(self, draw: st.DataObject) -> None:
        """A job told in time or late."""
        if self.packages:
            self.book.do(take_job, draw.draw(st.sampled_from(self.packages)).id, "job", timedelta(0))

    def lapse(self, draw: st.DataObject) -> None:
        """Leases run out; one dispatcher may still be in time, then somebody notices."""
        self.book.rows("UPDATE packages SET rescue_at = now() WHERE state = 'open'")
        in_time: bool = draw.draw(st.booleans())
        if self.packages and in_time:
            self.book.do(renew, draw.draw(st.sampled_from(self.packages)).id, LEASE)
        self.book.do(doubt_lapsed, ROUTE, timedelta(0))

    def look(self, draw: st.DataObject) -> None:
        """Poll and rescue lease what is due, and learn nothing."""
        for lease in (lease_polls, lease_doubts):
            leased = self.book.do(lease, ROUTE, messages=100, lease=timedelta(0))
            self.book.do(settle, [], {package.id: NOW for package in leased})

    def cancel(self, draw: st.DataObject) -> None:
        """Any message, queued or not."""
        self.book.cancel([message(draw.draw(st.integers(1, max(1, self.number)))).client_id])


STEPS: list[Callable[[Life, st.DataObject], None]] = [
    Life.enqueue,
    Life.enqueue,
    Life.claim,
    Life.claim,
    Life.settle,
    Life.settle,
    Life.settle,
    Life.suppress,
    Life.split,
    Life.job,
    Life.lapse,
    Life.look,
    Life.cancel,
]


def forgotten(book: Book) -> list[tuple[int, str]]:
    """Packages with open messages that no stage would ever come by for, and ended ones that one would."""
    return [
        (row.id, row.state)
        for row in book.rows("""
            SELECT p.*, s.* FROM packages p, LATERAL (
                SELECT count(*) FILTER (WHERE status = 'sending') AS sending,
                       count(*) FILTER (WHERE status = 'sent') AS sent,
                       count(*) FILTER (WHERE status = 'in_doubt') AS doubtful
                FROM messages m WHERE m.package_id = p.id
            ) s
        """)
        if (row.sending and row.poll_at is None and row.state != "open")
        or (row.sent and row.poll_at is None)
        or (row.doubtful and row.rescue_at is None)
        or (row.state == "open" and row.rescue_at is None)
        or (not (row.sending or row.sent or row.doubtful) and (row.poll_at or row.rescue_at))
    ]


@settings(
    max_examples=20,
    deadline=None,  # a busy machine is no failure
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(draw=st.data())
@pytest.mark.slow
def test_the_books_balance_after_any_sequence_of_steps(book: Book, draw: st.DataObject) -> None:
    book.rows("TRUNCATE messages, packages, journal, duplicate_counts, conflicts, suppressions")
    life = Life(book)

    for event_type in draw.draw(st.lists(st.sampled_from(STEPS), min_size=1, max_size=25)):
        event_type(life, draw)
        assert book.books().unbalanced == ()
        assert forgotten(book) == []

    found = book.books()
    recorded = found.total + found.duplicates + book.one("SELECT count(*) FROM conflicts")
    assert recorded <= life.offered  # a conflict offered twice is recorded once
    assert found.total == sum(found.by_status.values()) == len(book.messages())


# -- what the books say --------------------------------------------------------------------------------


def test_empty_books_balance(book: Book) -> None:
    found = book.books()

    assert (found.total, found.by_status, found.duplicates, found.conflicts) == (0, {}, 0, 0)
    assert found.balanced


def test_the_books_count_every_message_by_its_status(book: Book) -> None:
    for number, status in enumerate(Status):
        late = LONG_AGO if status is Status.EXPIRED else None
        route = f"for-{status}"
        batch = [message(100 * number + n, valid_until=late, route=route) for n in range(number + 1)]
        book.bring(batch, status)

    found = book.books()

    assert found.by_status == {status: number for number, status in enumerate(Status, 1)}
    assert list(found.by_status) == list(Status)
    assert found.total == sum(range(1, len(Status) + 1))
    assert found.balanced


# -- writes that went past the transitions -----------------------------------------------------------------

LEGAL = {
    Status.QUEUED: "due_at = now(), finalized_at = NULL, package_id = NULL",
    **dict.fromkeys(FINAL, "due_at = NULL, finalized_at = now()"),
}


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.SENDING])
def test_a_status_changed_behind_the_event_type_back_is_found_and_named(book: Book, status: Status) -> None:
    book.package(messages(3))
    change = LEGAL.get(status, "due_at = NULL")
    book.rows(
        f"UPDATE messages SET status = :status, {change} WHERE client_id = 'client-2'", status=status.value
    )

    found = book.do(books, whole=True)

    assert not found.balanced
    left, came = "sending: 2 messages, 3 by the events", f"{status}: 1 messages, 0 by the events"
    assert set(found.unbalanced) == {left, came}
    ended = status in {*FINAL, Status.UNCONFIRMED}  # of those the journal alone is asked
    assert set(book.books().unbalanced) == ({left} if ended else {left, came})


@pytest.mark.parametrize(
    ("statement", "unbalanced"),
    [
        ("DELETE FROM messages WHERE client_id = 'client-1'", ("queued: 2 messages, 3 by the events",)),
        (
            "UPDATE journal SET message_ids = message_ids[2:], message_count = 2",
            ("queued: 3 messages, 2 by the events",),
        ),
        (
            """
                INSERT INTO messages (client_id, status, due_at, lane, kind, route, recipient, sender, text,
                                      flow_id)
                VALUES ('x', 'queued', now(), 'bulk', 'sms', 'alpha', '+380930000000', 'Shop', 'Hello', 0)
            """,
            ("queued: 4 messages, 3 by the events",),
        ),
        (
            (
                "INSERT INTO journal (message_ids, message_count, type, from_status, to_status) "
                "VALUES ('{1}', 1, 'claim', 'queued', 'sending')"
            ),
            ("queued: 3 messages, 2 by the events", "sending: 0 messages, 1 by the events"),
        ),
        (
            (
                "INSERT INTO journal (message_ids, message_count, type, from_status, to_status) "
                "VALUES ('{1}', 1, 'report', 'sent', 'delivered')"
            ),
            ("sent: 0 messages, -1 by the events", "delivered: 0 messages, 1 by the events"),
        ),
    ],
    ids=["message gone", "event gone", "message from nowhere", "event from nowhere", "end from nowhere"],
)
def test_rows_added_or_removed_behind_the_event_type_back_are_found(
    book: Book, statement: str, unbalanced: tuple[str, ...]
) -> None:
    book.enqueue(messages(3))

    book.rows(statement)

    assert book.do(books, whole=True).unbalanced == unbalanced
    assert set(book.books().unbalanced) == {
        line
        for line in unbalanced
        if not line.startswith("delivered")  # has ended
    }


# -- what is closed -----------------------------------------------------------------------------------


OTHERS_ARE_DONE = """
    SELECT coalesce(max(next_xid), 0) < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    FROM journal_closing
"""
"""What was under way at the last closing has ended; also what other tests do on this server."""


def closed(book: Book) -> int:
    """Close the books, as soon as that can be; how many messages the totals tell of then."""
    eventually(lambda: bool(book.one(OTHERS_ARE_DONE)))
    book.do(close_books)
    return int(book.one("SELECT coalesce(sum(message_count), 0) FROM journal_totals"))


def test_what_was_there_at_the_last_closing_is_summed_up_and_the_books_stay_the_same(book: Book) -> None:
    package = book.package(messages(10))
    book.settle(package, [Status.SENT] * 6 + [Status.REJECTED] * 3)
    before = book.books()

    assert closed(book) == 0
    book.enqueue([message(11)])
    assert closed(book) == 10 + 10 + 6 + 3
    after = book.books()
    assert (after.total, after.by_code) == (before.total + 1, before.by_code)
    assert (after.balanced, book.do(audit)) == (True, ())
    assert closed(book) == 30
    assert closed(book) == 30


def test_what_is_closed_is_not_read_again(book: Book) -> None:
    book.enqueue(messages(3))
    closed(book)
    closed(book)
    book.rows("DELETE FROM journal")

    assert book.books().by_status == {Status.QUEUED: 3}
    assert [finding.invariant for finding in book.do(audit)][-1:] == ["totals_are_of_the_journal"]


def test_what_is_not_committed_yet_is_never_closed_without(book: Book, other: Book) -> None:
    """Its row of the journal has its number already, and others have later ones."""
    with book.ledger.begin() as connection:
        enqueue(connection, [message(1)])
        other.enqueue([message(2)])
        for number in (3, 4, 5):
            assert other.do(close_books) == Closed()
            other.enqueue([message(number)])
        assert other.one("SELECT count(*) FROM journal_totals") == 0

    closed(book)
    assert closed(book) == 5
    assert book.books().balanced
    assert book.do(audit) == ()


def test_an_old_ledger_is_closed_step_by_step(book: Book) -> None:
    for number in range(5):
        book.enqueue([message(number)])
    first = book.one("SELECT min(id) FROM journal")
    book.do(close_books)
    book.rows("UPDATE journal_closing SET up_to = :before RETURNING id", before=first - 1)
    eventually(lambda: bool(book.one(OTHERS_ARE_DONE)))

    assert [book.do(close_books, step=2) for _ in range(3)] == [Closed(2, True), Closed(2, True), Closed(1)]
    assert book.one("SELECT sum(message_count) FROM journal_totals") == 5
    assert book.do(audit) == ()


def test_two_that_close_at_once_add_nothing_twice(book: Book) -> None:
    book.enqueue(messages(3))
    closed(book)
    eventually(lambda: bool(book.one(OTHERS_ARE_DONE)))

    at_once([lambda: book.do(close_books)] * 4)

    assert closed(book) == 3
    assert book.do(audit) == ()


def test_a_ledger_brought_to_another_server_goes_on(book: Book) -> None:
    """Its transactions are numbered from the beginning there."""
    book.enqueue(messages(3))
    closed(book)
    book.rows("UPDATE journal_closing SET next_xid = next_xid + 1000000")

    assert book.do(close_books) == Closed()
    closed(book)
    assert closed(book) == 3


def test_why_messages_did_not_arrive_is_told_by_the_totals_too(book: Book) -> None:
    package = book.package(messages(5))
    moves = [
        Transition(item.id, package.id, Status.REJECTED, code=code)
        for item, code in zip(package.items, "AABBB", strict=True)
    ]
    book.do(settle, moves, {package.id: LOOK})
    told = [(end.status, end.code, end.count) for end in book.books().by_code]
    assert told == [("rejected", "B", 3), ("rejected", "A", 2)]

    closed(book)
    closed(book)

    assert [(end.status, end.code, end.count) for end in book.books().by_code] == told


# -- one instant ---------------------------------------------------------------------------------------


def test_books_read_in_one_snapshot_balance_while_others_write(book: Book, other: Book) -> None:
    over = threading.Event()

    def work() -> None:
        number = 0
        while not over.is_set():
            package = other.package([message(number + n) for n in range(20)])
            other.settle(package, Status.SENT)
            other.report(package, Status.DELIVERED)
            number += 20

    writer = threading.Thread(target=work)
    writer.start()
    try:
        totals: list[int] = []
        while len(set(totals)) < 8 and writer.is_alive():  # as many different instants
            found = book.books()
            assert found.unbalanced == ()
            totals.append(found.total)
    finally:
        over.set()
        writer.join()
    assert totals == sorted(totals)
    assert len(set(totals)) >= 8


def test_a_snapshot_does_not_see_what_is_committed_after_it_began(book: Book, other: Book) -> None:
    book.enqueue(messages(2))
    with book.ledger.snapshot() as connection:
        before = books(connection)
        other.enqueue([message(3)])
        other.cancel(["client-1"])

        assert books(connection) == before
        assert by_status(connection) == {Status.QUEUED: 2}

    assert book.books().total == 3


def test_nothing_can_be_written_in_a_snapshot(ledger: Ledger) -> None:
    with pytest.raises(Exception, match="read-only transaction"), ledger.snapshot() as connection:
        connection.execute(text("DELETE FROM messages"))


def test_the_next_user_of_a_connection_may_write_again(database_url: str) -> None:
    ledger = Ledger.connect(database_url, connections=1)
    book = Book(ledger)
    with ledger.snapshot() as connection:
        books(connection)

    assert book.enqueue(messages(1)).new == 1
    ledger.close()


def test_messages_come_out_of_the_books_as_they_went_in(book: Book) -> None:
    book.enqueue(messages(10))
    package = book.claim(items=6).package
    assert package is not None
    book.do(
        settle, [Transition(item.id, package.id, Status.SENT) for item in package.items], {package.id: LOOK}
    )
    book.report(package, [Status.DELIVERED] * 4)

    assert Counter(book.books().by_status) == Counter({Status.QUEUED: 4, Status.SENT: 2, Status.DELIVERED: 4})


def test_history_is_told_in_the_order_of_what_happened_though_a_writer_began_early(
    book: Book, other: Book
) -> None:
    book.enqueue(messages(1))
    with book.ledger.begin() as early:
        early.execute(text("SELECT now()"))  # the instant of all it will write
        package = other.claim().package
        assert package is not None
        settle(early, [Transition(package.items[0].id, package.id, Status.SENT)], {package.id: LOOK})

    told = book.do(history, "client-1")

    assert told is not None
    assert [event.type for event in told.events] == ["enqueue", "claim", "settle"]
    assert told.events[2].at < told.events[1].at
