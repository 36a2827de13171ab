"""Settle and report: what became of a package, written once, by whoever still has the right to."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.leases import Leased, answered, doubt_lapsed, lease_doubts, lease_polls, renew
from bulk_dispatch.ledger.packages import OpenMessage, open_messages
from bulk_dispatch.ledger.queries import history, route_rows
from bulk_dispatch.ledger.transitions import Clock, Looks, Package, Transition, settle, split, take_job
from tests.factories import message, messages
from tests.ledger.book import LEASE, LONG_AGO, LOOK, ROUTE, Book, at_once, blocked, eventually

SOON = timedelta(milliseconds=100)
HOUR = timedelta(hours=1)
NOTHING: dict[Status, int] = {}


def state(book: Book, package: Package) -> str:
    found: str = book.package_row(package.id).state
    return found


def lapse(book: Book, *packages: Package) -> None:
    """Let leases run out, as the passing of time would."""
    ids = [package.id for package in packages]
    book.rows(
        "UPDATE packages SET rescue_at = now() - interval '1 second' WHERE id = ANY(CAST(:ids AS bigint[]))",
        ids=ids,
    )


def batch(start: int, count: int, route: str = ROUTE) -> list[Message]:
    return [message(number, route=route) for number in range(start, start + count)]


# -- what becomes of the messages and of their package ---------------------------------------------------

S, R, Q, F, D = Status.SENT, Status.REJECTED, Status.QUEUED, Status.FAILED, Status.IN_DOUBT

OUTCOMES: list[tuple[Sequence[Status], PackageState, str, bool, bool]] = [
    # reports, what it is called if nothing is left to follow up, its state then, poll set, rescue set
    ((S, S, S), PackageState.CLOSED, "settled", True, False),
    ((S, R, S), PackageState.CLOSED, "settled", True, False),
    ((S, Q, Q), PackageState.UNSENT, "settled", True, False),
    ((S, F, R), PackageState.CLOSED, "settled", True, False),
    ((R, R, R), PackageState.CLOSED, "closed", False, False),
    ((F, F, F), PackageState.REFUSED, "refused", False, False),
    ((Q, Q, Q), PackageState.UNSENT, "unsent", False, False),
    ((Q, Q, Q), PackageState.REFUSED, "refused", False, False),
    ((Q, R, F), PackageState.CLOSED, "closed", False, False),
    ((D, D, D), PackageState.CLOSED, "in_doubt", False, True),
    ((D, R, Q), PackageState.UNSENT, "in_doubt", False, True),
    ((S, D, R), PackageState.CLOSED, "in_doubt", True, True),
    ((S, R), PackageState.CLOSED, "open", True, True),  # the third is still on the wire
    ((D,), PackageState.CLOSED, "open", False, True),
    ((R, R), PackageState.UNSENT, "open", False, True),
    ((), PackageState.UNSENT, "open", False, True),
]


@pytest.mark.parametrize(("reports", "emptied", "becomes", "polled", "rescued"), OUTCOMES)
def test_a_package_is_what_its_messages_make_it(
    book: Book,
    reports: Sequence[Status],
    emptied: PackageState,
    becomes: str,
    polled: bool,
    rescued: bool,
) -> None:
    package = book.package(messages(3))

    moved = book.settle(package, reports, emptied=emptied)

    assert moved == Counter(reports)
    expected = [*reports, *[Status.SENDING] * (3 - len(reports))]
    assert [row.status for row in book.messages().values()] == expected
    row = book.package_row(package.id)
    assert row.state == becomes
    assert (row.poll_at is not None, row.rescue_at is not None) == (polled, rescued)
    assert (row.in_doubt_since is not None) is (D in reports)
    assert book.books().balanced


def test_the_looks_are_as_far_off_as_they_were_given(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, [S, D], look=Looks(poll=HOUR, rescue=timedelta(minutes=7)))

    row, now = book.package_row(package.id), book.events()[-1].at
    assert (row.poll_at - now, row.rescue_at - now) == (HOUR, timedelta(minutes=7))
    assert row.in_doubt_since == now


def test_a_package_still_on_the_wire_keeps_its_lease(book: Book) -> None:
    package = book.package(messages(2))
    before = book.package_row(package.id).rescue_at

    book.settle(package, [S], look=Looks(poll=HOUR, rescue=HOUR))

    assert book.package_row(package.id).rescue_at == before


def test_reports_bring_what_the_provider_said(book: Book) -> None:
    package = book.package(messages(1))
    when = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)
    move = Transition(
        package.items[0].id,
        package.id,
        S,
        code="1",
        provider_message_id="their-7",
        segments_billed=3,
        happened_at=when,
    )

    book.do(settle, [move], {package.id: LOOK}, reason="as asked")

    [row] = book.messages().values()
    assert (row.provider_message_id, row.segments_billed) == ("their-7", 3)
    event = book.events()[-1]
    assert (event.code, event.note, event.happened_at, event.package_id) == (
        "1",
        "as asked",
        when,
        package.id,
    )
    assert book.package_row(package.id).reason == "as asked"


def test_what_the_provider_once_said_is_not_forgotten(book: Book) -> None:
    package = book.package(messages(1))
    number = package.items[0].id
    book.do(
        settle,
        [Transition(number, package.id, S, provider_message_id="their-7", segments_billed=3)],
        {package.id: LOOK},
    )

    book.do(settle, [], {package.id: LOOK}, news=[Transition(number, package.id, Status.DELIVERED)])

    [row] = book.messages().values()
    assert (row.status, row.provider_message_id, row.segments_billed) == ("delivered", "their-7", 3)


def test_a_message_found_delivered_is_sent_first(book: Book) -> None:
    package = book.package(messages(2))
    one, two = package.items
    moves = [Transition(one.id, package.id, S), Transition(two.id, package.id, S)]
    news = [Transition(one.id, package.id, Status.DELIVERED)]

    moved = book.do(settle, moves, {package.id: LOOK}, news=news)

    assert moved == {S: 2, Status.DELIVERED: 1}
    found = book.do(history, "client-1")
    assert found is not None
    assert [(e.type, e.to_status) for e in found.events] == [
        ("enqueue", "queued"),
        ("claim", "sending"),
        ("settle", "sent"),
        ("report", "delivered"),
    ]
    assert state(book, package) == "settled"


def test_several_packages_are_settled_in_one_go(book: Book) -> None:
    packages = [book.package(batch(start, 2)) for start in (1, 3, 5)]
    reports = [S, R, D]
    moves = [
        Transition(item.id, package.id, report)
        for package, report in zip(packages, reports, strict=True)
        for item in package.items
    ]

    moved = book.do(settle, moves, {package.id: LOOK for package in packages})

    assert moved == {S: 2, R: 2, D: 2}
    assert [state(book, package) for package in packages] == ["settled", "closed", "in_doubt"]


def test_each_package_has_its_own_next_look(book: Book) -> None:
    one, two = book.package(batch(1, 1)), book.package(batch(2, 1))
    moves = [Transition(package.items[0].id, package.id, S) for package in (one, two)]
    looks = {one.id: Looks(poll=HOUR, rescue=HOUR), two.id: Looks(poll=2 * HOUR, rescue=HOUR)}

    book.do(settle, moves, looks)

    waits = book.rows("SELECT poll_at - now() < interval '61 min' FROM packages ORDER BY id")
    assert waits == [(True,), (False,)]


def test_two_reports_for_one_message_at_once_change_it_once(book: Book) -> None:
    package = book.package(messages(1))
    number = package.items[0].id

    moved = book.do(
        settle, [Transition(number, package.id, S), Transition(number, package.id, R)], {package.id: LOOK}
    )

    assert sum(moved.values()) == 1
    assert len(book.events()) == 3
    assert book.books().balanced


def test_a_large_package_is_settled_in_one_go(book: Book) -> None:
    package = book.package(messages(1000))

    assert book.settle(package, [S, R] * 500) == {S: 500, R: 500}
    assert book.books().balanced


CLOCKS = pytest.mark.parametrize(
    ("keeps", "poll_moved", "rescue_moved"),
    [
        ((), True, True),
        ((Clock.POLL,), False, True),
        ((Clock.RESCUE,), True, False),
        (tuple(Clock), False, False),
    ],
    ids=["both", "rescue's only", "poll's only", "neither"],
)


@CLOCKS
def test_a_stage_moves_its_own_clock_only(
    book: Book,
    keeps: tuple[Clock, ...],
    poll_moved: bool,
    rescue_moved: bool,
) -> None:
    package = book.package(messages(2))
    book.settle(package, [S, D])
    before = book.package_row(package.id)

    book.do(settle, [], {package.id: Looks(poll=HOUR, rescue=HOUR)}, keeps=keeps)

    row = book.package_row(package.id)
    assert (row.poll_at != before.poll_at, row.rescue_at != before.rescue_at) == (poll_moved, rescue_moved)
    assert row.in_doubt_since == before.in_doubt_since


@pytest.mark.parametrize("keeps", [(Clock.POLL,), (Clock.RESCUE,), tuple(Clock)])
def test_a_clock_that_stands_still_is_set_by_whoever_needs_it(book: Book, keeps: tuple[Clock, ...]) -> None:
    """Poll finds doubt after a job has ended; rescue finds out that they have a message."""
    package = book.package(messages(2))
    book.do(take_job, package.id, "job-7", HOUR)
    book.rows("UPDATE packages SET poll_at = NULL")
    moves = [
        Transition(item.id, package.id, status) for item, status in zip(package.items, (S, D), strict=True)
    ]

    book.do(settle, moves, {package.id: LOOK}, keeps=keeps)

    row = book.package_row(package.id)
    assert row.poll_at is not None
    assert row.rescue_at is not None


@pytest.mark.parametrize("keeps", [(Clock.POLL,), (Clock.RESCUE,), tuple(Clock)])
def test_a_clock_that_nothing_needs_any_more_stands_still(book: Book, keeps: tuple[Clock, ...]) -> None:
    package = book.package(messages(2))
    book.settle(package, [S, D])
    moves = [Transition(package.items[1].id, package.id, R)]
    news = [Transition(package.items[0].id, package.id, Status.DELIVERED)]

    book.do(settle, moves, {package.id: LOOK}, news=news, keeps=keeps)

    row = book.package_row(package.id)
    assert (row.state, row.poll_at, row.rescue_at, row.in_doubt_since) == ("closed", None, None, None)


# -- queued again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tried", "attempts"), [(True, 1), (False, 0)])
def test_a_message_queued_again_has_left_its_package_and_waits(
    book: Book, tried: bool, attempts: int
) -> None:
    package = book.package(messages(1))

    book.settle(package, Q, emptied=PackageState.UNSENT, delay=HOUR, tried=tried)

    [row] = book.messages().values()
    assert (row.status, row.package_id, row.attempts) == ("queued", None, attempts)
    assert row.due_at - book.events()[-1].at == HOUR


def test_every_try_is_counted_and_told_to_the_next_dispatcher(book: Book) -> None:
    book.enqueue(messages(1))
    for expected in range(4):
        package = book.claim().package
        assert package is not None
        assert package.items[0].attempts == expected
        book.settle(package, Q, tried=True)


def test_a_message_sent_again_keeps_its_id_at_the_provider(book: Book) -> None:
    first = book.package(messages(1))
    book.settle(first, Q)

    second = book.claim().package

    assert second is not None
    assert second.id != first.id
    assert second.items[0].reference == first.items[0].reference


def test_a_failed_last_try_is_counted_too(book: Book) -> None:
    book.settle(book.package(messages(1)), F, tried=True)

    [row] = book.messages().values()
    assert (row.status, row.attempts, row.finalized_at is not None) == ("failed", 1, True)


# -- the fence -------------------------------------------------------------------------------------------


def moved_on(book: Book) -> tuple[Package, Package]:
    """A package whose messages were given up for unsent, and the one they are in now."""
    lost = book.package(messages(2))
    book.settle(lost, Q, emptied=PackageState.UNSENT)
    present = book.claim().package
    assert present is not None
    return lost, present


@pytest.mark.parametrize("report", [S, R, Q, F, D])
def test_a_late_writer_whose_package_lost_the_messages_changes_nothing(book: Book, report: Status) -> None:
    lost, _ = moved_on(book)
    rows, events, package = book.messages(), book.events(), book.package_row(lost.id)

    assert book.settle(lost, report, emptied=PackageState.REFUSED) == NOTHING

    assert book.messages() == rows
    assert book.events() == events
    assert book.package_row(lost.id) == package


@pytest.mark.parametrize("report", [Status.DELIVERED, Status.REJECTED, Status.UNCONFIRMED])
def test_a_late_report_about_a_package_that_lost_the_messages_changes_nothing(
    book: Book, report: Status
) -> None:
    lost, present = moved_on(book)
    book.settle(present, S)
    rows, events = book.messages(), book.events()

    assert book.report(lost, report) == NOTHING

    assert book.messages() == rows
    assert book.events() == events


def test_a_late_writer_does_not_touch_messages_queued_again(book: Book) -> None:
    lost = book.package(messages(2))
    book.settle(lost, Q)

    assert book.settle(lost, S) == NOTHING
    assert set(book.statuses().values()) == {"queued"}


def test_a_late_writer_settles_what_is_still_in_its_package(book: Book) -> None:
    package = book.package(messages(3))
    book.settle(package, [Q])  # one of the three was given up

    assert book.settle(package, S) == {S: 2}
    assert sorted(book.statuses().values()) == ["queued", "sent", "sent"]


@pytest.mark.parametrize("noticed", [False, True], ids=["unnoticed", "already in doubt"])
@pytest.mark.parametrize("report", [S, R, Q, F])
def test_a_late_writer_whose_lease_ran_out_may_settle_what_is_still_in_its_package(
    book: Book, report: Status, noticed: bool
) -> None:
    package = book.package(messages(2))
    lapse(book, package)
    if noticed:
        assert book.do(doubt_lapsed, ROUTE, HOUR) == [package.id]

    assert book.settle(package, report) == {report: 2}

    row = book.package_row(package.id)
    assert row.state == ("settled" if report is S else "closed")
    assert (row.rescue_at, row.in_doubt_since) == (None, None)
    assert book.books().balanced


def test_a_second_doubt_about_the_same_messages_is_no_news(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, D)
    doubted = book.package_row(package.id).in_doubt_since
    events = book.events()

    assert book.settle(package, D) == NOTHING

    assert book.events() == events
    assert book.package_row(package.id).in_doubt_since == doubted


def test_rescue_and_a_late_dispatcher_settle_each_message_once(book: Book, other: Book) -> None:
    for start in range(1, 1001, 200):
        package = book.package(batch(start, 200))
        book.settle(package, D)

        def settles(mine: Book, report: Status) -> int:
            backwards = replace(package, items=package.items[::-1])  # noqa: B023
            return sum(mine.settle(backwards if mine is other else package, report).values())  # noqa: B023

        counts = at_once([lambda: settles(book, Q), lambda: settles(other, S)])

        assert sorted(counts) == [0, 200]
        book.claim()
    assert book.books().balanced


def test_a_writer_waits_for_another_of_the_same_package_and_then_finds_nothing_to_do(
    book: Book, other: Book
) -> None:
    package = book.package(messages(2))
    moves = [Transition(item.id, package.id, Q) for item in package.items]
    with book.ledger.begin() as connection:
        settle(connection, moves, {package.id: LOOK})
        late = blocked(
            other,
            lambda theirs: settle(theirs, [m._replace(to_status=S) for m in moves], {package.id: LOOK}),
        )

    assert late.result() == NOTHING
    assert set(book.statuses().values()) == {"queued"}


def test_a_settle_that_was_not_committed_changed_nothing(book: Book) -> None:
    package = book.package(messages(2))
    with book.ledger.engine.connect() as connection:
        settle(connection, [Transition(item.id, package.id, S) for item in package.items], {package.id: LOOK})
        connection.rollback()

    assert set(book.statuses().values()) == {"sending"}
    assert state(book, package) == "open"
    assert book.books().balanced


# -- reports ---------------------------------------------------------------------------------------------

ENDS = (
    Status.DELIVERED,
    Status.UNDELIVERABLE,
    Status.EXPIRED,
    Status.REJECTED,
    Status.CANCELLED,
)


@pytest.mark.parametrize("end", ENDS)
def test_the_last_report_closes_a_package(book: Book, end: Status) -> None:
    package = book.package(messages(2))
    book.settle(package, S)

    assert book.report(package, [end]) == {end: 1}
    row = book.package_row(package.id)
    assert (row.state, row.poll_at is not None) == ("settled", True)

    assert book.report(package, end) == {end: 1}
    row = book.package_row(package.id)
    assert (row.state, row.poll_at, row.rescue_at) == ("closed", None, None)
    assert all(row.finalized_at for row in book.messages().values())


def test_a_look_without_news_sets_the_next_one(book: Book) -> None:
    package = book.package(messages(1))
    book.settle(package, S)

    assert book.do(settle, [], {package.id: Looks(poll=HOUR, rescue=HOUR)}) == NOTHING

    assert book.one("SELECT poll_at - now() > interval '59 min' FROM packages")
    assert state(book, package) == "settled"


def test_a_report_before_the_message_was_settled_waits_for_the_next_look(book: Book) -> None:
    package = book.package(messages(1))

    assert book.report(package, Status.DELIVERED) == NOTHING
    assert book.package_row(package.id).state == "open"

    book.settle(package, S)
    assert book.report(package, Status.DELIVERED) == {Status.DELIVERED: 1}


@pytest.mark.parametrize("second", [*ENDS, Status.UNCONFIRMED])
@pytest.mark.parametrize("first", ENDS)
def test_a_report_after_the_end_is_harmless(book: Book, first: Status, second: Status) -> None:
    package = book.package(messages(1))
    book.settle(package, S)
    book.report(package, first)
    rows, events, row = book.messages(), book.events(), book.package_row(package.id)

    assert book.report(package, second) == NOTHING

    assert book.messages() == rows
    assert book.events() == events
    assert book.package_row(package.id) == row


def test_settling_after_the_end_is_harmless(book: Book) -> None:
    package = book.package(messages(1))
    book.settle(package, S)
    book.report(package, Status.DELIVERED)

    for report in (S, R, Q, F, D):
        assert book.settle(package, report) == NOTHING
    assert book.statuses() == {"client-1": "delivered"}
    assert state(book, package) == "closed"


def test_two_reports_at_once_count_once(book: Book, other: Book) -> None:
    package = book.package(messages(300))
    book.settle(package, S)
    backwards = replace(package, items=package.items[::-1])

    one, two = at_once(
        [
            lambda: book.report(package, Status.DELIVERED),
            lambda: other.report(backwards, Status.UNDELIVERABLE),
        ]
    )

    assert sum([*one.values(), *two.values()]) == 300
    assert book.one("SELECT count(*) FROM events WHERE type = 'report'") == 300
    assert book.books().balanced


@pytest.mark.parametrize("receipt", [Status.DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, Status.REJECTED])
def test_a_late_receipt_ends_an_unconfirmed_message(book: Book, receipt: Status) -> None:
    package = book.package(messages(2))
    book.settle(package, S)

    assert book.report(package, Status.UNCONFIRMED) == {Status.UNCONFIRMED: 2}
    row = book.package_row(package.id)
    assert (row.state, row.poll_at) == ("closed", None)
    assert [row.finalized_at for row in book.messages().values()] == [None, None]

    assert book.report(package, [receipt]) == {receipt: 1}

    assert sorted(book.statuses().values()) == sorted([receipt, "unconfirmed"])
    assert state(book, package) == "closed"
    assert book.books().balanced


def test_unconfirmed_twice_is_no_news(book: Book) -> None:
    package = book.package(messages(1))
    book.settle(package, S)
    book.report(package, Status.UNCONFIRMED)

    assert book.report(package, Status.UNCONFIRMED) == NOTHING
    assert len(book.events()) == 4


# -- split -----------------------------------------------------------------------------------------------


def halves(book: Book, package: Package, *, lease: timedelta = LEASE) -> list[Package]:
    return book.do(split, package, lease, "they cannot read it")


@pytest.mark.parametrize(("count", "sizes"), [(2, [1, 1]), (5, [2, 3]), (10, [5, 5])])
def test_a_split_package_is_refused_and_its_halves_are_open(book: Book, count: int, sizes: list[int]) -> None:
    package = book.package([message(n, lane=Lane.URGENT) for n in range(count)])

    parts = halves(book, package, lease=timedelta(seconds=42))

    assert [len(part.items) for part in parts] == sizes
    assert [item for part in parts for item in part.items] == list(package.items)
    row = book.package_row(package.id)
    assert (row.state, row.rescue_at, row.poll_at, row.reason) == (
        "refused",
        None,
        None,
        "they cannot read it",
    )
    for part in parts:
        row = book.package_row(part.id)
        assert (row.state, row.message_count, row.lane) == ("open", len(part.items), "urgent")
        assert row.rescue_at - row.opened_at == timedelta(seconds=42)
        assert part.lane is Lane.URGENT
    carried = {item.id: part.id for part in parts for item in part.items}
    assert carried == {row.id: row.package_id for row in book.messages().values()}
    assert set(book.statuses().values()) == {"sending"}
    assert book.books().balanced


def test_halves_are_settled_each_for_itself(book: Book) -> None:
    package = book.package(messages(4))
    left, right = halves(book, package)

    assert book.settle(left, S) == {S: 2}
    assert book.settle(right, R) == {R: 2}

    assert (state(book, left), state(book, right)) == ("settled", "closed")


def test_a_half_can_be_split_again(book: Book) -> None:
    package = book.package(messages(4))
    left, _ = halves(book, package)

    parts = halves(book, left)

    assert [len(part.items) for part in parts] == [1, 1]
    assert state(book, left) == "refused"


def test_a_late_writer_of_a_split_package_changes_nothing(book: Book) -> None:
    package = book.package(messages(4))
    halves(book, package)
    rows, row = book.messages(), book.package_row(package.id)

    assert book.settle(package, S) == NOTHING

    assert book.messages() == rows
    assert book.package_row(package.id) == row


@pytest.mark.parametrize("report", [S, R, Q, D])
def test_a_package_that_somebody_has_settled_is_not_split(book: Book, report: Status) -> None:
    package = book.package(messages(4))
    book.settle(package, report)
    rows, row = book.messages(), book.package_row(package.id)

    assert halves(book, package) == []

    assert book.messages() == rows
    assert book.package_row(package.id) == row
    assert book.one("SELECT count(*) FROM packages") == 1


@pytest.mark.parametrize("report", [S, R, Q, D])
def test_a_package_of_which_a_part_is_settled_is_not_split(book: Book, report: Status) -> None:
    """A half would carry a message that is no longer ours to send."""
    package = book.package(messages(4))
    book.settle(package, [report])
    rows, row = book.messages(), book.package_row(package.id)

    assert halves(book, package) == []

    assert book.messages() == rows
    assert book.package_row(package.id) == row


def test_a_package_is_split_once(book: Book, other: Book) -> None:
    package = book.package(messages(10))

    found = at_once([lambda: halves(book, package), lambda: halves(other, package)])

    assert sorted(len(parts) for parts in found) == [0, 2]
    assert book.one("SELECT count(*) FROM packages") == 3


# -- jobs ------------------------------------------------------------------------------------------------


def test_a_package_taken_as_a_job_is_looked_at_as_one(book: Book) -> None:
    package = book.package(messages(2))

    assert book.do(take_job, package.id, "job-7", HOUR)

    row = book.package_row(package.id)
    assert (row.state, row.job, row.rescue_at) == ("job", "job-7", None)
    assert book.one("SELECT poll_at - now() BETWEEN '59 min' AND '60 min' FROM packages")
    assert set(book.statuses().values()) == {"sending"}
    assert book.do(lease_doubts, ROUTE, messages=10, lease=LEASE) == []


def test_a_job_makes_room_on_the_wire(book: Book) -> None:
    package = book.package(messages(1))
    book.do(take_job, package.id, "job-7", HOUR)
    book.enqueue([message(2)])

    assert book.claim(parallel=1).package is not None


def test_a_job_told_after_the_lease_ran_out_comes_too_late(book: Book) -> None:
    package = book.package(messages(2))
    lapse(book, package)
    book.do(doubt_lapsed, ROUTE, HOUR)
    row = book.package_row(package.id)

    assert not book.do(take_job, package.id, "job-7", HOUR)

    assert book.package_row(package.id) == row
    assert set(book.statuses().values()) == {"in_doubt"}


def test_a_job_told_late_but_before_anybody_noticed_is_taken(book: Book) -> None:
    package = book.package(messages(2))
    lapse(book, package)

    assert book.do(take_job, package.id, "job-7", HOUR)
    assert book.do(doubt_lapsed, ROUTE, HOUR) == []


def test_a_package_of_which_a_part_is_in_doubt_is_no_job(book: Book) -> None:
    """Nobody would ask about that part before the job has ended: so the lease runs out, and all is asked."""
    package = book.package(messages(2))
    book.settle(package, [D])

    assert not book.do(take_job, package.id, "job-7", HOUR)

    assert state(book, package) == "open"


def test_a_job_is_told_once(book: Book) -> None:
    package = book.package(messages(1))
    book.do(take_job, package.id, "job-7", HOUR)

    assert not book.do(take_job, package.id, "job-8", HOUR)
    assert book.package_row(package.id).job == "job-7"


def test_a_job_still_running_is_looked_at_again(book: Book) -> None:
    package = book.package(messages(2))
    book.do(take_job, package.id, "job-7", timedelta(0))

    book.do(settle, [], {package.id: Looks(poll=HOUR, rescue=HOUR)})

    row = book.package_row(package.id)
    assert (row.state, row.rescue_at) == ("job", None)
    assert book.one("SELECT poll_at - now() > interval '59 min' FROM packages")


JOB_ENDS = [
    ((S, S), "settled", True, False),
    ((S, D), "in_doubt", True, True),
    ((R, F), "closed", False, False),
    ((S,), "job", True, False),
    ((D,), "in_doubt", True, True),
]


@pytest.mark.parametrize(("reports", "becomes", "polled", "rescued"), JOB_ENDS)
def test_an_ended_job_is_settled_like_any_package(
    book: Book,
    reports: Sequence[Status],
    becomes: str,
    polled: bool,
    rescued: bool,
) -> None:
    package = book.package(messages(2))
    book.do(take_job, package.id, "job-7", HOUR)

    book.settle(package, reports)

    row = book.package_row(package.id)
    assert (row.state, row.poll_at is not None, row.rescue_at is not None) == (becomes, polled, rescued)
    assert row.job == "job-7"


def test_what_a_broken_off_question_left_on_the_wire_is_asked_about_again(book: Book) -> None:
    """The job has ended; of its two messages they deny one, and of the other nothing was heard."""
    package = book.package(messages(2))
    book.do(take_job, package.id, "job-7", HOUR)
    book.settle(package, [D])

    for _ in range(2):  # rescue asks about the one in doubt, and learns nothing
        book.do(settle, [], {package.id: LOOK})
        assert book.package_row(package.id).poll_at is not None
    book.settle(package, [Q])

    row = book.package_row(package.id)
    assert sorted(book.statuses().values()) == ["queued", "sending"]
    assert row.poll_at is not None
    assert row.rescue_at is None


def test_what_a_half_settled_package_left_on_the_wire_falls_in_doubt_with_its_lease(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, [D])
    lapse(book, package)

    assert book.do(doubt_lapsed, ROUTE, HOUR) == [package.id]

    assert set(book.statuses().values()) == {"in_doubt"}
    assert state(book, package) == "in_doubt"


def test_looks_at_a_job_are_no_looks_at_its_messages(book: Book) -> None:
    package = book.package(messages(2))
    book.do(take_job, package.id, "job-7", timedelta(0))
    for expected in (1, 2):
        [leased] = book.do(lease_polls, ROUTE, messages=10, lease=timedelta(0))
        assert leased.tries == expected

    book.settle(package, S, look=Looks(poll=timedelta(0), rescue=HOUR))

    [leased] = book.do(lease_polls, ROUTE, messages=10, lease=HOUR)
    assert leased.tries == 1


# -- leases that ran out ---------------------------------------------------------------------------------


def test_an_open_package_whose_lease_ran_out_is_in_doubt_with_its_messages(book: Book) -> None:
    gone, busy = book.package(batch(1, 2)), book.package(batch(3, 2))
    lapse(book, gone)

    assert book.do(doubt_lapsed, ROUTE, HOUR) == [gone.id]

    row = book.package_row(gone.id)
    assert (row.state, row.reason, row.poll_at) == ("in_doubt", "its dispatcher went away", None)
    assert row.in_doubt_since is not None
    assert row.rescue_at - row.in_doubt_since == HOUR
    assert state(book, busy) == "open"
    assert list(book.statuses().values()) == ["in_doubt", "in_doubt", "sending", "sending"]
    assert {e.note for e in book.events() if e.to_status == "in_doubt"} == {"its dispatcher went away"}
    assert book.books().balanced


def test_a_lease_runs_out_by_the_database_clock(book: Book) -> None:
    package = book.package(messages(1), lease=SOON)

    eventually(lambda: book.do(doubt_lapsed, ROUTE, HOUR) == [package.id])

    assert book.one("SELECT in_doubt_since - opened_at FROM packages") >= SOON


def test_only_messages_still_on_the_wire_fall_in_doubt(book: Book) -> None:
    package = book.package(messages(3))
    book.settle(package, [S, R])
    lapse(book, package)

    book.do(doubt_lapsed, ROUTE, HOUR)

    assert list(book.statuses().values()) == ["sent", "rejected", "in_doubt"]
    assert state(book, package) == "in_doubt"


def test_a_lease_renewed_in_time_begins_anew(book: Book) -> None:
    package = book.package(messages(1))
    lapse(book, package)

    assert book.do(renew, package.id, HOUR)

    assert book.do(doubt_lapsed, ROUTE, HOUR) == []
    assert book.one("SELECT rescue_at - now() BETWEEN '59 min' AND '60 min' FROM packages")


@pytest.mark.parametrize("report", [S, R, Q, D, None])
def test_a_lease_is_not_renewed_for_a_package_somebody_has_taken_up(
    book: Book, report: Status | None
) -> None:
    package = book.package(messages(1))
    if report:
        book.settle(package, report)
    else:
        lapse(book, package)
        book.do(doubt_lapsed, ROUTE, HOUR)
    row = book.package_row(package.id)

    assert not book.do(renew, package.id, HOUR)

    assert book.package_row(package.id) == row


def test_nothing_else_lapses(book: Book) -> None:
    """Neither another route's package, nor one that has ended, nor a job, nor one in doubt already."""
    elsewhere = book.package(batch(1, 1, route="beta"))
    lapse(book, elsewhere)
    job = book.package(batch(2, 1))
    book.do(take_job, job.id, "job-7", HOUR)
    doubtful = book.package(batch(3, 1))
    book.settle(doubtful, D)
    lapse(book, doubtful)
    book.settle(book.package(batch(4, 1)), S)
    before = book.rows("SELECT * FROM packages ORDER BY id")

    assert book.do(doubt_lapsed, ROUTE, HOUR) == []

    assert book.rows("SELECT * FROM packages ORDER BY id") == before


