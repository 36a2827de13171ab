"""The count behind the matrix must be able to say no: each broken promise is told from the rest."""

import pytest

from tests.factories import message
from tests.faults.tally import Tally, count, times_by_digest
from worker.sandbox.account import content_digest
from worker.sms.status import Status

ONE = message(1)
DIGEST = content_digest(ONE.recipient, ONE.sender, ONE.text)


def tally(status: Status | None, taken: int, listed: bool = False) -> Tally:
    statuses = {ONE.client_id: status} if status else {}
    return count([ONE], statuses, {DIGEST: taken}, frozenset({ONE.client_id} if listed else ()), [])


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        (Status.DELIVERED, 1),
        (Status.UNDELIVERABLE, 1),
        (Status.EXPIRED, 1),
        (Status.EXPIRED, 0),
        (Status.REJECTED, 1),
        (Status.REJECTED, 0),
        (Status.FAILED, 0),
        (Status.UNCONFIRMED, 1),
    ],
)
def test_one_delivery_and_a_final_status_is_good(status: Status, taken: int) -> None:
    assert tally(status, taken).good


@pytest.mark.parametrize(
    ("status", "taken"),
    [
        (None, 0),  # handed over, and nobody knows of it
        (None, 1),
        (Status.QUEUED, 0),  # without an end
        (Status.SENDING, 1),
        (Status.SENT, 1),
        (Status.DELIVERED, 0),  # told as delivered, and they never had it
        (Status.UNCONFIRMED, 0),
    ],
)
def test_what_has_no_end_or_a_false_one_is_lost(status: Status | None, taken: int) -> None:
    assert tally(status, taken).lost == (ONE.client_id,)


@pytest.mark.parametrize("status", [Status.DELIVERED, Status.FAILED, None])
def test_two_deliveries_are_twice_whatever_the_books_say(status: Status | None) -> None:
    assert tally(status, 2).twice == (ONE.client_id,)


@pytest.mark.parametrize("status", [Status.FAILED, Status.SUPPRESSED, Status.CANCELLED])
def test_what_they_have_and_the_books_deny_is_told(status: Status) -> None:
    assert tally(status, 1).denied == (ONE.client_id,)
    assert not tally(status, 1).good


def test_a_policy_may_give_up_what_they_have() -> None:
    statuses = {ONE.client_id: Status.FAILED}

    assert count([ONE], statuses, {DIGEST: 1}, frozenset(), [], frozenset({Status.FAILED})).good


def test_a_listed_doubt_is_good_and_an_unlisted_one_is_not() -> None:
    assert tally(Status.IN_DOUBT, 1, listed=True).good
    assert tally(Status.IN_DOUBT, 1).unlisted == (ONE.client_id,)
    assert not tally(Status.IN_DOUBT, 1).good


def test_a_broken_book_is_never_good() -> None:
    tally = count([ONE], {ONE.client_id: Status.DELIVERED}, {DIGEST: 1}, frozenset(), ["package 7: no clock"])

    assert not tally.good
    assert tally.complaints() == ["unbalanced: 1 (package 7: no clock)"]


def test_one_content_under_two_ids_of_theirs_is_two_deliveries() -> None:
    assert times_by_digest([[1, "r", "d", 1], [2, "r", "d", 1], [3, "r", "e", 1]]) == {"d": 2, "e": 1}
