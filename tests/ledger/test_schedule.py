"""Schedule: who leaves when, which ends of validity are carried, who leaves together, and what was read."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from bulk_dispatch.domain.content import Kind, Viber, ViberSms
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits, OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.packages import doubtful_items
from bulk_dispatch.ledger.provider_account import TRUSTED, note_clock
from bulk_dispatch.ledger.transitions import Claim, ClaimRequest, Read, cancel, claim, read
from bulk_dispatch.timezones import Span
from tests.factories import message, messages
from tests.ledger.book import LEASE, LONG_AGO, ROUTE, Book, at_once

ANY = Limits(1000, 10**9)
NOT = timedelta(0)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT = Limits(1000, 10**9, shortest=timedelta(seconds=90), longest=5 * DAY)
AT = datetime(2026, 5, 1, 12, tzinfo=UTC)


def now(book: Book) -> datetime:
    found: datetime = book.one("SELECT now()")
    return found


def take(
    book: Book,
    ahead: timedelta = NOT,
    limits: Limits = ANY,
    apart: Callable[[Kind], str] = lambda _: "",
    lane: Lane = Lane.BULK,
    clocked: bool = False,
    untold: Span | None = None,
) -> Claim:
    """Claim on a route that sends `ahead`, on which nothing else is in the way."""
    with book.ledger.begin() as connection:
        return claim(
            connection,
            ClaimRequest(ROUTE, limits, parallel=100, lease=LEASE, ahead=ahead, clocked=clocked, apart=apart),
            lane,
            untold,
        )


def items(claimed: Claim) -> list[OutboundMessage]:
    return list(claimed.package.items) if claimed.package else []


def numbers(claimed: Claim) -> list[int]:
    """The numbers of the messages that were claimed, in their order."""
    return [int(item.recipient[-4:]) for item in items(claimed)]


# -- a time to leave at


def test_a_message_does_not_leave_before_its_time(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR), message(2)])

    assert numbers(take(book)) == [2]
    assert take(book).reason == "nothing is due"
    assert book.statuses() == {"client-1": "queued", "client-2": "sending"}


def test_a_time_that_has_passed_is_none(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) - HOUR, valid_until=now(book) + HOUR)])

    (item,) = items(take(book))

    assert item.send_at is None
    assert item.leaves_at is not None
    assert abs(item.leaves_at - now(book)) < timedelta(seconds=20)


def test_once_its_time_has_come_it_leaves(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])
    book.rows(
        "UPDATE messages SET send_at = send_at - interval '1 hour', due_at = due_at - interval '1 hour'"
    )

    (item,) = items(take(book))

    assert item.send_at is None


def test_who_waits_for_his_time_holds_nobody_up(book: Book) -> None:
    soon = now(book) + HOUR
    book.enqueue(messages(5, send_at=soon))
    book.enqueue([message(6)])

    assert numbers(take(book, limits=Limits(3, 10**9))) == [6]


def test_a_message_that_waits_for_its_time_can_be_withdrawn(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])

    assert book.do(cancel, ["client-1"]) == 1


# -- ahead of it, where they hold it until then


def test_it_leaves_ahead_of_its_time_and_carries_it(book: Book) -> None:
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at), message(2, send_at=at, valid_until=at + HOUR)])

    endless, bounded = items(take(book, ahead=DAY))

    assert (endless.send_at, endless.leaves_at) == (at, None)
    assert (bounded.send_at, bounded.leaves_at) == (at, at)


@pytest.mark.parametrize(("ahead", "leaves"), [(HOUR, True), (timedelta(minutes=58), False)])
def test_no_sooner_than_so_long_ahead(book: Book, ahead: timedelta, leaves: bool) -> None:
    book.enqueue([message(1, send_at=now(book) + timedelta(minutes=59))])

    assert numbers(take(book, ahead=ahead)) == ([1] if leaves else [])


def test_what_is_due_leaves_before_what_only_may(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])
    book.enqueue([message(2)])
    book.enqueue([message(3, send_at=now(book) + 2 * HOUR)])

    assert [numbers(take(book, ahead=DAY, limits=Limits(1, 10**9))) for _ in range(3)] == [[2], [1], [3]]


@pytest.mark.parametrize("with_time", [True, False])
def test_what_waits_for_another_try_does_not_leave_early(book: Book, with_time: bool) -> None:
    book.enqueue([message(1, send_at=now(book) + 2 * HOUR if with_time else None)])
    first = take(book, ahead=DAY).package
    assert first is not None
    book.settle(first, Status.QUEUED, emptied=PackageState.REFUSED, delay=HOUR, tried=True)

    assert items(take(book, ahead=DAY)) == []

    book.rows("UPDATE messages SET due_at = now()")
    (again,) = items(take(book, ahead=DAY))
    assert (again.send_at is not None) == with_time  # its own time it still carries


def test_what_was_put_back_leaves_again_with_its_time(book: Book) -> None:
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at)])
    first = take(book, ahead=DAY).package
    assert first is not None
    book.settle(first, Status.QUEUED, emptied=PackageState.UNSENT)

    (item,) = items(take(book, ahead=DAY))

    assert item.send_at == at


@pytest.mark.parametrize("because", ["their clock is off now", "nothing leaves ahead any more"])
def test_what_was_put_back_stays_until_its_time_where(book: Book, because: str) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])
    first = take(book, ahead=DAY).package
    assert first is not None
    book.settle(first, Status.QUEUED, emptied=PackageState.UNSENT)
    if because == "their clock is off now":
        book.do(note_clock, ROUTE, HOUR)

    off = because == "their clock is off now"
    assert items(take(book, ahead=DAY if off else NOT, clocked=off)) == []

    book.rows("UPDATE messages SET send_at = now()")
    assert numbers(take(book)) == [1]


@pytest.mark.parametrize(
    ("off", "trusted"),
    [
        (NOT, True),
        (TRUSTED, True),
        (-TRUSTED, True),
        (TRUSTED + timedelta(seconds=1), False),
        (-HOUR, False),
    ],
)
def test_nothing_leaves_ahead_while_their_clock_is_off(book: Book, off: timedelta, trusted: bool) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])
    book.do(note_clock, ROUTE, off)

    assert numbers(take(book, ahead=DAY, clocked=True)) == ([1] if trusted else [])


@pytest.mark.parametrize("lane", Lane)
def test_given_an_hour_that_cannot_be_told_then_what_is_to_leave_in_it_waits_here_until_its_time(
    book: Book, lane: Lane
) -> None:
    start = now(book) + HOUR
    untold = (start, start + 2 * HOUR)
    second = timedelta(seconds=1)
    times = (start - second, start, start + HOUR, start + 2 * HOUR - second, start + 2 * HOUR, None)
    book.enqueue([message(number, send_at=at, lane=lane) for number, at in enumerate(times, 1)])

    def claimed() -> list[int]:
        return sorted(numbers(take(book, ahead=DAY, lane=lane, untold=untold)))

    assert claimed() == [1, 5, 6]
    assert claimed() == []

    book.rows("UPDATE messages SET send_at = now(), due_at = now() WHERE status = 'queued'")
    untold = (start - 2 * HOUR, start + 2 * HOUR)  # it has begun
    (*left,) = items(take(book, ahead=DAY, lane=lane, untold=untold))
    assert len(left) == 3
    assert {item.send_at for item in left} == {None}  # nobody is told when: they leave


def test_given_many_that_cannot_be_told_then_they_are_not_in_the_way_of_others(book: Book) -> None:
    start = now(book) + HOUR
    book.enqueue(messages(30, send_at=start))
    book.enqueue([message(31, send_at=start + HOUR)])

    claimed = take(book, ahead=DAY, limits=Limits(10, 10**9), untold=(start, start + HOUR))

    assert numbers(claimed) == [31]


@pytest.mark.parametrize(("ahead_by", "told"), [(60, 60), (0, 0), (-60, 0)])
def test_given_their_clock_is_ahead_then_the_time_to_leave_is_told_by_it_and_never_early(
    book: Book, ahead_by: int, told: int
) -> None:
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at)])
    book.do(note_clock, ROUTE, timedelta(seconds=ahead_by))

    (item,) = items(take(book, ahead=DAY, clocked=True))

    assert item.send_at == at + timedelta(seconds=told)


def test_a_clock_that_nobody_has_read_is_not_trusted(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR)])

    assert numbers(take(book, ahead=DAY, clocked=True)) == []


def test_validity_is_told_by_their_clock(book: Book) -> None:
    book.enqueue([message(1, valid_until=now(book) + HOUR)])
    book.do(note_clock, ROUTE, 2 * HOUR)

    (item,) = items(take(book, clocked=True))

    [row] = book.messages().values()
    assert item.valid_until == row.valid_until + 2 * HOUR


def test_urgent_ones_too_leave_ahead_of_their_time(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR), message(2, send_at=now(book) + HOUR, lane="urgent")])

    assert numbers(take(book, ahead=DAY, lane=Lane.URGENT)) == [2]
    assert numbers(take(book, ahead=DAY)) == [1]


def test_two_who_claim_ahead_get_each_message_once(book: Book, other: Book) -> None:
    book.enqueue(messages(60, send_at=now(book) + HOUR))

    def all_of(mine: Book) -> list[int]:
        taken: list[int] = []
        while part := numbers(take(mine, ahead=DAY, limits=Limits(7, 10**9))):
            taken += part
        return taken

    taken = at_once([lambda: all_of(book), lambda: all_of(other)])

    assert sorted(taken[0] + taken[1]) == list(range(1, 61))


# -- validity


def test_validity_that_ends_before_its_time_has_passed_already(book: Book) -> None:
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at, valid_until=at + HOUR)])
    book.rows("UPDATE messages SET valid_until = send_at")

    claimed = take(book, ahead=DAY)

    assert (items(claimed), claimed.expired) == ([], 1)
    assert book.statuses() == {"client-1": "expired"}


def test_validity_is_not_looked_at_before_its_time(book: Book) -> None:
    book.enqueue([message(1, send_at=now(book) + HOUR, valid_until=now(book) + 2 * HOUR)])
    book.rows("UPDATE messages SET valid_until = now() - interval '1 hour'")

    assert take(book).expired == 0  # its turn has not come


@pytest.mark.parametrize(
    ("lasts", "carried"),
    [
        (timedelta(seconds=1), timedelta(seconds=90)),
        (timedelta(seconds=89), timedelta(seconds=90)),
        (timedelta(minutes=10), timedelta(minutes=10)),
        (5 * DAY, 5 * DAY),
        (6 * DAY, 5 * DAY),
        (365 * DAY, 5 * DAY),
    ],
)
def test_validity_is_as_short_or_as_long_as_they_take(
    book: Book, lasts: timedelta, carried: timedelta
) -> None:
    """Counted from when it leaves: with a time of its own that is exact here."""
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at, valid_until=at + lasts)])

    (item,) = items(take(book, ahead=DAY, limits=SHORT))

    assert item.valid_until == at + carried


def test_validity_of_what_leaves_now_is_counted_from_now(book: Book) -> None:
    book.enqueue([message(1, valid_until=now(book) + timedelta(seconds=30))])

    (item,) = items(take(book, limits=SHORT))

    assert item.leaves_at is not None
    assert item.valid_until == item.leaves_at + timedelta(seconds=90)


def test_vibers_own_validity_is_bounded_by_itself(book: Book) -> None:
    at = now(book) + HOUR
    cascade = ViberSms("Hello", sms_text="Hello by SMS")
    book.enqueue(
        [
            message(
                1,
                text="",
                content=cascade,
                send_at=at,
                valid_until=at + 30 * DAY,
                viber_valid_until=at + timedelta(seconds=20),
            )
        ]
    )

    (item,) = items(take(book, ahead=DAY, limits=SHORT))

    assert (item.valid_until, item.viber_valid_until) == (at + 5 * DAY, at + timedelta(seconds=90))


def test_vibers_validity_alone_is_counted_from_when_it_leaves(book: Book) -> None:
    at = now(book) + HOUR
    soon = at + timedelta(seconds=20)
    book.enqueue([message(1, text="", content=Viber("Hello"), send_at=at, viber_valid_until=soon)])

    (item,) = items(take(book, ahead=DAY, limits=SHORT))

    assert (item.leaves_at, item.viber_valid_until) == (at, at + timedelta(seconds=90))


def test_no_validity_stays_none(book: Book) -> None:
    book.enqueue(messages(1))

    (item,) = items(take(book, limits=SHORT))

    assert (item.valid_until, item.viber_valid_until) == (None, None)


# -- families


def by_family(kind: Kind) -> str:
    return "viber" if kind in (Kind.VIBER, Kind.VIBER_SMS) else "sms"


def test_only_one_family_leaves_together(book: Book) -> None:
    viber = Viber("Hello")
    for number in range(1, 7):
        one = {"text": "", "content": viber} if number % 2 else {}
        book.enqueue([message(number, **one)])

    first, second, third = (take(book, apart=by_family) for _ in range(3))

    assert (numbers(first), first.more) == ([1, 3, 5], True)
    assert (numbers(second), second.more) == ([2, 4, 6], False)
    assert items(third) == []


def test_the_family_is_that_of_the_first_who_may_leave(book: Book) -> None:
    book.enqueue([message(1, text="", content=Viber("Hello"), valid_until=LONG_AGO)])
    book.enqueue([message(2), message(3, kind="flash")])
    book.enqueue([message(4, text="", content=Viber("Hello"))])

    assert numbers(take(book, apart=by_family)) == [2, 3]
    assert numbers(take(book, apart=by_family)) == [4]


# -- sent again under the same id


def test_what_is_in_doubt_is_read_as_it_would_leave_again(book: Book) -> None:
    at = now(book) + HOUR
    book.enqueue([message(1, send_at=at, valid_until=at + 30 * DAY), message(2), message(3, campaign="May")])
    package = take(book, ahead=DAY).package
    assert package is not None
    kept = {item.id: item for item in package.items if item.recipient[-4:] != "0002"}
    results = [Status.IN_DOUBT if item.id in kept else Status.SENT for item in package.items]
    book.settle(package, results)

    found = book.do(doubtful_items, [package.id], SHORT)

    assert [package_id for package_id, _ in found] == [package.id] * 2
    for _, again in found:
        first = kept[again.id]
        assert (again.reference, again.recipient) == (first.reference, first.recipient)
        assert (again.content, again.send_at) == (first.content, first.send_at)
        assert again.campaign == first.campaign
    timed, plain = (item for _, item in found)
    assert (timed.send_at, timed.valid_until) == (at, at + 5 * DAY)
    assert (plain.send_at, plain.valid_until) == (None, None)


# -- read


def test_that_it_was_read_is_noted_once(book: Book) -> None:
    package = book.package(messages(1))
    (item,) = package.items
    book.settle(package, Status.SENT)
    book.report(package, Status.DELIVERED)

    noted = [
        book.do(read, [Read(item.id, "read", at), Read(item.id, "read", at)]) for at in (AT, AT + HOUR, None)
    ]

    assert noted == [1, 0, 0]
    assert book.one("SELECT read_at FROM messages") == AT
    *_, last = book.events()
    assert (last.type, last.from_status, last.to_status, last.code, last.happened_at) == (
        ("read", "delivered", "delivered", "read", AT)
    )
    assert [event.type for event in book.events()].count("read") == 1
    assert book.books().balanced


def test_where_they_name_no_instant_it_is_now(book: Book) -> None:
    book.bring(messages(1), Status.DELIVERED)

    assert book.do(read, [Read(book.one("SELECT id FROM messages"))]) == 1

    assert abs(book.one("SELECT now() - read_at FROM messages")) < timedelta(seconds=20)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.DELIVERED])
def test_what_did_not_arrive_was_not_read(book: Book, status: Status) -> None:
    late = LONG_AGO if status is Status.EXPIRED else None
    book.bring([message(1, valid_until=late)], status)

    assert book.do(read, [Read(book.one("SELECT id FROM messages"), happened_at=AT)]) == 0

    assert book.one("SELECT read_at FROM messages") is None


def test_two_who_heard_it_note_it_once(book: Book, other: Book) -> None:
    book.bring(messages(20), Status.DELIVERED)
    ids = [row.id for row in book.rows("SELECT id FROM messages ORDER BY id")]

    noted = at_once(
        [
            lambda: book.do(read, [Read(id_) for id_ in ids]),
            lambda: other.do(read, [Read(id_) for id_ in ids]),
        ]
    )

    assert sum(noted) == 20
    with book.ledger.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM events WHERE type = 'read'")).scalar_one() == 20


def test_nothing_read_is_nothing_to_do(book: Book) -> None:
    assert book.do(read, []) == 0