def test_two_rescuers_put_a_package_in_doubt_once(book: Book, other: Book) -> None:
    packages = [book.package(batch(start, 3)) for start in range(1, 60, 3)]
    lapse(book, *packages)

    one, two = at_once(
        [lambda: book.do(doubt_lapsed, ROUTE, HOUR), lambda: other.do(doubt_lapsed, ROUTE, HOUR)]
    )

    assert sorted([*one, *two]) == [package.id for package in packages]
    assert book.one("SELECT count(*) FROM events WHERE to_status = 'in_doubt'") == 60


# -- whose turn it is to look ----------------------------------------------------------------------------


def sent(book: Book, start: int, count: int, *, ago: int) -> Package:
    """A package sent, whose next look was due so many seconds ago."""
    package = book.package(batch(start, count))
    book.settle(package, S)
    book.rows(
        "UPDATE packages SET poll_at = now() - :ago * interval '1 second' WHERE id = :id",
        ago=ago,
        id=package.id,
    )
    return package


def doubted(book: Book, start: int, count: int, *, ago: int) -> Package:
    """A package in doubt, whose next question was due so many seconds ago."""
    package = book.package(batch(start, count))
    book.settle(package, D)
    book.rows(
        "UPDATE packages SET rescue_at = now() - :ago * interval '1 second' WHERE id = :id",
        ago=ago,
        id=package.id,
    )
    return package


