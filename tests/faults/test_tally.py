"""The count behind the matrix must be able to say no: each broken promise is told from the rest."""

import pytest

from bulk_dispatch.domain.status import Status
from bulk_dispatch.sandbox.account import content_digest
from tests.factories import message
from tests.faults.tally import NONE, Pardon, Tally, Told, count, times_by_digest

ONE = message(1)
DIGEST = content_digest(ONE.recipient, ONE.sender, ONE.text)


def tally(
    status: Status | None, taken: int, *, sent: bool = False, listed: bool = False, pardon: Pardon = NONE
) -> Tally:
    books = {ONE.client_id: Told(status, sent)} if status else {}
    named = frozenset({ONE.client_id} if listed else ())
    return count([ONE], books, {DIGEST: taken}, listed=named, pardon=pardon)


@pytest.mark.parametrize(
    "status",
    [Status.DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, Status.REJECTED, Status.UNCONFIRMED],
)
def test_one_delivery_told_as_sent_with_an_end_is_good(status: Status) -> None:
    assert tally(status, 1, sent=True).good


def test_what_the_network_refused_had_been_taken() -> None:
    books = {ONE.client_id: Told(Status.REJECTED, sent=False, code="108")}

    assert count([ONE], books, {DIGEST: 1}).good
    assert count([ONE], books, {}).lost == (ONE.client_id,)


@pytest.mark.parametrize("status", [None, Status.QUEUED, Status.SENDING])
@pytest.mark.parametrize("taken", [0, 1])
def test_what_has_no_end_is_lost(status: Status | None, taken: int) -> None:
    assert tally(status, taken).lost == (ONE.client_id,)


def test_what_is_sent_and_has_no_end_is_lost() -> None:
    assert tally(Status.SENT, 1, sent=True).lost == (ONE.client_id,)


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.EXPIRED, Status.UNCONFIRMED])
def test_what_is_told_as_sent_and_was_never_taken_is_lost(status: Status) -> None:
    assert tally(status, 0, sent=True).lost == (ONE.client_id,)


@pytest.mark.parametrize(
    "status", [Status.FAILED, Status.EXPIRED, Status.SUPPRESSED, Status.CANCELLED, Status.REJECTED]
)
def test_what_we_gave_up_on_and_nobody_refused_is_lost(status: Status) -> None:
    assert tally(status, 0).lost == (ONE.client_id,)


@pytest.mark.parametrize(
    "status", [Status.FAILED, Status.EXPIRED, Status.SUPPRESSED, Status.CANCELLED, Status.REJECTED]
)
def test_what_they_have_and_the_books_never_told_as_sent_is_denied(status: Status) -> None:
    found = tally(status, 1)

    assert found.denied == (ONE.client_id,)
    assert not found.good


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.FAILED, Status.IN_DOUBT, None])
def test_two_deliveries_are_twice_whatever_the_books_say(status: Status | None) -> None:
    assert tally(status, 2, sent=True, listed=True).twice == (ONE.client_id,)


@pytest.mark.parametrize("taken", [0, 1])
def test_a_policy_may_give_up_without_knowing(taken: int) -> None:
    assert tally(Status.FAILED, taken, pardon=Pardon(statuses=frozenset({Status.FAILED}))).good


@pytest.mark.parametrize("sent", [False, True])
@pytest.mark.parametrize("taken", [0, 1])
def test_what_a_person_withdrew_before_it_left_must_not_have_been_taken(taken: int, *, sent: bool) -> None:
    found = tally(Status.CANCELLED, taken, sent=sent, pardon=Pardon(frozenset({Status.CANCELLED})))

    assert found.good is (sent or not taken)


def test_only_so_many_may_be_refused_as_the_script_refuses() -> None:
    two = [ONE, message(2)]
    books = {one.client_id: Told(Status.REJECTED, sent=False) for one in two}

    assert count(two, books, {}, pardon=Pardon(refused=2)).good
    assert count(two, books, {}, pardon=Pardon(refused=1)).lost == (two[1].client_id,)


def test_a_listed_doubt_is_good_and_an_unlisted_one_is_not() -> None:
    assert tally(Status.IN_DOUBT, 1, listed=True).good
    assert tally(Status.IN_DOUBT, 1).unlisted == (ONE.client_id,)
    assert not tally(Status.IN_DOUBT, 1).good


def test_a_broken_book_is_never_good() -> None:
    books = {ONE.client_id: Told(Status.DELIVERED, sent=True)}

    found = count([ONE], books, {DIGEST: 1}, unbalanced=["package 7: no clock"])

    assert not found.good
    assert found.complaints() == ["unbalanced: 1 (package 7: no clock)"]


def test_one_content_under_two_ids_of_theirs_is_two_deliveries() -> None:
    assert times_by_digest([[1, "r", "d", 1], [2, "r", "d", 1], [3, "r", "e", 1]]) == {"d": 2, "e": 1}
