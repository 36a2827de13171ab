"""`worker conflicts`, and the producer among the commands: whose an id is, and what was not sent under it."""

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.conflicts import unseen_conflicts
from tests.cli.conftest import Shell
from tests.factories import message, messages
from tests.ledger.book import Book

TEXT, NUMBER = "Your code is 271828", "+380939990009"


def collided(book: Book) -> None:
    """One conflict of a producer, and one of nobody's before it."""
    for producer in ("", "shop"):
        book.enqueue([message(1, producer=producer)])
        book.enqueue([message(1, producer=producer, text=TEXT, recipient=NUMBER)])


# -- the list ----------------------------------------------------------------------------------------


def test_conflicts_are_listed_newest_first_without_a_text_or_a_number(shell: Shell, book: Book) -> None:
    collided(book)

    ran = shell.worker("conflicts", "list", "--json")

    assert (ran.code, ran.json["total"]) == (0, 2)
    first, second = ran.json["conflicts"]
    assert first.keys() == {"client_id", "producer", "at", "fields"}
    assert (first["client_id"], first["producer"], first["fields"]) == (
        "client-1",
        "shop",
        ["recipient", "text"],
    )
    assert second["producer"] == ""
    shown = shell.worker("conflicts", "list")
    assert shown.code == 0
    assert shown.out.index("shop") < shown.out.rindex("client-1")
    assert "recipient, text" in shown.out
    for told in (ran.out, shown.out):
        assert TEXT not in told
        assert NUMBER not in told


def test_conflicts_of_one_producer_or_of_none_are_listed(shell: Shell, book: Book) -> None:
    collided(book)

    for producer in ("shop", ""):
        ran = shell.worker("conflicts", "list", "--producer", producer, "--json")
        assert [one["producer"] for one in ran.json["conflicts"]] == [producer]


def test_only_so_many_are_listed_and_the_rest_is_counted(shell: Shell, book: Book) -> None:
    book.enqueue(messages(60))
    book.enqueue(messages(60, sender="Else"))

    assert "and 10 more" in shell.worker("conflicts", "list").out
    assert "and 58 more" in shell.worker("conflicts", "list", "--limit", "2").out
    assert len(shell.worker("conflicts", "list", "--limit", "0", "--json").json["conflicts"]) == 60


def test_given_seen_then_those_listed_are_told_by_the_doctor_no_more(shell: Shell, book: Book) -> None:
    collided(book)

    assert shell.worker("conflicts", "list", "--json").code == 0
    assert book.do(unseen_conflicts)[0] == 2
    listed = shell.worker("conflicts", "list", "--seen", "--producer", "shop", "--json")
    assert [one["producer"] for one in listed.json["conflicts"]] == ["shop"]
    assert book.do(unseen_conflicts)[0] == 1
    assert "client-1" in shell.worker("conflicts", "list", "--seen").out
    assert book.do(unseen_conflicts)[0] == 0
    assert shell.worker("conflicts", "list", "--json").json["total"] == 2


def test_no_conflicts_are_said_to_be_none(shell: Shell) -> None:
    assert shell.worker("conflicts", "list").out == "There are no conflicts.\n"
    assert shell.worker("conflicts", "list", "--json").json == {"total": 0, "conflicts": []}


# -- the producer of a message -----------------------------------------------------------------------


def test_a_status_is_told_of_the_producer_s_own_message_alone(shell: Shell, book: Book) -> None:
    book.enqueue([message(1), message(1, producer="shop", recipient=NUMBER)])

    nobody_s = shell.worker("status", "client-1", "--json").json
    assert (nobody_s["producer"], nobody_s["recipient"]) == ("", "+38093…01")
    shop_s = shell.worker("status", "client-1", "--producer", "shop", "--json").json
    assert (shop_s["producer"], shop_s["recipient"]) == ("shop", "+38093…09")
    assert "producer" in shell.worker("status", "client-1", "--producer", "shop").out
    assert "producer" not in shell.worker("status", "client-1").out


def test_where_another_producer_has_the_id_its_name_is_told_and_nothing_else(
    shell: Shell, book: Book
) -> None:
    book.enqueue([message(1, producer="shop"), message(2)])

    ran = shell.worker("status", "client-1")
    assert (ran.code, ran.out) == (1, "")
    assert "no message 'client-1' in the ledger; there is one of 'shop': see --producer" in ran.err
    ran = shell.worker("status", "client-2", "--producer", "shop")
    assert "no message 'client-2' of producer 'shop' in the ledger; there is one of no producer" in ran.err


