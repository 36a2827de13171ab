"""Enqueue: once per client id for ever, whoever offers it, however often, and with whatever content."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from bulk_dispatch.domain.content import Kind, Sms
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import ClientIdConflict, Lane, Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.suppressions import unsuppress
from bulk_dispatch.ledger.transitions import Conflict, Enqueued, enqueue
from tests.factories import message, messages
from tests.ledger.book import Book, at_once, blocked

TOMORROW = datetime(2031, 1, 1, tzinfo=UTC)


def test_a_message_is_entered_with_everything_it_carries(book: Book) -> None:
    whole = message(
        1,
        kind=Kind.FLASH,
        lane=Lane.URGENT,
        campaign="spring",
        valid_until=TOMORROW,
        in_doubt=DoubtPolicy.RESEND,
        text="Ще “лапки”, €uro, 👍, tab\tand\nline",
    )

    assert book.enqueue([whole]) == Enqueued(1, 0, ())

    [row] = book.messages().values()
    assert {
        name: getattr(row, name)
        for name in ("client_id", "recipient", "sender", "text", "kind", "lane", "route", "campaign")
    } == {
        "client_id": whole.client_id,
        "recipient": whole.recipient,
        "sender": whole.sender,
        "text": whole.text,
        "kind": "flash",
        "lane": "urgent",
        "route": "alpha",
        "campaign": "spring",
    }
    assert (row.status, row.valid_until, row.attempts, row.package_id) == ("queued", TOMORROW, 0, None)
    assert row.due_at == row.enqueued_at
    assert row.in_doubt == "resend"


def test_a_message_without_a_policy_leaves_it_to_its_route(book: Book) -> None:
    book.enqueue(messages(1))

    assert book.one("SELECT in_doubt IS NULL FROM messages")


def test_no_message_may_say_that_its_provider_can_be_asked(book: Book) -> None:
    book.enqueue(messages(1))

    with pytest.raises(IntegrityError, match="ck_messages_in_doubt"):
        book.rows("UPDATE messages SET in_doubt = 'ask'")


def test_nothing_offered_is_nothing_entered(book: Book) -> None:
    assert book.do(enqueue, []) == Enqueued(0, 0, ())
    assert book.books().total == 0


def test_our_ids_at_the_provider_are_never_shared(book: Book) -> None:
    book.enqueue(messages(300))

    assert len({row.reference for row in book.messages().values()}) == 300


# -- the same again ------------------------------------------------------------------------------------


def test_the_same_messages_in_a_later_batch_are_duplicates(book: Book) -> None:
    book.enqueue(messages(3))

    again = book.enqueue([*messages(3), message(4)])

    assert again == Enqueued(new=1, duplicates=3, conflicts=())
    assert book.books().total == 4
    assert book.books().duplicates == 3


def test_the_same_message_twice_in_one_batch_is_a_duplicate(book: Book) -> None:
    assert book.enqueue([message(1), message(2), message(1), message(1)]) == Enqueued(2, 2, ())
    assert book.books().total == 2
    assert book.books().duplicates == 2


def test_a_number_written_otherwise_is_the_same_number(book: Book) -> None:
    book.enqueue([message(1, recipient="+380931234567")])

    assert book.enqueue([message(1, recipient="+380 (93) 123-45.67")]) == Enqueued(0, 1, ())


@pytest.mark.parametrize(
    "change",
    [
        {"route": "beta"},
        {"lane": Lane.URGENT},
        {"campaign": "autumn"},
        {"valid_until": TOMORROW},
        {"in_doubt": "fail"},
    ],
    ids=str,
)
def test_what_the_recipient_would_not_notice_makes_no_other_message(
    book: Book, change: dict[str, Any]
) -> None:
    book.enqueue([message(1)])

    assert book.enqueue([message(1, **change)]) == Enqueued(0, 1, ())
    assert book.one("SELECT route || lane FROM messages") == "alphabulk"


def test_a_repeat_with_other_line_ends_is_a_duplicate(book: Book) -> None:
    """One file, saved on another system."""
    book.enqueue([message(1, text="one\ntwo")])

    assert book.enqueue([message(1, text="one\r\ntwo")]) == Enqueued(0, 1, ())
    assert book.one("SELECT text FROM messages") == "one\ntwo"


def test_a_duplicate_of_a_message_that_has_ended_is_not_sent_again(book: Book) -> None:
    book.bring(messages(3), Status.DELIVERED)

    assert book.enqueue(messages(3)) == Enqueued(0, 3, ())
    assert set(book.statuses().values()) == {"delivered"}


# -- the same id with other content --------------------------------------------------------------------

DIFFERENT: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"text": "Something else"}, ("text",)),
    ({"sender": "Other"}, ("sender",)),
    ({"recipient": "+380990000000"}, ("recipient",)),
    ({"kind": Kind.VOICE}, ("kind",)),
    ({"text": "Order 1 is ready "}, ("text",)),
    ({"text": "Something else", "recipient": "+380990000000"}, ("recipient", "text")),
    (
        {"text": "x", "recipient": "+380990000000", "kind": Kind.FLASH, "sender": "Other"},
        ("kind", "recipient", "sender", "text"),
    ),
    ({"text": "Something else", "campaign": "autumn"}, ("text",)),
]


@pytest.mark.parametrize(("change", "fields"), DIFFERENT)
def test_other_content_is_a_conflict_that_names_the_fields_and_is_not_sent(
    book: Book, change: dict[str, Any], fields: tuple[str, ...]
) -> None:
    book.enqueue([message(1)])
    other = message(1, **change)

    assert book.enqueue([other]) == Enqueued(0, 0, (Conflict("client-1", fields),))

    [row] = book.rows("SELECT client_id, fields, offered FROM conflicts")
    assert (row.client_id, row.fields) == ("client-1", ", ".join(fields))
    assert Message.from_dict(row.offered) == other
    assert book.one("SELECT text FROM messages") == message(1).text
    assert (book.books().conflicts, book.books().duplicates) == (1, 0)


def test_a_conflict_within_one_batch_keeps_the_first(book: Book) -> None:
    first, second = message(1, text="first"), message(1, text="second")

    entered = book.enqueue([first, second])

    assert entered == Enqueued(1, 0, (Conflict("client-1", ("text",)),))
    assert book.one("SELECT text FROM messages") == "first"


def test_a_conflict_offered_again_is_told_again_and_recorded_once(book: Book) -> None:
    book.enqueue([message(1)])
    other = message(1, text="Something else")

    for _ in range(2):  # an entry that is read again after a crash
        assert book.enqueue([other, other]).conflicts == (Conflict("client-1", ("text",)),) * 2

    assert book.books().conflicts == 1
    assert book.books().duplicates == 0


def test_each_other_content_is_a_conflict_of_its_own(book: Book) -> None:
    book.enqueue([message(1)])
    book.enqueue([message(1, text="second"), message(1, text="third")])

    assert book.books().conflicts == 2


def test_new_duplicate_and_conflicting_messages_of_one_batch_add_up(book: Book) -> None:
    book.enqueue(messages(3))
    offered = [message(1), message(2, text="other"), *messages(5)[3:], message(5), message(4, sender="Else")]

    entered = book.enqueue(offered)

    assert entered.new + entered.duplicates + len(entered.conflicts) == len(offered)
    assert (entered.new, entered.duplicates) == (2, 2)
    assert entered.conflicts == (Conflict("client-2", ("text",)), Conflict("client-4", ("sender",)))
    assert book.books().balanced


# -- the suppression list
# -------------------------------------------------------------------------------------


def test_a_number_on_the_stop_list_is_suppressed_for_good(book: Book) -> None:
    book.suppress([message(2).recipient])

    assert book.enqueue(messages(3)) == Enqueued(3, 0, ())

    assert book.statuses() == {"client-1": "queued", "client-2": "suppressed", "client-3": "queued"}
    assert book.claim().package is not None
    book.do(unsuppress, [message(2).recipient])
    assert book.enqueue([message(2)]) == Enqueued(0, 1, ())
    assert book.statuses()["client-2"] == "suppressed"
    assert book.books().balanced


def test_the_stop_list_holds_for_what_comes_after_it(book: Book) -> None:
    book.enqueue([message(1)])

    assert book.suppress([message(1).recipient, message(2).recipient]) == 2
    assert book.suppress([message(1).recipient]) == 0

    assert book.statuses() == {"client-1": "queued"}


def test_a_number_taken_off_the_stop_list_is_sent_to_again(book: Book) -> None:
    book.suppress([message(1).recipient])

    assert book.do(unsuppress, [message(1).recipient, message(2).recipient]) == 1

    book.enqueue([message(1)])
    assert book.statuses() == {"client-1": "queued"}


# -- two at once ---------------------------------------------------------------------------------------


def test_two_writers_of_the_same_ids_in_another_order_enter_each_once(book: Book, other: Book) -> None:
    for number in range(6):
        offered = [message(n, client_id=f"round-{number}-{n}") for n in range(400)]

        first, second = at_once(
            [lambda: book.enqueue(offered), lambda: other.enqueue(offered[::-1])]  # noqa: B023
        )

        assert first.new + second.new == 400
        assert first.duplicates + second.duplicates == 400
        assert first.conflicts == second.conflicts == ()
    assert book.books().total == book.books().duplicates == 2400
    assert book.one("SELECT count(*) FROM events") == 2400
    assert book.books().balanced


@pytest.mark.slow
def test_two_writers_of_the_same_conflicts_in_another_order_record_each_once(book: Book, other: Book) -> None:
    book.enqueue(messages(300))
    for number in range(6):
        offered = [replace(m, content=Sms(f"round {number}")) for m in messages(300)]

        first, second = at_once(
            [lambda: book.enqueue(offered), lambda: other.enqueue(offered[::-1])]  # noqa: B023
        )

        assert len(first.conflicts) == len(second.conflicts) == 300
    assert book.books().conflicts == 1800
    assert book.books().total == 300


def test_a_writer_waits_for_another_that_holds_its_ids_and_then_finds_duplicates(
    book: Book, other: Book
) -> None:
    with book.ledger.begin() as connection:
        assert enqueue(connection, messages(3)) == Enqueued(3, 0, ())
        late = blocked(other, lambda theirs: enqueue(theirs, [message(3), message(2), message(4)]))

    assert late.result() == Enqueued(1, 2, ())
    assert book.books().total == 4
    assert book.books().duplicates == 2


def test_a_writer_that_waited_finds_a_conflict(book: Book, other: Book) -> None:
    with book.ledger.begin() as connection:
        enqueue(connection, [message(1)])
        late = blocked(other, lambda theirs: enqueue(theirs, [message(1, text="Something else")]))

    assert late.result() == Enqueued(0, 0, (Conflict("client-1", ("text",)),))


def test_a_writer_that_waited_for_one_that_gave_up_enters_the_messages_itself(
    book: Book, other: Book
) -> None:
    def give_up(connection: Connection) -> None:
        connection.rollback()

    with book.ledger.engine.connect() as connection:
        assert enqueue(connection, messages(3)) == Enqueued(3, 0, ())
        late = blocked(other, lambda theirs: enqueue(theirs, messages(3)))
        give_up(connection)

    assert late.result() == Enqueued(3, 0, ())
    assert book.books().total == 3
    assert book.books().duplicates == 0
    assert book.books().balanced


# -- many ----------------------------------------------------------------------------------------------


def test_five_thousand_in_one_batch_with_repeats_and_conflicts(book: Book) -> None:
    book.suppress([message(number).recipient for number in range(1, 101)])
    batch = messages(4800)
    offered = [*batch, *batch[:150], *(replace(m, content=Sms("other")) for m in batch[:50])]
    assert len(offered) == 5000

    entered = book.enqueue(offered)

    assert (entered.new, entered.duplicates, len(entered.conflicts)) == (4800, 150, 50)
    books = book.books()
    assert books.by_status == {Status.QUEUED: 4700, Status.SUPPRESSED: 100}
    assert (books.total, books.duplicates, books.conflicts, books.balanced) == (4800, 150, 50, True)


def test_a_conflict_as_an_error_names_the_fields_and_no_text() -> None:
    problem = ClientIdConflict("order-1", ("sender", "text"))

    assert problem.differences == ("sender", "text")
    assert "order-1" in str(problem)
    assert "sender, text" in str(problem)


def test_messages_are_due_at_once(book: Book) -> None:
    book.enqueue(messages(2))

    assert book.one("SELECT max(due_at) - min(enqueued_at) FROM messages") == timedelta(0)


# -- several producers ---------------------------------------------------------------------------------


def test_the_same_client_id_of_two_producers_is_two_messages(book: Book) -> None:
    shop, bank = message(1, producer="shop"), message(1, producer="bank", text="Your balance is low")

    assert book.enqueue([message(1), shop, bank, message(1)]) == Enqueued(3, 1, ())

    rows = book.rows("SELECT producer, text FROM messages ORDER BY producer")
    assert list(map(tuple, rows)) == [("", message(1).text), ("bank", bank.text), ("shop", shop.text)]
    assert book.enqueue([bank, shop]) == Enqueued(0, 2, ())


def test_a_conflict_is_with_the_message_of_the_same_producer_and_names_it(book: Book) -> None:
    book.enqueue([message(1), message(1, producer="shop", sender="Shop 2")])
    other = message(1, producer="shop")

    entered = book.enqueue([other, message(2, producer="shop")])

    assert entered == Enqueued(1, 0, (Conflict("client-1", ("sender",), "shop"),))
    [row] = book.rows("SELECT client_id, producer, offered FROM conflicts")
    assert (row.client_id, row.producer) == ("client-1", "shop")
    assert Message.from_dict(row.offered) == other


def test_the_same_conflict_of_two_producers_is_recorded_for_each(book: Book) -> None:
    both = [message(1), message(1, producer="shop")]
    book.enqueue(both)

    book.enqueue([replace(one, content=Sms("other")) for one in both] * 2)

    assert book.books().conflicts == 2


def test_no_two_messages_of_a_producer_may_have_one_client_id(book: Book) -> None:
    book.enqueue([message(1), message(2)])

    with pytest.raises(IntegrityError, match="uq_messages_client_id_producer"):
        book.rows("UPDATE messages SET client_id = 'x'")


def test_a_message_that_is_on_its_way_cannot_be_marked_as_corrected(book: Book) -> None:
    book.enqueue([message(1)])

    with pytest.raises(IntegrityError, match="ck_messages_corrected_when_final"):
        book.rows("UPDATE messages SET corrected_by = 7")