Lease = Callable[..., list[Leased]]
Due = Callable[..., Package]

LEASES = pytest.mark.parametrize(
    ("lease", "due"), [(lease_polls, sent), (lease_doubts, doubted)], ids=["polls", "doubts"]
)


def looked_at(leased: Sequence[Leased]) -> set[int]:
    return {package.id for package in leased}


@LEASES
def test_the_longest_due_are_leased_first(book: Book, lease: Lease, due: Due) -> None:
    packages = {ago: due(book, 10 * ago, 2, ago=ago) for ago in (3, 30, 7, 60)}

    first = book.do(lease, ROUTE, messages=4, lease=HOUR)
    second = book.do(lease, ROUTE, messages=4, lease=HOUR)

    assert looked_at(first) == {packages[60].id, packages[30].id}
    assert looked_at(second) == {packages[7].id, packages[3].id}
    assert book.do(lease, ROUTE, messages=4, lease=HOUR) == []


@LEASES
@pytest.mark.parametrize(("most", "packages"), [(1, 1), (10, 1), (11, 2), (25, 3), (1000, 4)])
def test_a_lease_is_bounded_by_messages(book: Book, lease: Lease, due: Due, most: int, packages: int) -> None:
    for number in range(4):
        due(book, 1 + 10 * number, 10, ago=100 - number)

    assert len(book.do(lease, ROUTE, messages=most, lease=HOUR)) == packages


