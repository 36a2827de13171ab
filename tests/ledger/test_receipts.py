"""Receipts in the book: names of messages, words that wait, and looks brought nearer."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import receipts
from bulk_dispatch.ledger.queries import route_rows
from bulk_dispatch.ledger.receipts import GATHER, MOST
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.ledger.transitions import Transition, settle
from tests.factories import message, messages
from tests.ledger.book import LOOK, Background, Book

DELIVERED = DeliveryReceipt(
    "p-1", Status.DELIVERED, "ok", datetime(2026, 5, 1, tzinfo=UTC), first_channel=True, read=True
)
NOT_YET = (Status.QUEUED, Status.SENDING)
LEFT = [status for status in Status if status not in NOT_YET]


def named(book: Book, status: Status, name: str = "p-1", number: int = 1) -> int:
    """A message in that status that receipts call so; its ledger id."""
    late = datetime(2020, 1, 1, tzinfo=UTC) if status is Status.EXPIRED else None
    book.bring([message(number, valid_until=late)], status)
    id_: int = book.one("SELECT id FROM messages WHERE client_id = :id", id=f"client-{number}")
    book.do(receipts.name_messages, "alpha", [(name, id_)])
    return id_


def keep(book: Book, words: Sequence[DeliveryReceipt], route: str = "alpha") -> None:
    book.do(receipts.keep, route, words)


def kept(book: Book) -> list[str]:
    return [
        row.provider_message_id
        for row in book.rows("SELECT provider_message_id FROM unmatched_receipts ORDER BY id")
    ]


# -- whom it is about


@pytest.mark.parametrize("status", LEFT)
def test_a_word_about_a_message_that_may_have_left_is_matched(book: Book, status: Status) -> None:
    id_ = named(book, status)
    [matched], waiting = book.do(receipts.match, "alpha", [DELIVERED])
    assert (matched.word, matched.message_id, matched.status) == (DELIVERED, id_, status)
    assert not waiting


@pytest.mark.parametrize("status", NOT_YET)
def test_a_word_about_a_message_that_has_not_left_waits(book: Book, status: Status) -> None:
    named(book, status)
    assert book.do(receipts.match, "alpha", [DELIVERED]) == ([], [DELIVERED])


def test_a_word_about_what_is_held_for_a_collision_waits_for_a_person(book: Book) -> None:
    package = book.package(messages(1))
    [item] = package.items
    book.do(receipts.name_messages, "alpha", [("p-1", item.id)])
    book.do(settle, [], {package.id: LOOK}, collided=[Transition(item.id, package.id, Status.IN_DOUBT)])

    assert book.do(receipts.match, "alpha", [DELIVERED]) == ([], [DELIVERED])
    keep(book, [DELIVERED])
    assert book.do(receipts.take_kept, "alpha", 10) == []

    book.settle(package, [Status.SENT])
    assert book.do(receipts.take_kept, "alpha", 10) == [DELIVERED]


def test_names_are_of_one_route_and_words_keep_their_order(book: Book) -> None:
    named(book, Status.SENT)
    words = [DeliveryReceipt(name, Status.DELIVERED) for name in ("p-9", "p-1", "p-8", "p-1")]
    matched, waiting = book.do(receipts.match, "alpha", words)
    assert [one.word.provider_message_id for one in matched] == ["p-1", "p-1"]
    assert [word.provider_message_id for word in waiting] == ["p-9", "p-8"]
    assert book.do(receipts.match, "beta", words) == ([], words)


def test_a_name_once_given_stays(book: Book) -> None:
    first = named(book, Status.SENT)
    named(book, Status.SENT, number=2)
    [matched], _ = book.do(receipts.match, "alpha", [DELIVERED])
    assert matched.message_id == first


def write(book: Book, package_id: int, *moves: tuple[int, Status], name: str = "") -> dict[Status, int]:
    """Settle messages of a package, by their ids, and note the name that the provider gave them."""
    made = [Transition(id_, package_id, to_status, provider_message_id=name) for id_, to_status in moves]
    with book.ledger.begin() as connection:
        moved = settle(connection, made, {package_id: LOOK})
        receipts.name_messages(connection, "alpha", [(name, id_) for id_, _ in moves if name])
    return dict(moved)


def names(book: Book) -> dict[str, int]:
    return {
        row.provider_message_id: row.message_id
        for row in book.rows("SELECT provider_message_id, message_id FROM provider_message_ids")
    }


def test_a_message_queued_again_loses_the_name_of_its_first_copy(book: Book) -> None:
    package = book.package([message()])
    [item] = package.items
    write(book, package.id, (item.id, Status.IN_DOUBT), name="first")
    assert names(book) == {"first": item.id}

    assert write(book, package.id, (item.id, Status.QUEUED)) == {Status.QUEUED: 1}

    assert names(book) == {}


def test_a_late_writer_takes_no_name_from_what_was_sent_anew(book: Book) -> None:
    """It is told that nothing of its package was taken, when one message has long left by another."""
    late = book.package(messages(2))
    first, second = (item.id for item in late.items)
    write(book, late.id, (first, Status.QUEUED))
    again = book.claim().package
    assert again is not None
    write(book, again.id, (first, Status.SENT), name="anew")

    moved = write(book, late.id, (first, Status.QUEUED), (second, Status.QUEUED))

    assert moved == {Status.QUEUED: 1}
    assert names(book) == {"anew": first}


# -- words that wait


@pytest.mark.parametrize("status", [Status.SENT, Status.IN_DOUBT])
def test_a_kept_word_comes_back_whole_once_its_message_may_have_left(book: Book, status: Status) -> None:
    keep(book, [DELIVERED])
    assert book.do(receipts.take_kept, "alpha", 10) == []
    named(book, status)
    assert book.do(receipts.take_kept, "beta", 10) == []
    assert book.do(receipts.take_kept, "alpha", 10) == [DELIVERED]
    assert kept(book) == []


@pytest.mark.parametrize("status", NOT_YET)
def test_it_waits_for_the_sending_and_not_for_the_name_alone(book: Book, status: Status) -> None:
    keep(book, [DELIVERED])
    named(book, status)
    assert book.do(receipts.take_kept, "alpha", 10) == []


def test_words_are_taken_in_the_order_they_came(book: Book) -> None:
    words = [DeliveryReceipt("p-1", status) for status in (Status.EXPIRED, Status.DELIVERED, Status.REJECTED)]
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
    keep(book, [DeliveryReceipt("old", Status.DELIVERED)])
    book.rows("UPDATE unmatched_receipts SET at = at - CAST('61 min' AS interval)")
    keep(book, [DeliveryReceipt("new", Status.DELIVERED)])
    keep(book, [DeliveryReceipt("new", Status.DELIVERED)], route="beta")
    assert book.do(receipts.drop_old, "beta") == 0
    assert book.do(receipts.drop_old, "alpha") == 1
    assert kept(book) == ["new", "new"]


@pytest.mark.slow
def test_of_too_many_the_oldest_go(book: Book) -> None:
    keep(book, [DeliveryReceipt("oldest", None), DeliveryReceipt("older", None)])
    book.rows(
        "INSERT INTO unmatched_receipts (route, provider_message_id) "
        "SELECT 'alpha', 'old' FROM generate_series(2, :most)",
        most=MOST,
    )
    keep(book, [DeliveryReceipt("beta", None)], route="beta")
    assert book.do(receipts.drop_surplus, "beta") == 0
    assert book.do(receipts.drop_surplus, "alpha") == 1
    assert book.do(receipts.drop_surplus, "alpha") == 0
    assert kept(book)[0] == "older"
    book.do(register_routes, ["alpha", "beta"])
    waiting = {row.name: row.receipts_kept for row in book.do(route_rows)}
    assert waiting == {"alpha": MOST, "beta": 1}


def test_who_keeps_does_not_count_what_is_kept(book: Book) -> None:
    """All that is kept would be counted at each commit that brings a stranger."""
    keep(book, [DELIVERED])
    with book.ledger.begin() as connection:
        before = scans(connection)
        receipts.keep(connection, "alpha", [DELIVERED])
        assert scans(connection) == before


def scans(connection: Connection) -> int:
    """How often this transaction has read receipts, by whatever way."""
    found: int = connection.exec_driver_sql("""
        SELECT pg_stat_get_xact_numscans('unmatched_receipts'::regclass)
             + coalesce(sum(pg_stat_get_xact_numscans(indexrelid)), 0)
        FROM pg_index WHERE indrelid = 'unmatched_receipts'::regclass
    """).scalar_one()
    return found


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
