"""Conflicts as they are told: whose, when, and in what they differ; never what was in them."""

from datetime import datetime

from bulk_dispatch.ledger.conflicts import (
    ConflictCursor,
    RecordedConflict,
    after_all_of,
    conflicts_after,
    latest_conflicts,
    take_for_seen,
    unseen_conflicts,
)
from tests.factories import message, messages
from tests.ledger.book import Book


def collided(book: Book, count: int, producer: str = "") -> None:
    """So many messages, each offered again with another text and another sender."""
    book.enqueue(messages(count, producer=producer))
    for number in range(1, count + 1):
        book.enqueue([message(number, producer=producer, text="other", sender="Else")])


def paged(book: Book, producer: str, place: ConflictCursor | None, size: int) -> list[list[RecordedConflict]]:
    pages = []
    while place is not None:
        page, place = book.do(conflicts_after, producer, place, size)
        pages.append(page)
    return pages


def test_a_conflict_tells_whose_it_is_when_it_was_and_in_what_they_differ(book: Book) -> None:
    collided(book, 1, "shop")

    [[found]] = paged(book, "shop", after_all_of(None), 10)

    assert (found.client_id, found.producer, found.fields) == ("client-1", "shop", ("sender", "text"))
    assert found.at == book.one("SELECT at FROM conflicts")
    assert "other" not in repr(found)


def test_all_of_a_producer_s_are_told_in_order_page_by_page(book: Book) -> None:
    collided(book, 5, "shop")
    collided(book, 2)

    pages = paged(book, "shop", after_all_of(None), 2)

    assert [[one.client_id for one in page] for page in pages] == [
        ["client-1", "client-2"],
        ["client-3", "client-4"],
        ["client-5"],
    ]


def test_pages_part_what_one_instant_holds(book: Book) -> None:
    book.enqueue(messages(5))
    book.enqueue(messages(5, text="other"))

    assert sorted(one.client_id for page in paged(book, "", after_all_of(None), 2) for one in page) == [
        f"client-{number}" for number in range(1, 6)
    ]


def test_only_what_came_later_than_an_instant_is_told(book: Book) -> None:
    collided(book, 3)
    instants: list[datetime] = [row.at for row in book.rows("SELECT at FROM conflicts ORDER BY at")]

    assert [one.at for [one] in paged(book, "", after_all_of(instants[0]), 1)[:2]] == instants[1:]
    assert paged(book, "", after_all_of(instants[2]), 1) == [[]]


def test_the_latest_come_first_and_all_are_counted(book: Book) -> None:
    collided(book, 3)
    collided(book, 1, "shop")

    every = book.do(latest_conflicts, None, 2)
    assert (every.total, [one.producer for one in every.latest]) == (4, ["shop", ""])
    of_nobody = book.do(latest_conflicts, "", None)
    assert (of_nobody.total, [one.client_id for one in of_nobody.latest]) == (
        3,
        ["client-3", "client-2", "client-1"],
    )
    assert book.do(latest_conflicts, "crm", None).total == 0


def test_given_some_that_were_seen_then_the_others_are_counted_since_the_first_of_them(book: Book) -> None:
    collided(book, 3)
    first = book.one("SELECT at FROM conflicts WHERE client_id = 'client-1'")

    assert book.do(unseen_conflicts) == (3, first)
    book.do(take_for_seen, book.do(latest_conflicts, None, 2).rows)
    assert book.do(unseen_conflicts) == (1, first)
    book.do(take_for_seen, book.do(latest_conflicts, None, None).rows)
    assert book.do(unseen_conflicts) == (0, None)


def test_given_one_that_was_seen_when_it_is_met_again_then_it_stays_seen(book: Book) -> None:
    collided(book, 1)
    book.do(take_for_seen, book.do(latest_conflicts, None, None).rows)

    collided(book, 1)

    assert book.do(unseen_conflicts) == (0, None)