@LEASES
def test_a_lease_that_is_not_followed_up_comes_back(book: Book, lease: Lease, due: Due) -> None:
    package = due(book, 1, 2, ago=1)
    [first] = book.do(lease, ROUTE, messages=10, lease=SOON)
    assert first.id == package.id

    eventually(lambda: [one.id for one in book.do(lease, ROUTE, messages=10, lease=HOUR)] == [package.id])


@LEASES
def test_two_who_look_never_get_the_same_package(book: Book, other: Book, lease: Lease, due: Due) -> None:
    for number in range(30):
        due(book, 1 + 2 * number, 2, ago=100 + number)

    def look(mine: Book) -> list[int]:
        found: list[int] = []
        while leased := mine.do(lease, ROUTE, messages=6, lease=HOUR):
            found += looked_at(leased)
        return found

    one, two = at_once([lambda: look(book), lambda: look(other)])

    assert len(one) + len(two) == 30
    assert len({*one, *two}) == 30


@LEASES
def test_a_second_look_passes_over_packages_that_are_being_leased(
    book: Book, other: Book, lease: Lease, due: Due
) -> None:
    old, new = due(book, 1, 2, ago=9), due(book, 3, 2, ago=5)
    with book.ledger.begin() as connection:
        [first] = lease(connection, ROUTE, messages=2, lease=HOUR)
        found = other.do(lease, ROUTE, messages=2, lease=HOUR)

    assert first.id == old.id
    assert looked_at(found) <= {new.id}


