"""Corrections: what may go out under a client id after a message that nobody got, and what never."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Connection, text

from bulk_dispatch.domain.content import Sms, Viber
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import CORRECTABLE, Status
from bulk_dispatch.ledger.audit import audit
from bulk_dispatch.ledger.queries import history
from bulk_dispatch.ledger.suppressions import suppress, unsuppress
from bulk_dispatch.ledger.transitions import Conflict, Enqueued, enqueue
from tests.factories import message, messages
from tests.ledger.book import LONG_AGO, LOOK, Book, at_once, blocked

CORRECTED = Enqueued(new=1, duplicates=0, conflicts=(), corrected=1)
CONFLICT = Enqueued(new=0, duplicates=0, conflicts=(Conflict("client-1", ("sender",)),))
DUPLICATE = Enqueued(new=0, duplicates=1, conflicts=())


def wrong(number: int = 1, status: Status = Status.REJECTED) -> Message:
    """A message as it may come to a status; too late where it is to expire."""
    return message(number, valid_until=LONG_AGO if status is Status.EXPIRED else None)


def right(number: int = 1, **changes: object) -> Message:
    """The same, corrected."""
    return message(number, sender="Better", **changes)


@pytest.fixture(autouse=True)
def sound(book: Book) -> object:
    """Whatever is corrected, the books balance and hold what the ledger claims."""
    yield
    assert book.books().balanced
    with book.ledger.snapshot() as connection:
        assert audit(connection) == ()


# -- after which end ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(CORRECTABLE))
def test_a_message_that_nobody_got_is_corrected_and_the_new_one_goes_out(book: Book, status: Status) -> None:
    book.bring([wrong(status=status)], status)
    book.do(unsuppress, [message(1).recipient])
    [old] = book.messages().values()

    assert book.enqueue([right()]) == CORRECTED

    [before, after] = book.messages().values()
    assert (before.status, before.sender, before.corrected_by) == (status, "Shop", after.id)
    assert {**before._asdict(), "corrected_by": None} == old._asdict()
    assert (after.status, after.sender, after.corrected_by) == ("queued", "Better", None)
    assert after.reference != before.reference
    package = book.claim().package
    assert package is not None
    assert [item.sender for item in package.items] == ["Better"]
    assert (book.books().total, book.books().conflicts) == (2, 0)


@pytest.mark.parametrize("status", sorted(set(Status) - CORRECTABLE))
def test_nothing_else_is_ever_corrected(book: Book, status: Status) -> None:
    book.bring([wrong(status=status)], status)

    assert book.enqueue([right()]) == CONFLICT

    assert book.one("SELECT sender FROM messages") == "Shop"


@pytest.mark.parametrize("report", [Status.REJECTED, Status.EXPIRED])
def test_what_a_provider_took_and_gave_up_later_is_not_corrected(book: Book, report: Status) -> None:
    package = book.package([wrong()])
    book.settle(package, Status.SENT)
    book.report(package, report)

    assert book.enqueue([right()]) == CONFLICT


@pytest.mark.parametrize("report", [Status.REJECTED, Status.FAILED])
def test_what_was_in_doubt_is_not_corrected_whoever_settled_it(book: Book, report: Status) -> None:
    package = book.package([wrong()])
    book.settle(package, Status.IN_DOUBT)
    book.settle(package, report)

    assert book.enqueue([right()]) == CONFLICT


def test_what_was_in_doubt_and_expired_in_the_queue_is_not_corrected(book: Book) -> None:
    package = book.package([wrong()])
    book.settle(package, Status.IN_DOUBT)
    book.settle(package, Status.QUEUED)
    book.rows("UPDATE messages SET valid_until = now() - interval '1 second'")
    assert book.claim().expired == 1

    assert book.enqueue([right()]) == CONFLICT


def test_what_was_tried_and_surely_not_taken_before_it_failed_is_corrected(book: Book) -> None:
    book.settle(book.package([wrong()]), Status.QUEUED, tried=True)
    second = book.claim().package
    assert second is not None
    book.settle(second, Status.FAILED)

    assert book.enqueue([right()]) == CORRECTED


# -- what is given -----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", sorted(CORRECTABLE))
def test_the_same_again_is_a_duplicate_after_every_end(book: Book, status: Status) -> None:
    book.bring([wrong(status=status)], status)

    assert book.enqueue([wrong(status=status)]) == DUPLICATE
    assert book.books().total == 1


@pytest.mark.parametrize(
    "corrected",
    [
        message(1, recipient="+380990000000"),
        message(1, text="Other words"),
        message(1, content=Viber("Order 1 is ready"), text=""),
        right(route="beta", campaign="autumn"),
    ],
    ids=["recipient", "text", "kind", "sender, on another route"],
)
def test_whatever_was_wrong_can_be_corrected(book: Book, corrected: Message) -> None:
    book.bring([wrong()], Status.REJECTED)

    assert book.enqueue([corrected]) == CORRECTED
    assert book.one("SELECT count(*) FROM messages WHERE corrected_by IS NULL AND status = 'queued'") == 1


def test_a_correction_may_be_corrected_until_one_goes_out(book: Book) -> None:
    for number in range(3):
        book.bring([message(1, text=f"Attempt {number}")], Status.REJECTED)
    assert book.enqueue([right()]) == CORRECTED

    assert book.enqueue([message(1, text="Attempt 4")]) == Enqueued(
        0, 0, (Conflict("client-1", ("sender", "text")),)
    )
    found = book.do(history, "client-1")
    assert found is not None
    assert (found.status, found.corrects) == ("queued", 3)
    assert (found.events[0].type, found.events[0].note) == (
        "enqueue",
        "in the stead of one that was rejected",
    )


@pytest.mark.parametrize("end", [Status.DELIVERED, Status.REJECTED])
def test_what_was_corrected_does_not_come_back_by_being_offered_again(book: Book, end: Status) -> None:
    """A call that is repeated late, or an entry that is read again after a crash."""
    book.bring([wrong()], Status.REJECTED)
    book.bring([right()], end)

    assert book.enqueue([wrong()]) == DUPLICATE
    assert book.enqueue([right()]) == DUPLICATE

    assert book.books().total == 2


def test_a_conflict_is_told_against_what_stands_there_now(book: Book) -> None:
    book.bring([message(1, text="wrong")], Status.REJECTED)
    book.bring([message(1, text="right")], Status.SENT)

    entered = book.enqueue([message(1, text="right", sender="Better")])

    assert entered.conflicts == (Conflict("client-1", ("sender",)),)


def test_a_message_that_was_never_corrected_says_so(book: Book) -> None:
    book.enqueue([wrong()])

    found = book.do(history, "client-1")
    assert found is not None
    assert (found.corrects, found.events[0].note) == (0, None)


def test_the_content_of_a_stored_message_is_not_judged_by_the_rules_of_today(book: Book) -> None:
    book.bring(messages(2), Status.REJECTED)
    book.rows("UPDATE messages SET recipient = '12', sender = 'far too long a sender', text = chr(1)")

    assert book.enqueue(messages(2)) == Enqueued(2, 0, (), 2)


# -- several in one batch ----------------------------------------------------------------------------


def test_new_ones_repeats_corrections_and_conflicts_of_one_batch_add_up(book: Book) -> None:
    book.bring([wrong(1), wrong(2)], Status.REJECTED)
    book.bring([wrong(3)], Status.SENT)
    offered = [right(1), right(1), wrong(1), wrong(2), right(3), wrong(4), right(4), right(1, text="third")]

    entered = book.enqueue(offered)

    assert (entered.new, entered.duplicates, entered.corrected) == (2, 3, 1)
    assert [conflict.client_id for conflict in entered.conflicts] == ["client-3", "client-4", "client-1"]
    assert entered.conflicts[-1].fields == ("text",)
    assert entered.new + entered.duplicates + len(entered.conflicts) == len(offered)
    assert (book.books().total, book.books().duplicates, book.books().conflicts) == (5, 3, 3)


def test_what_one_batch_brings_twice_is_a_conflict_though_the_first_is_suppressed_at_once(book: Book) -> None:
    book.suppress([message(1).recipient])

    assert book.enqueue([wrong(), right()]) == Enqueued(1, 0, (Conflict("client-1", ("sender",)),))
    assert book.statuses() == {"client-1": "suppressed"}


def test_a_thousand_are_corrected_at_once_and_each_producer_keeps_its_own(book: Book) -> None:
    book.bring(messages(1000), Status.REJECTED)
    book.bring(messages(1000, producer="shop"), Status.SENT)

    entered = book.enqueue([replace(one, content=Sms("Better")) for one in messages(1000)])

    assert entered == Enqueued(1000, 0, (), 1000)
    assert book.one("SELECT count(*) FROM messages WHERE producer = 'shop' AND corrected_by IS NULL") == 1000


def test_a_correction_to_a_number_on_the_stop_list_is_suppressed_and_may_be_corrected(book: Book) -> None:
    book.bring([wrong()], Status.REJECTED)
    book.do(suppress, [message(1).recipient])

    assert book.enqueue([right()]) == CORRECTED
    assert book.enqueue([right(recipient="+380990000000")]) == CORRECTED

    assert [row.status for row in book.messages().values()] == ["rejected", "suppressed", "queued"]


def test_a_correction_leaves_when_it_says(book: Book) -> None:
    book.bring([wrong()], Status.REJECTED)
    then = book.one("SELECT now() + interval '1 hour'")

    book.enqueue([right(send_at=then)])

    assert book.one("SELECT due_at FROM messages WHERE status = 'queued'") == then


# -- two at once -------------------------------------------------------------------------------------


def test_of_two_who_bring_the_same_correction_one_enters_it(book: Book, other: Book) -> None:
    book.bring([wrong()], Status.REJECTED)
    with book.ledger.begin() as connection:
        assert enqueue(connection, [right()]) == CORRECTED
        late = blocked(other, lambda theirs: enqueue(theirs, [right()]))

    assert late.result() == DUPLICATE
    assert book.books().total == 2


def test_of_two_who_bring_different_corrections_the_second_finds_a_conflict(book: Book, other: Book) -> None:
    book.bring([wrong()], Status.REJECTED)
    with book.ledger.begin() as connection:
        assert enqueue(connection, [right()]) == CORRECTED
        late = blocked(other, lambda theirs: enqueue(theirs, [right(text="third")]))

    assert late.result() == Enqueued(0, 0, (Conflict("client-1", ("text",)),))


def test_who_waited_for_one_that_gave_up_corrects_it_himself(book: Book, other: Book) -> None:
    book.bring([wrong()], Status.REJECTED)

    def give_up(connection: Connection) -> None:
        connection.rollback()

    with book.ledger.engine.connect() as connection:
        assert enqueue(connection, [right()]) == CORRECTED
        late = blocked(other, lambda theirs: enqueue(theirs, [right(text="third")]))
        give_up(connection)

    assert late.result() == CORRECTED
    assert book.books().total == 2


@pytest.mark.slow
def test_many_who_correct_the_same_in_another_order_enter_each_once(book: Book, other: Book) -> None:
    for number in range(4):
        ours = [message(n, client_id=f"round-{number}-{n}") for n in range(300)]
        book.bring(ours, Status.REJECTED)
        offered = [replace(one, content=Sms("Better")) for one in ours]

        first, second = at_once(
            [lambda: book.enqueue(offered), lambda: other.enqueue(offered[::-1])]  # noqa: B023
        )

        assert first.corrected + second.corrected == 300
        assert first.duplicates + second.duplicates == 300
        assert first.conflicts == second.conflicts == ()
        package = book.claim().package
        assert package is not None
        book.settle(package, Status.SENT)


# -- what is true of the rows ------------------------------------------------------------------------


def test_the_old_message_is_what_no_event_type_finds_any_more(book: Book) -> None:
    book.bring([wrong()], Status.REJECTED)
    book.enqueue([right()])

    assert book.cancel(["client-1"]) == 1

    assert [row.status for row in book.messages().values()] == ["rejected", "cancelled"]
    assert book.enqueue([right(text="third")]) == Enqueued(0, 0, (Conflict("client-1", ("text",)),))


def test_a_late_word_about_the_old_message_moves_neither(book: Book) -> None:
    package = book.package([wrong()])
    book.settle(package, Status.REJECTED)
    book.enqueue([right()])

    book.settle(package, Status.SENT, look=LOOK)
    book.report(package, Status.DELIVERED)

    assert [row.status for row in book.messages().values()] == ["rejected", "queued"]


def test_a_wait_of_the_old_message_is_none_of_the_new_one(book: Book) -> None:
    package = book.package([wrong()])
    book.settle(package, Status.QUEUED, delay=timedelta(0), tried=True)
    second = book.claim().package
    assert second is not None
    book.settle(second, Status.FAILED, tried=True)

    book.enqueue([right()])

    with book.ledger.begin() as connection:
        row = connection.execute(
            text("SELECT attempts, due_at <= now() FROM messages WHERE due_at IS NOT NULL")
        )
        assert tuple(row.one()) == (0, True)
