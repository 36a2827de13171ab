"""Producers: a client id is one producer's own, whoever looks it up and for whatever reason."""

from datetime import UTC, datetime

import pytest

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import DoubtSelection, Resolution, chunks, in_doubt, resolve, statuses
from bulk_dispatch.ledger.packages import held_messages, open_messages
from bulk_dispatch.ledger.queries import history, producers_of
from bulk_dispatch.ledger.transitions import Queue, cancel, cancel_named, cancel_next
from tests.factories import message, messages
from tests.ledger.book import LOOK, Book

NUMBERS = {"": "+380931110001", "bank": "+380932220002", "shop": "+380933330003"}


def theirs() -> list[Message]:
    """One client id of three producers, one without a name."""
    return [message(1, producer=name, recipient=number) for name, number in NUMBERS.items()]


@pytest.mark.parametrize(("producer", "number"), NUMBERS.items())
def test_the_history_of_one_never_shows_the_number_of_another(book: Book, producer: str, number: str) -> None:
    book.enqueue(theirs())

    found = book.do(history, "client-1", producer)

    assert found is not None
    assert (found.producer, found.recipient) == (producer, number)


@pytest.mark.parametrize("producer", ["crm", "Shop", "sho", "\x00", "\ud800"])
def test_a_producer_nobody_knows_has_no_message(book: Book, producer: str) -> None:
    book.enqueue(theirs())

    assert book.do(history, "client-1", producer) is None


@pytest.mark.parametrize(
    ("client_id", "producer"),
    [
        ("order-1\u200b", "shop"),
        (" order-1", "shop "),
        ("order-1", "\ufeffshop"),
        ("order\u00a01", "e\u0301"),
    ],
)
def test_a_message_is_found_by_the_id_and_the_producer_it_was_given(
    book: Book, client_id: str, producer: str
) -> None:
    book.enqueue([message(1, client_id=client_id, producer=producer)])

    found = book.do(history, client_id, producer)

    assert found is not None
    assert book.do(producers_of, client_id) == [found.producer]


@pytest.mark.parametrize("producer", ["shop ", " shop", "sh\u200bop"])
def test_a_producer_that_looks_the_same_is_the_same(book: Book, producer: str) -> None:
    book.enqueue([message(1, producer="shop")])

    assert book.enqueue([message(1, producer=producer)]).duplicates == 1
    assert message(1, producer=producer).producer == "shop"


def test_whose_a_client_id_is_can_be_asked(book: Book) -> None:
    book.bring(theirs(), Status.REJECTED)
    book.enqueue([message(1, sender="Better")])

    assert book.do(producers_of, "client-1") == ["", "bank", "shop"]
    assert book.do(producers_of, "nobody") == book.do(producers_of, "\x00") == []


def test_only_the_named_producer_s_message_is_withdrawn(book: Book) -> None:
    book.enqueue(theirs())

    assert book.do(cancel_named, ["client-1"], "", "shop") == ["client-1"]
    assert book.do(cancel, ["client-1"]) == 1

    rows = book.rows("SELECT producer, status FROM messages ORDER BY producer")
    assert dict(map(tuple, rows)) == {"": "cancelled", "bank": "queued", "shop": "cancelled"}
    assert book.do(statuses, ["client-1"], "bank") == {"client-1": Status.QUEUED}
    assert book.do(statuses, ["client-1"], "crm") == {}


def test_a_queue_can_be_withdrawn_of_one_producer(book: Book) -> None:
    book.enqueue([message(n, producer="shop", campaign="ab"[n % 2]) for n in range(1, 7)])
    book.enqueue(messages(3, campaign="a"))
    until = datetime.now(UTC).replace(year=2100)

    def withdrawn(campaign: str, producer: str) -> int:
        count, _ = book.do(cancel_next, Queue("alpha", Lane.BULK, campaign, until, producer), None, 100)
        return count

    assert withdrawn("a", "shop") == 3
    assert withdrawn("", "shop") == 3
    assert withdrawn("", "") == 3


def test_what_a_provider_has_is_found_by_the_producer_s_own_id(book: Book) -> None:
    package = book.package(theirs())
    book.settle(package, Status.SENT)

    [found] = book.do(held_messages, ["client-1"], "shop")
    of_shop = book.one("SELECT id FROM messages WHERE producer = 'shop'")
    assert found.message.id == of_shop
    [opened] = book.do(open_messages, [package.id], producer="shop")
    assert opened.id == of_shop
    assert len(book.do(open_messages, [package.id])) == 3


def test_doubt_is_listed_with_its_producer_and_settled_for_one_alone(book: Book) -> None:
    book.settle(book.package(theirs()), Status.IN_DOUBT)

    every = book.do(in_doubt, DoubtSelection(), None)
    assert [one.producer for one in every.messages] == ["", "bank", "shop"]
    for selection in (DoubtSelection(producer="shop"), DoubtSelection(["client-1"], producer="shop")):
        assert [one.producer for one in book.do(in_doubt, selection, None).messages] == ["shop"]
    assert [one.producer for one in book.do(in_doubt, DoubtSelection(["client-1"]), None).messages] == [""]
    [chunk] = book.do(chunks, DoubtSelection(["client-1"], producer="shop"))
    book.do(resolve, chunk, Resolution.REJECTED, looks=lambda _: LOOK, note="by hand")

    rows = book.rows("SELECT producer, status FROM messages ORDER BY producer")
    assert dict(map(tuple, rows)) == {"": "in_doubt", "bank": "in_doubt", "shop": "rejected"}