@LEASES
def test_what_is_not_due_or_on_another_route_is_not_leased(book: Book, lease: Lease, due: Due) -> None:
    due(book, 1, 2, ago=-60)
    assert book.do(lease, ROUTE, messages=10, lease=HOUR) == []

    due(book, 3, 2, ago=60)
    assert book.do(lease, "beta", messages=10, lease=HOUR) == []


def test_a_leased_job_says_which(book: Book) -> None:
    package = book.package(messages(1))
    book.do(take_job, package.id, "job-7", timedelta(0))

    [leased] = book.do(lease_polls, ROUTE, messages=10, lease=HOUR)

    assert (leased.state, leased.job, leased.doubted_for) == (PackageState.JOB, "job-7", timedelta(0))
    assert timedelta(0) < leased.age < timedelta(minutes=1)


def test_a_leased_doubt_says_for_how_long(book: Book) -> None:
    package = doubted(book, 1, 1, ago=1)
    book.rows(
        "UPDATE packages SET in_doubt_since = now() - interval '5 min', opened_at = now() - interval '1 hour'"
    )

    [leased] = book.do(lease_doubts, ROUTE, messages=10, lease=HOUR)

    assert (leased.id, leased.state) == (package.id, PackageState.IN_DOUBT)
    assert timedelta(minutes=5) <= leased.doubted_for < timedelta(minutes=6)
    assert HOUR <= leased.age < HOUR + timedelta(minutes=1)