def test_a_status_says_that_a_message_corrects_others(shell: Shell, book: Book) -> None:
    book.bring([message(1)], Status.REJECTED)
    book.bring([message(1, text="still wrong")], Status.REJECTED)
    book.enqueue([message(1, sender="Better")])

    assert shell.worker("status", "client-1", "--json").json["corrects"] == 2
    shown = shell.worker("status", "client-1").out
    assert "corrects" in shown
    assert "2 before it, which nobody got" in shown
    assert "in the stead of one that was rejected" in " ".join(shown.split())


def test_ids_are_cancelled_of_one_producer(shell: Shell, book: Book) -> None:
    book.enqueue([message(1), message(1, producer="shop")])

    ran = shell.worker("cancel", "client-1", "--producer", "shop", "--json")

    assert (ran.code, ran.json["cancelled_queued"]) == (0, 1)
    rows = book.rows("SELECT producer, status FROM messages ORDER BY producer")
    assert dict(map(tuple, rows)) == {"": "queued", "shop": "cancelled"}
    assert shell.worker("cancel", "client-1", "--producer", "crm").code == 1


def test_all_of_a_producer_is_cancelled_where_no_ids_are_given(shell: Shell, book: Book) -> None:
    book.enqueue([*messages(2, producer="shop"), message(3, producer="shop", campaign="spring")])
    book.enqueue([message(4, campaign="spring")])

    both = shell.worker("cancel", "--producer", "shop", "--campaign", "spring", "--json")
    assert both.json["cancelled_queued"] == 1
    assert shell.worker("cancel", "--producer", "shop", "--json").json["cancelled_queued"] == 2
    assert book.statuses()["client-4"] == "queued"
    assert shell.worker("cancel", "--producer", "shop", "--all").code == 2


@pytest.mark.slow
def test_ids_and_producers_are_read_as_they_were_when_the_message_came(shell: Shell, book: Book) -> None:
    book.bring([message(2, client_id=" order-2", producer="shop ")], Status.IN_DOUBT)
    book.enqueue([message(1, client_id="order-1\u200b", producer="shop ")])
    book.enqueue([message(1, client_id="order-1\u200b", producer="shop ", text="Other")])
    whose = ("--producer", "shop ")

    assert shell.worker("status", "order-1\u200b", *whose, "--json").json["client_id"] == "order-1"
    assert shell.worker("conflicts", "list", *whose, "--json").json["total"] == 1
    assert shell.worker("resolve", " order-2", *whose, "--as", "sent", "--reason", "seen").code == 0
    assert shell.worker("cancel", "order-1\u200b", *whose).code == 0
    assert book.statuses() == {"order-1": "cancelled", "order-2": "sent"}


def test_doubt_is_settled_of_one_producer(shell: Shell, book: Book) -> None:
    book.settle(book.package([message(1), message(1, producer="shop")]), Status.IN_DOUBT)

    listed = shell.worker("resolve", "--producer", "shop", "--json").json
    assert [one["producer"] for one in listed["messages"]] == ["shop"]
    assert "shop" in shell.worker("resolve").out
    words = ("--as", "sent", "--reason", "seen", "--by", "anna", "--json")
    ran = shell.worker("resolve", "client-1", "--producer", "shop", *words)

    assert (ran.code, ran.json["settled"]) == (0, 1)
    rows = book.rows("SELECT producer, status FROM messages ORDER BY producer")
    assert dict(map(tuple, rows)) == {"": "in_doubt", "shop": "sent"}
    again = shell.worker("resolve", "client-1", "--producer", "shop", *words)
    assert (again.code, again.json["unsettled"]) == (1, {"client-1": "sent"})


@pytest.mark.parametrize(
    "words", [["conflicts", "list"], ["status", "x"], ["cancel", "x"], ["resolve"]], ids=" ".join
)
def test_a_producer_that_can_be_none_is_wrong_usage(shell: Shell, words: list[str]) -> None:
    ran = shell.worker(*words, "--producer", "sh\udcffop")

    assert ran.code == 2
    assert "printable characters" in " ".join(ran.err.replace("│", " ").split())
