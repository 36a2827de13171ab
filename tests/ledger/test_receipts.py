"""Receipts in the book: names of messages, words that wait, and looks brought nearer."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from tests.factories import message, messages
from tests.ledger.book import Background, Book
from worker.ledger import receipts
from worker.ledger.governor import register_routes
from worker.ledger.queries import route_rows
from worker.ledger.receipts import GATHER, MOST, Word
from worker.sms.status import Status

DELIVERED = Word(
    "p-1", Status.DELIVERED, "ok", datetime(2026, 5, 1, tzinfo=UTC), first_channel=True, read=True
)
NOT_SENT = (Status.QUEUED, Status.SENDING, Status.IN_DOUBT)
SENT = [status for status in Status if status not in NOT_SENT]


def named(book: Book, status: Status, name: str = "p-1", number: int = 1) -> int:
    """A message in that status that receipts call so; its ledger id."""
    late = datetime(2020, 1, 1, tzinfo=UTC) if status is Status.EXPIRED else None
    book.bring([message(number, valid_until=late)], status)
    id_: int = book.one("SELECT id FROM messages WHERE client_id = :id", id=f"client-{number}")
    book.do(receipts.name_messages, "alpha", [(name, id_)])
    return id_


def keep(book: Book, words: Sequence[Word], route: str = "alpha") -> int:
    return book.do(receipts.keep, route, words)


def kept(book: Book) -> list[str]:
    return [row.provider_id for row in book.rows("SELECT provider_id FROM receipts ORDER BY id")]


# -- whom it is about


@pytest.mark.parametrize("status", SENT)
def test_a_word_about_a_message_that_was_sent_is_matched(book: Book, status: Status) -> None:
    id_ = named(book, status)
    [matched], waiting = book.do(receipts.match, "alpha", [DELIVERED])
    assert (matched.word, matched.message_id, matched.status) == (DELIVERED, id_, status)
    assert not waiting


@pytest.mark.parametrize("status", NOT_SENT)
def test_a_word_about_a_message_that_was_not_sent_waits(book: Book, status: Status) -> None:
    named(book, status)
    assert book.do(receipts.match, "alpha", [DELIVERED]) == ([], [DELIVERED])


def test_names_are_of_one_route_and_words_keep_their_order(book: Book) -> None:
    named(book, Status.SENT)
    words = [Word(name, Status.DELIVERED) for name in ("p-9", "p-1", "p-8", "p-1")]
    matched, waiting = book.do(receipts.match, "alpha", words)
    assert [one.word.provider_id for one in matched] == ["p-1", "p-1"]
    assert [word.provider_id for word in waiting] == ["p-9", "p-8"]
    assert book.do(receipts.match, "beta", words) == ([], words)


def test_a_name_once_given_stays(book: Book) -> None:
    first = named(book, Status.SENT)
    named(book, Status.SENT, number=2)
    [matched], _ = book.do(receipts.match, "alpha", [DELIVERED])
    assert matched.message_id == first


# -- words that wait


def test_a_kept_word_comes_back_whole_once_its_message_is_sent(book: Book) -> None:
    keep(book, [DELIVERED])
    assert book.do(receipts.take_kept, "alpha", 10) == []
    named(book, Status.SENT)
    assert book.do(receipts.take_kept, "beta", 10) == []
    assert book.do(receipts.take_kept, "alpha", 10) == [DELIVERED]
    assert kept(book) == []


@pytest.mark.parametrize("status", NOT_SENT)
def test_it_waits_for_the_sending_and_not_for_the_name_alone(book: Book, status: Status) -> None:
    keep(book, [DELIVERED])
    named(book, status)
    assert book.do(receipts.take_kept, "alpha", 10) == []


def test_words_are_taken_in_the_order_they_came(book: Book) -> None:
    words = [Word("p-1", status) for status in (Status.EXPIRED, Status.DELIVERED, Status.REJECTED)]
    keep(book, words)
    named(book, Status.SENT)
    assert book.do(receipts.take_kept, "alpha", 2) == words[:2]
    assert book.do(receipts.take_kept, "alpha", 2) == words[2:]


def test_two_who_take_never_wait_and_never_get_the_same(book: Book, other: Book) -> None:
    keep(book, [DELIVERED, DELIVERED])
    named(book, Status.SENT)
    with book.ledger.begin() as connection:
        assert len(receipts.take_kept(connection, "alpha", 1)) == 1
        assert Background(lambda: other.do(receipts.take_kept, "alpha", 9)).result() == [DELIVERED]
        assert Background(lambda: other.do(receipts.drop_old, "alpha")).result() == 0
    assert kept(book) == []


def test_what_nobody_claims_in_an_hour_is_forgotten(book: Book) -> None:
    keep(book, [Word("old", Status.DELIVERED)])
    book.rows("UPDATE receipts SET at = at - CAST('61 min' AS interval)")
    keep(book, [Word("new", Status.DELIVERED)])
    keep(book, [Word("new", Status.DELIVERED)], route="beta")
    assert book.do(receipts.drop_old, "beta") == 0
    assert book.do(receipts.drop_old, "alpha") == 1
    assert kept(book) == ["new", "new"]


def test_of_too_many_the_oldest_go(book: Book) -> None:
    book.rows(
        "INSERT INTO receipts (route, provider_id) SELECT 'alpha', 'old' FROM generate_series(1, :most)",
        most=MOST,
    )
    assert keep(book, [Word("beta", None)], route="beta") == 0
    assert keep(book, [Word("new", None)]) == MOST // 10 + 1
    assert book.one("SELECT count(*) FROM receipts WHERE route = 'alpha'") == MOST - MOST // 10
    assert kept(book)[-1] == "new"
    book.do(register_routes, ["alpha", "beta"])
    waiting = {row.name: row.receipts_kept for row in book.do(route_rows)}
    assert waiting == {"alpha": MOST - MOST // 10, "beta": 1}


# -- looks


def test_a_hint_brings_a_look_nearer_and_never_puts_it_off(book: Book) -> None:
    package = book.package([message()])
    book.settle(package, Status.SENT)
    assert book.do(receipts.look_now, [package.id]) == 1
    assert timedelta(0) < poll_in(book, package.id) <= GATHER
    book.rows("UPDATE packages SET poll_at = now() + CAST('200 ms' AS interval)")
    assert book.do(receipts.look_now, [package.id]) == 0
    assert poll_in(book, package.id) < timedelta(milliseconds=200)


def test_what_is_not_polled_is_left_alone(book: Book) -> None:
    package = book.package(messages(2))
    assert book.do(receipts.look_now, [package.id]) == 0
    assert book.package_row(package.id).poll_at is None


def poll_in(book: Book, package_id: int) -> timedelta:
    found: timedelta = book.one("SELECT poll_at - now() FROM packages WHERE id = :id", id=package_id)
    return found