def test_only_a_question_that_was_answered_counts(book: Book) -> None:
    package = doubted(book, 1, 1, ago=1)
    for _ in range(3):  # put, and whoever put it died
        [leased] = book.do(lease_doubts, ROUTE, messages=10, lease=timedelta(0))
        assert leased.tries == 0

    book.do(answered, [package.id])

    [leased] = book.do(lease_doubts, ROUTE, messages=10, lease=timedelta(0))
    assert leased.tries == 1


def test_an_open_package_is_not_polled_though_a_part_of_it_was_told_as_sent(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, [S], look=Looks(poll=timedelta(0), rescue=HOUR))

    assert book.do(lease_polls, ROUTE, messages=10, lease=HOUR) == []

    book.settle(package, [S, S], look=Looks(poll=timedelta(0), rescue=HOUR))
    assert [one.id for one in book.do(lease_polls, ROUTE, messages=10, lease=HOUR)] == [package.id]


def test_an_open_package_is_not_asked_about(book: Book) -> None:
    package = book.package(messages(1))
    lapse(book, package)

    assert book.do(lease_doubts, ROUTE, messages=10, lease=HOUR) == []
    assert book.do(lease_polls, ROUTE, messages=10, lease=HOUR) == []


def test_a_package_with_sent_and_doubtful_messages_is_looked_at_by_both(book: Book) -> None:
    package = book.package(messages(2))
    book.settle(package, [S, D], look=Looks(poll=timedelta(0), rescue=timedelta(0)))

    assert looked_at(book.do(lease_polls, ROUTE, messages=10, lease=HOUR)) == {package.id}
    assert looked_at(book.do(lease_doubts, ROUTE, messages=10, lease=HOUR)) == {package.id}


