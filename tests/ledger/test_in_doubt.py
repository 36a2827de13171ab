"""Doubt in the book: what is listed, what a policy decides, and a person's word, whoever writes meanwhile."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import (
    CHUNK,
    Chunk,
    Decidable,
    DoubtList,
    DoubtSelection,
    Resolution,
    Resolved,
    chunks,
    decidable,
    in_doubt,
    resolve,
    statuses,
)
from bulk_dispatch.ledger.leases import doubt_lapsed, lease_doubts
from bulk_dispatch.ledger.queries import history
from bulk_dispatch.ledger.transitions import Clock, Package, Transition, settle
from tests.factories import message, messages
from tests.ledger.book import LOOK, ONE_BY_ONE, ROUTE, Book, at_once, blocked

HOUR = timedelta(hours=1)
S, R, Q, F, D = Status.SENT, Status.REJECTED, Status.QUEUED, Status.FAILED, Status.IN_DOUBT
NOTE = "resolved by anna: their list of the day"


def doubted(book: Book, offered: Sequence[Message], reason: str = "lost") -> Package:
    """A package of messages in doubt."""
    package = book.package(offered)
    moves = [Transition(item.id, package.id, D, code="208") for item in package.items]
    book.do(settle, moves, {package.id: LOOK}, reason=reason)
    return package


def collided(book: Book, offered: Sequence[Message]) -> Package:
    """A package of messages whose ids somebody else had used."""
    package = book.package(offered)
    held = [Transition(item.id, package.id, D, code="208") for item in package.items]
    book.do(settle, [], {package.id: LOOK}, collided=held)
    return package


def batch(start: int, count: int, **changes: Any) -> list[Message]:
    return [message(number, **changes) for number in range(start, start + count)]


def found(book: Book, limit: int | None = None, **parts: Any) -> DoubtList:
    with book.ledger.snapshot() as connection:
        return in_doubt(connection, DoubtSelection(**parts), limit)


def meant(book: Book, size: int = CHUNK, **parts: Any) -> list[Chunk]:
    with book.ledger.snapshot() as connection:
        return chunks(connection, DoubtSelection(**parts), size)


def said(book: Book, chunk: Chunk, resolution: Resolution = Resolution.SENT) -> list[Resolved]:
    return book.do(resolve, chunk, resolution, looks=lambda _: LOOK, note=NOTE)


# -- what a policy decides -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("route", "own", "policy"),
    [
        (DoubtPolicy.HOLD, None, None),
        (DoubtPolicy.HOLD, DoubtPolicy.HOLD, None),
        (DoubtPolicy.HOLD, DoubtPolicy.RESEND, DoubtPolicy.RESEND),
        (DoubtPolicy.HOLD, DoubtPolicy.FAIL, DoubtPolicy.FAIL),
        (DoubtPolicy.RESEND, None, DoubtPolicy.RESEND),
        (DoubtPolicy.RESEND, DoubtPolicy.HOLD, None),
        (DoubtPolicy.RESEND, DoubtPolicy.FAIL, DoubtPolicy.FAIL),
        (DoubtPolicy.FAIL, None, DoubtPolicy.FAIL),
        (DoubtPolicy.FAIL, DoubtPolicy.HOLD, None),
        (DoubtPolicy.FAIL, DoubtPolicy.RESEND, DoubtPolicy.RESEND),
    ],
)
def test_a_message_s_own_policy_comes_before_its_route_s(
    book: Book, route: DoubtPolicy, own: DoubtPolicy | None, policy: DoubtPolicy | None
) -> None:
    package = doubted(book, [message(1, in_doubt=own)])
    [item] = package.items

    expected = [Decidable(item.id, package.id, 0, policy, own is not None)] if policy else []
    assert book.do(decidable, [package.id], route) == expected


def test_a_policy_decides_only_what_is_in_doubt(book: Book) -> None:
    package = book.package(messages(3))
    book.settle(package, [S, R, D])

    assert [m.id for m in book.do(decidable, [package.id], DoubtPolicy.FAIL)] == [package.items[2].id]


# -- the list --------------------------------------------------------------------------------------------


def test_what_is_in_doubt_is_listed_with_what_is_known(book: Book) -> None:
    package = doubted(book, [message(1, campaign="spring", in_doubt="fail")])
    book.rows("UPDATE messages SET provider_message_id = 'their-1', attempts = 2")
    book.rows("UPDATE packages SET inquiry_count = 3, reason = 'something later'")

    [one] = found(book).messages

    assert (one.client_id, one.route, one.campaign, one.package_id) == (
        "client-1",
        ROUTE,
        "spring",
        package.id,
    )
    assert (one.recipient, one.provider_message_id, one.reference) == (
        "+380930000001",
        "their-1",
        package.items[0].reference,
    )
    assert (one.asked, one.code, one.reason, one.attempts, one.own) == (3, "208", "lost", 2, DoubtPolicy.FAIL)
    assert one.since == book.one("SELECT at FROM events WHERE to_status = 'in_doubt'")


def test_only_what_is_in_doubt_is_listed(book: Book) -> None:
    book.settle(book.package(messages(4)), [S, R, Q, D])
    book.package(batch(5, 1))
    book.enqueue(batch(6, 1))

    assert [one.client_id for one in found(book).messages] == ["client-4"]


def test_what_a_half_settled_package_has_in_doubt_is_listed_while_its_request_is_on_the_wire(
    book: Book,
) -> None:
    book.settle(book.package(messages(2)), [D])

    assert found(book).total == 1


def test_nothing_in_doubt_is_an_empty_list(book: Book) -> None:
    assert found(book) == DoubtList({}, {}, [])


def test_a_list_is_bounded_and_its_totals_are_not(book: Book) -> None:
    old = doubted(book, batch(1, 2, route="beta"))
    doubted(book, batch(3, 3))
    book.rows("UPDATE packages SET in_doubt_since = now() - interval '1 day' WHERE id = :id", id=old.id)

    listed = found(book, limit=3)

    assert [one.client_id for one in listed.messages] == ["client-1", "client-2", "client-3"]
    assert (listed.by_route, listed.total) == ({"alpha": 3, "beta": 2}, 5)


def test_what_collided_is_told_apart_until_its_doubt_is_another(book: Book) -> None:
    doubted(book, messages(2))
    collided(book, [message(3)])
    collided(book, [message(4, route="beta")])

    listed = found(book)

    assert {one.client_id for one in listed.messages if one.collided} == {"client-3", "client-4"}
    assert (listed.by_route, listed.collided) == ({"alpha": 3, "beta": 1}, {"alpha": 1, "beta": 1})

    for chunk in meant(book, collided=True, route=ROUTE):
        said(book, chunk, Resolution.REQUEUE)
    again = book.claim().package
    assert again is not None
    book.settle(again, [D])
    assert found(book).collided == {"beta": 1}


def test_the_last_doubt_is_the_one_that_is_told(book: Book) -> None:
    first = doubted(book, messages(1), reason="the first")
    book.settle(first, Q)
    second = book.claim().package
    assert second is not None
    book.do(settle, [Transition(second.items[0].id, second.id, D)], {second.id: LOOK}, reason="the second")

    [one] = found(book).messages

    assert (one.reason, one.package_id) == ("the second", second.id)


def aged(book: Book, client_id: str) -> None:
    """As if this message had been in doubt for three hours, and its package for a day."""
    book.rows("UPDATE packages SET in_doubt_since = now() - interval '1 day'")
    book.rows(ONE_BY_ONE)
    book.rows(
        """
        UPDATE journal e SET at = now() - interval '3 hours' FROM messages m
        WHERE m.id = ANY(e.message_ids) AND m.client_id = :id AND e.to_status = 'in_doubt'
        """,
        id=client_id,
    )


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, {1, 2, 3, 4, 5, 6}),
        ({"route": "beta"}, {4, 6}),
        ({"route": "gamma"}, set()),
        ({"campaign": "spring"}, {2, 3}),
        ({"campaign": "spring", "route": "beta"}, set()),
        ({"older_than": timedelta(hours=2)}, {3}),
        ({"older_than": timedelta(hours=4)}, set()),
        ({"older_than": timedelta(hours=2), "campaign": "spring"}, {3}),
        ({"client_ids": ("client-1", "client-4", "client-9", "nobody")}, {1, 4}),
        ({"collided": True}, {5, 6}),
        ({"collided": True, "route": "beta"}, {6}),
        ({"collided": True, "older_than": timedelta(hours=2)}, set()),
    ],
    ids=str,
)
def test_a_selection_is_what_fits_all_its_parts(
    book: Book, parts: dict[str, Any], expected: set[int]
) -> None:
    doubted(book, [message(1), message(2, campaign="spring"), message(3, campaign="spring")])
    doubted(book, [message(4, route="beta")])
    collided(book, [message(5)])
    collided(book, [message(6, route="beta")])
    book.settle(book.package([message(9, campaign="spring")]), S)
    aged(book, "client-3")

    assert {one.client_id for one in found(book, **parts).messages} == {f"client-{n}" for n in expected}
    ids = [number for chunk in meant(book, **parts) for number in chunk.message_ids]
    assert {book.messages()[number].client_id for number in ids} == {f"client-{n}" for n in expected}


def test_statuses_are_told_of_those_there_are(book: Book) -> None:
    book.settle(book.package(messages(2)), [S, D])

    assert book.do(statuses, ["client-1", "client-2", "nobody"]) == {"client-1": S, "client-2": D}


# -- a person's word -------------------------------------------------------------------------------------

ENDS = [
    # the word, the status, and of the package: its state, whether it is polled, whether it is rescued
    (Resolution.SENT, S, "settled", True),
    (Resolution.REJECTED, R, "closed", False),
    (Resolution.REQUEUE, Q, "closed", False),
]


@pytest.mark.parametrize(("word", "status", "state", "polled"), ENDS)
def test_a_word_settles_and_its_package_is_what_its_messages_make_it(
    book: Book, word: Resolution, status: Status, state: str, polled: bool
) -> None:
    package = doubted(book, messages(3))
    [chunk] = meant(book)

    settled = said(book, chunk, word)

    assert settled == [Resolved(f"client-{n}", ROUTE) for n in (1, 2, 3)]
    assert set(book.statuses().values()) == {status}
    row = book.package_row(package.id)
    assert (row.state, row.poll_at is not None) == (state, polled)
    assert (row.rescue_at, row.in_doubt_since, row.reason) == (None, None, "lost")
    assert book.books().balanced


@pytest.mark.parametrize("word", Resolution)
def test_the_event_says_who_and_why(book: Book, word: Resolution) -> None:
    doubted(book, messages(1))
    said(book, meant(book)[0], word)

    found = book.do(history, "client-1")

    assert found is not None
    assert (found.events[-1].type, found.events[-1].from_status, found.events[-1].note) == (
        "settle",
        "in_doubt",
        NOTE,
    )


def test_what_is_queued_again_is_due_at_once_and_uses_up_no_attempt_though_none_is_left(book: Book) -> None:
    doubted(book, messages(1))
    book.rows("UPDATE messages SET attempts = 5")
    said(book, meant(book)[0], Resolution.REQUEUE)

    [row] = book.messages().values()

    assert (row.status, row.attempts, row.package_id) == ("queued", 5, None)
    assert book.one("SELECT due_at <= now() FROM messages")
    assert book.claim().package is not None


def test_the_rest_of_a_package_stays_in_doubt_with_its_clocks(book: Book) -> None:
    package = doubted(book, messages(3))
    before = book.package_row(package.id)

    said(book, meant(book, client_ids=("client-2",))[0], Resolution.SENT)

    row = book.package_row(package.id)
    assert list(book.statuses().values()) == ["in_doubt", "sent", "in_doubt"]
    assert (row.state, row.rescue_at, row.in_doubt_since) == (
        "in_doubt",
        before.rescue_at,
        before.in_doubt_since,
    )
    assert row.poll_at is not None


def test_many_are_settled_in_chunks_package_by_package(book: Book) -> None:
    packages = [doubted(book, batch(1 + 700 * n, 700)) for n in range(4)]

    parts = meant(book)

    assert [len(chunk.message_ids) for chunk in parts] == [1000, 1000, 800]
    assert [set(chunk.package_ids) for chunk in parts] == [
        {packages[0].id, packages[1].id},
        {packages[1].id, packages[2].id},
        {packages[2].id, packages[3].id},
    ]
    assert [len(said(book, chunk, Resolution.REJECTED)) for chunk in parts] == [1000, 1000, 800]
    assert set(book.statuses().values()) == {"rejected"}
    assert {book.package_row(package.id).state for package in packages} == {"closed"}
    assert book.one("SELECT count(*) FROM events WHERE note = :note", note=NOTE) == 2800
    assert book.books().balanced


def test_a_word_said_twice_settles_once(book: Book) -> None:
    doubted(book, messages(2))
    [chunk] = meant(book)

    assert [len(said(book, chunk)), len(said(book, chunk, Resolution.REQUEUE))] == [2, 0]

    assert set(book.statuses().values()) == {"sent"}


# -- who writes meanwhile --------------------------------------------------------------------------------


@pytest.mark.parametrize("report", [S, R, Q, F])
@pytest.mark.parametrize("word", Resolution)
def test_what_was_settled_meanwhile_stays_as_it_is(book: Book, word: Resolution, report: Status) -> None:
    """A rescuer, or a dispatcher that was thought dead, comes between the choice and the word."""
    package = doubted(book, messages(3))
    [chunk] = meant(book)
    book.settle(package, [report])

    assert [one.client_id for one in said(book, chunk, word)] == ["client-2", "client-3"]

    assert book.statuses()["client-1"] == report
    assert book.books().balanced


def test_what_fell_in_doubt_again_elsewhere_is_another_doubt(book: Book) -> None:
    first = doubted(book, messages(1))
    [chunk] = meant(book)
    book.settle(first, Q)
    second = book.claim().package
    assert second is not None
    book.settle(second, D)

    assert said(book, chunk, Resolution.REJECTED) == []

    assert book.statuses() == {"client-1": "in_doubt"}


def test_what_falls_in_doubt_later_is_not_meant(book: Book) -> None:
    doubted(book, batch(1, 1))
    parts = meant(book)
    doubted(book, batch(2, 1))

    for chunk in parts:
        said(book, chunk)

    assert book.statuses() == {"client-1": "sent", "client-2": "in_doubt"}


@pytest.mark.parametrize("late", [S, R, Q, F, D])
@pytest.mark.parametrize("word", Resolution)
def test_a_dispatcher_thought_dead_changes_nothing_of_what_a_person_settled(
    book: Book, word: Resolution, late: Status
) -> None:
    package = book.package(messages(2), lease=timedelta(0))
    assert book.do(doubt_lapsed, ROUTE, HOUR) == [package.id]
    said(book, meant(book)[0], word)
    before, row = book.statuses(), book.package_row(package.id)

    assert book.settle(package, late) == {}

    assert book.statuses() == before
    after = book.package_row(package.id)
    assert (after.state, after.rescue_at) == (row.state, row.rescue_at)
    assert (after.poll_at is None) == (row.poll_at is None)
    assert book.books().balanced


def test_a_word_waits_for_a_rescuer_that_is_writing_and_keeps_to_what_it_wrote(
    book: Book, other: Book
) -> None:
    package = doubted(book, messages(3))
    [chunk] = meant(book)
    with book.ledger.begin() as connection:
        settle(
            connection,
            [Transition(package.items[0].id, package.id, Q)],
            {package.id: LOOK},
            keeps=(Clock.POLL,),
        )
        waiting = blocked(
            other, lambda c: resolve(c, chunk, Resolution.SENT, looks=lambda _: LOOK, note=NOTE)
        )

    assert [one.client_id for one in waiting.result()] == ["client-2", "client-3"]
    assert list(book.statuses().values()) == ["queued", "sent", "sent"]


def test_a_rescuer_waits_for_a_word_that_is_being_written_and_changes_nothing_of_it(
    book: Book, other: Book
) -> None:
    package = doubted(book, messages(2))
    [chunk] = meant(book)
    moves = [Transition(item.id, package.id, Q) for item in package.items]
    with book.ledger.begin() as connection:
        resolve(connection, chunk, Resolution.REJECTED, looks=lambda _: LOOK, note=NOTE)
        waiting = blocked(other, lambda c: settle(c, moves, {package.id: LOOK}, keeps=(Clock.POLL,)))

    assert waiting.result() == {}
    assert set(book.statuses().values()) == {"rejected"}
    assert book.package_row(package.id).state == "closed"


def test_a_person_and_a_rescuer_at_once_settle_each_message_once(book: Book, other: Book) -> None:
    packages = [doubted(book, batch(1 + 10 * n, 10)) for n in range(30)]
    book.rows("UPDATE packages SET rescue_at = now() - interval '1 second'")
    parts = meant(book, size=37)

    def person() -> int:
        return sum(len(said(book, chunk, Resolution.SENT)) for chunk in reversed(parts))

    def rescuer() -> int:
        done = 0
        while leased := other.do(lease_doubts, ROUTE, messages=40, lease=HOUR):
            ids = [package.id for package in leased]
            moves = [
                Transition(one.id, one.package_id, F) for one in other.do(decidable, ids, DoubtPolicy.FAIL)
            ]
            moved = other.do(settle, moves, dict.fromkeys(ids, LOOK), keeps=(Clock.POLL,))
            done += sum(moved.values())
        return done

    by_hand, by_policy = at_once([person, rescuer])

    assert by_hand + by_policy == 300
    assert book.one("SELECT count(*) FROM events WHERE from_status = 'in_doubt'") == 300
    ended = {book.package_row(package.id).state for package in packages}
    assert ended <= {"settled", "closed"}
    assert book.books().balanced