# -- reads the stages live by ----------------------------------------------------------------------------


def test_the_open_messages_of_a_package_are_those_still_to_be_asked_about(book: Book) -> None:
    package = book.package(messages(4))
    one, two, three, four = package.items
    book.do(
        settle,
        [
            Transition(one.id, package.id, S, provider_message_id="their-1"),
            Transition(two.id, package.id, R),
            Transition(three.id, package.id, D),
        ],
        {package.id: LOOK},
    )

    found = book.do(open_messages, [package.id])

    assert found == [
        OpenMessage(one.id, package.id, one.reference, "their-1", Status.SENT, 0, Kind.SMS, 1, ""),
        OpenMessage(three.id, package.id, three.reference, "", Status.IN_DOUBT, 0, Kind.SMS, 1, ""),
        OpenMessage(four.id, package.id, four.reference, "", Status.SENDING, 0, Kind.SMS, 1, ""),
    ]
    assert [m.id for m in book.do(open_messages, [package.id], (Status.IN_DOUBT,))] == [three.id]
    assert book.do(open_messages, []) == []


def test_a_route_tells_what_waits_for_it_and_what_it_has_in_hand(book: Book) -> None:
    book.settle(book.package(batch(1, 2)), [D, S])
    book.package(batch(3, 3))
    book.enqueue(batch(6, 4))

    [row] = book.do(route_rows)

    assert (row.name, row.state, row.queued, row.on_the_wire, row.in_doubt) == (ROUTE, "active", 4, 1, 1)


def test_a_history_tells_what_happened_oldest_first(book: Book) -> None:
    package = book.package(messages(1))
    book.settle(package, Q, tried=True)
    again = book.claim().package
    assert again is not None
    book.settle(again, S)
    book.report(again, Status.DELIVERED)

    found = book.do(history, "client-1")

    assert found is not None
    assert (found.status, found.attempts, found.route, found.lane) == (Status.DELIVERED, 1, ROUTE, "bulk")
    assert [(e.from_status, e.to_status, e.package_id) for e in found.events] == [
        (None, "queued", None),
        ("queued", "sending", package.id),
        ("sending", "queued", package.id),
        ("queued", "sending", again.id),
        ("sending", "sent", again.id),
        ("sent", "delivered", again.id),
    ]
    assert book.do(history, "never seen") is None


def test_validity_does_not_matter_once_a_message_has_left(book: Book) -> None:
    until = book.one("SELECT now() + interval '1 hour'")
    package = book.package([message(1, valid_until=until)])
    book.rows("UPDATE messages SET valid_until = :past", past=LONG_AGO)

    assert book.settle(package, S) == {S: 1}


def test_the_event_type_need_no_more_than_a_connection(book: Book) -> None:
    """A caller may do several in one transaction of its own: all of it happens, or none."""

    def both(connection: Connection) -> None:
        settle(connection, [Transition(package.items[0].id, package.id, S)], {package.id: LOOK})
        raise LookupError

    package = book.package(messages(1))
    with pytest.raises(LookupError):
        book.do(both)

    assert book.statuses() == {"client-1": "sending"}
