"""Claim: who gets which messages, and when nobody does. Cancel, which wants the same ones."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from bulk_dispatch.domain.content import Flash, Kind
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import OVERHEAD, Limits, OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.routes import Streak, note_failure, open_route, pause_route, route_works, stop_route
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import Claim, ClaimRequest, Package, cancel, claim, enqueue, split
from tests.factories import message, messages
from tests.ledger.book import LEASE, LONG_AGO, ROUTE, Book, at_once, blocked, eventually
from tests.ledger.race import race

SOON = timedelta(milliseconds=200)
HOUR = timedelta(hours=1)


def names(claimed: Claim | Package) -> list[str]:
    """Whose turn it was, in order; the tests' senders are the messages' names."""
    package = claimed.package if isinstance(claimed, Claim) else claimed
    return [item.sender for item in package.items] if package else []


def named(*wanted: str, lane: Lane = Lane.BULK, route: str = ROUTE) -> list[Message]:
    return [message(client_id=name, sender=name, lane=lane, route=route) for name in wanted]


# -- what a package holds ------------------------------------------------------------------------------


def test_a_package_holds_the_messages_as_they_must_leave(book: Book) -> None:
    book.enqueue([message(1, kind=Kind.FLASH, text="Добрий день")])

    claimed = book.claim()

    [row] = book.messages().values()
    assert claimed.package is not None
    assert claimed.package.items == [
        OutboundMessage(
            row.id, row.reference, row.recipient, "Shop", Flash("Добрий день"), segments_estimated=1
        )
    ]
    assert (row.status, row.package_id, row.due_at) == ("sending", claimed.package.id, None)


def test_what_leaves_knows_its_campaign(book: Book) -> None:
    book.enqueue([message(1, campaign="spring"), message(2)])

    package = book.claim().package

    assert package is not None
    assert [item.campaign for item in package.items] == ["spring", ""]


def test_an_open_package_is_leased(book: Book) -> None:
    package = book.package(messages(3), lease=timedelta(seconds=90))

    row = book.package_row(package.id)
    assert (row.state, row.route, row.lane, row.message_count) == ("open", ROUTE, "bulk", 3)
    assert row.rescue_at - row.opened_at == timedelta(seconds=90)
    assert (row.poll_at, row.in_doubt_since, row.job, row.poll_count, row.inquiry_count) == (
        None,
        None,
        None,
        0,
        0,
    )


def test_nothing_queued_is_no_package(book: Book) -> None:
    book.package(messages(1))

    assert book.claim() == Claim(None, expired=0, more=False, reason="nothing is due")
    assert book.one("SELECT count(*) FROM packages") == 1


def test_another_routes_messages_stay(book: Book) -> None:
    book.enqueue([*named("a"), *named("b", route="beta")])

    assert names(book.claim()) == ["a"]
    assert names(book.claim(route="beta")) == ["b"]


# -- order ---------------------------------------------------------------------------------------------


def test_the_oldest_leave_first(book: Book) -> None:
    for name in ("c", "a", "b"):
        book.enqueue(named(name))

    assert [names(book.claim(items=1)) for _ in range(3)] == [["c"], ["a"], ["b"]]


def test_messages_of_one_instant_leave_in_the_order_they_were_entered(book: Book) -> None:
    book.enqueue(messages(50))

    package = book.claim(items=20).package

    assert package is not None
    assert [item.id for item in package.items] == sorted(book.messages())[:20]


def test_each_lane_takes_its_own(book: Book) -> None:
    for name, lane in (("old", Lane.BULK), ("code", Lane.URGENT), ("new", Lane.BULK)):
        book.enqueue(named(name, lane=lane))

    assert names(book.claim(Lane.BULK)) == ["old", "new"]
    assert names(book.claim(Lane.URGENT)) == ["code"]


def test_urgent_messages_leave_before_older_bulk_where_only_one_package_may(book: Book) -> None:
    for name, lane in (("old", Lane.BULK), ("code", Lane.URGENT), ("new", Lane.BULK)):
        book.enqueue(named(name, lane=lane))

    assert names(book.claim(Lane.BULK, parallel=1)) == ["code", "old", "new"]


def test_the_urgent_lane_takes_urgent_messages_only(book: Book) -> None:
    book.enqueue([*named("a"), *named("code", lane=Lane.URGENT)])

    claimed = book.claim(Lane.URGENT)

    assert names(claimed) == ["code"]
    assert not claimed.more
    assert book.claim(Lane.URGENT).reason == "nothing is due"
    assert book.statuses()["a"] == "queued"


@pytest.mark.parametrize(
    ("waiting", "lane"),
    [((Lane.BULK,), "bulk"), ((Lane.URGENT,), "urgent"), ((Lane.BULK, Lane.URGENT), "urgent")],
)
def test_a_package_goes_by_the_lane_of_its_first_message(
    book: Book, waiting: tuple[Lane, ...], lane: str
) -> None:
    for number, each in enumerate(waiting):
        book.enqueue([message(number, lane=each)])

    package = book.claim(Lane.BULK, parallel=1).package

    assert package is not None
    assert package.lane is Lane(lane)
    assert book.package_row(package.id).lane == lane


# -- limits --------------------------------------------------------------------------------------------


def test_no_more_messages_than_the_provider_takes(book: Book) -> None:
    book.enqueue(messages(25))

    sizes = [len(names(book.claim(items=10))) for _ in range(4)]

    assert sizes == [10, 10, 5, 0]


@pytest.mark.parametrize(
    ("octets", "taken"),
    [(10**6, 5), (5 * (OVERHEAD + 40), 5), (5 * (OVERHEAD + 40) - 1, 4), (OVERHEAD + 40, 1), (1, 1)],
    ids=["plenty", "exactly", "a byte less", "one", "not even one"],
)
def test_no_more_bytes_than_the_provider_takes(book: Book, octets: int, taken: int) -> None:
    book.enqueue(messages(5, text="ten letter"))

    claimed = book.claim(octets=octets)

    assert len(names(claimed)) == taken
    assert claimed.more is (taken < 5)
    assert Counter(book.statuses().values()) == Counter({"sending": taken, "queued": 5 - taken})
    assert claimed.package is not None
    assert book.package_row(claimed.package.id).message_count == taken


@pytest.mark.parametrize(("waiting", "more"), [(2, False), (3, True), (4, True)])
def test_a_claim_says_whether_to_look_again(book: Book, waiting: int, more: bool) -> None:
    """A full package may have been the last: saying so once too often costs one look."""
    book.enqueue(messages(waiting))

    assert book.claim(items=3).more is more


# -- not yet, and too late -----------------------------------------------------------------------------


def test_messages_past_their_validity_expire_and_the_others_leave(book: Book) -> None:
    book.enqueue([message(1, valid_until=LONG_AGO), message(2), message(3, valid_until=LONG_AGO)])
    book.enqueue([message(4, valid_until=datetime(2031, 1, 1, tzinfo=UTC))])

    claimed = book.claim()

    assert claimed.expired == 2
    assert not claimed.more
    assert book.statuses() == {
        "client-1": "expired",
        "client-2": "sending",
        "client-3": "expired",
        "client-4": "sending",
    }
    notes = {e.note for e in book.events() if e.to_status == "expired"}
    assert notes == {"validity passed while queued"}
    assert all(
        row.finalized_at and not row.due_at for row in book.rows("SELECT * FROM messages") if row.id in (1, 3)
    )
    assert book.books().balanced


def test_a_claim_that_only_met_late_messages_says_to_look_again(book: Book) -> None:
    book.enqueue(messages(3, valid_until=LONG_AGO))
    book.enqueue(named("good"))

    claimed = book.claim(items=3)

    assert (claimed.package, claimed.expired, claimed.more) == (None, 3, True)
    assert book.one("SELECT count(*) FROM packages") == 0
    assert names(book.claim(items=3)) == ["good"]


def test_validity_that_passes_while_queued_counts(book: Book) -> None:
    until = book.one("SELECT now() + interval '100 milliseconds'")
    book.enqueue([message(1, valid_until=until)])
    eventually(lambda: bool(book.one("SELECT now() > :until", until=until)))

    assert book.claim().expired == 1


def test_a_message_queued_again_with_a_delay_is_not_due_before(book: Book) -> None:
    book.settle(book.package(messages(2)), Status.QUEUED, delay=HOUR)

    assert book.claim() == Claim(None, reason="nothing is due")
    assert book.one("SELECT bool_and(due_at - now() BETWEEN '59 min' AND '60 min') FROM messages")


def test_a_delayed_message_leaves_once_its_time_has_come(book: Book) -> None:
    book.settle(book.package(messages(1)), Status.QUEUED, delay=SOON)

    eventually(lambda: book.claim().package is not None)

    assert (
        book.one("SELECT max(at) - min(at) FROM events WHERE to_status IN ('queued', 'sending') AND id > 2")
        >= SOON
    )


def test_a_delayed_message_does_not_hold_up_the_others(book: Book) -> None:
    book.settle(book.package(named("old")), Status.QUEUED, delay=HOUR)
    book.enqueue(named("new"))

    assert names(book.claim()) == ["new"]


# -- the governor --------------------------------------------------------------------------------------


def test_a_route_nobody_registered_sends_nothing(book: Book) -> None:
    book.enqueue(messages(1))

    assert book.claim(route="beta") == Claim(None, reason="the route is not registered")


def test_a_stopped_route_sends_nothing_until_somebody_opens_it(book: Book) -> None:
    book.enqueue(messages(1))

    assert book.do(stop_route, ROUTE, "account blocked")
    assert book.claim() == Claim(None, reason="the route is stopped: account blocked")
    assert book.claim(Lane.URGENT).reason == "the route is stopped: account blocked"

    assert book.do(open_route, ROUTE)
    assert book.claim().package is not None


def test_a_paused_route_sends_nothing_and_comes_back_by_itself(book: Book) -> None:
    book.enqueue(messages(1))
    book.do(pause_route, ROUTE, SOON, "throttled")
    paused = book.one("SELECT now()")

    claimed = book.claim()
    assert (claimed.package, claimed.reason) == (None, "the route is paused: throttled")

    eventually(lambda: book.claim().package is not None)
    assert book.one("SELECT opened_at - :paused FROM packages", paused=paused) >= SOON * 0.9
    assert book.one("SELECT state FROM routes") == "paused"  # until a package has gone through


def test_messages_do_not_expire_while_their_route_may_not_send(book: Book) -> None:
    book.enqueue(messages(1, valid_until=LONG_AGO))
    book.do(stop_route, ROUTE, "account blocked")

    assert book.claim().expired == 0
    assert set(book.statuses().values()) == {"queued"}


def test_another_route_goes_on(book: Book) -> None:
    book.enqueue([message(1), message(2, route="beta")])
    book.do(stop_route, ROUTE, "account blocked")

    assert book.claim().package is None
    assert book.claim(route="beta").package is not None


def fail(book: Book, wait: timedelta = timedelta(0), *, unresolvable: bool = False) -> Streak:
    """The route fails, as a stage notes it."""
    streak = book.do(note_failure, ROUTE, unresolvable=unresolvable)
    book.do(pause_route, ROUTE, wait, "no connection")
    return streak


def test_failures_in_a_row_are_counted_until_a_package_goes_through(book: Book) -> None:
    book.enqueue(messages(1))
    assert [fail(book).failures for _ in range(3)] == [1, 2, 3]

    book.do(route_works, ROUTE)

    assert book.rows("SELECT state, paused_until, reason FROM routes") == [("active", None, None)]
    assert fail(book) == Streak(1, 0)


def test_what_fails_during_a_pause_is_the_same_failure(book: Book) -> None:
    book.enqueue(messages(1))

    assert [fail(book, HOUR) for _ in range(3)] == [Streak(1, 0)] * 3


def test_failures_that_leave_doubt_are_counted_apart(book: Book) -> None:
    book.enqueue(messages(1))
    kinds = [False, False, True, False, True]

    assert [fail(book, unresolvable=unresolvable).unresolvable for unresolvable in kinds] == [0, 0, 1, 1, 2]

    book.do(open_route, ROUTE)
    assert fail(book, unresolvable=True) == Streak(1, 1)
    book.do(route_works, ROUTE)
    assert fail(book, unresolvable=True) == Streak(1, 1)


def test_a_failure_is_unresolvable_once_if_any_that_failed_with_it_is(book: Book) -> None:
    book.enqueue(messages(1))

    assert fail(book, HOUR) == Streak(1, 0)
    assert [fail(book, HOUR, unresolvable=True) for _ in range(2)] == [Streak(1, 1)] * 2
    assert fail(book, HOUR) == Streak(1, 1)


def test_a_package_that_went_through_before_a_pause_does_not_end_it(book: Book) -> None:
    book.enqueue(messages(1))
    fail(book, HOUR)

    book.do(route_works, ROUTE)

    assert book.claim().reason == "the route is paused: no connection"
    assert book.one("SELECT consecutive_failures FROM routes") == 1


def test_but_it_ends_a_streak_of_failures_that_left_doubt(book: Book) -> None:
    book.enqueue(messages(1))
    assert [fail(book, unresolvable=True), fail(book, HOUR, unresolvable=True)] == [
        Streak(1, 1),
        Streak(2, 2),
    ]

    book.do(route_works, ROUTE)

    assert fail(book, HOUR) == Streak(2, 0)


def test_a_later_failure_does_not_shorten_a_pause(book: Book) -> None:
    book.enqueue(messages(1))
    fail(book, HOUR)

    fail(book, SOON)

    assert book.one("SELECT paused_until > now() + interval '50 minutes' FROM routes")


def test_a_route_that_works_is_left_alone(book: Book) -> None:
    book.enqueue(messages(1))
    before = book.rows("SELECT changed_at, xmin::text FROM routes")

    book.do(route_works, ROUTE)

    assert book.rows("SELECT changed_at, xmin::text FROM routes") == before


def test_a_stopped_route_is_not_opened_by_a_pause_nor_by_success(book: Book) -> None:
    book.enqueue(messages(1))
    book.do(pause_route, ROUTE, HOUR, "no connection")
    book.do(stop_route, ROUTE, "account blocked")

    assert fail(book) == Streak(0, 0)
    book.do(route_works, ROUTE)

    assert book.claim().reason == "the route is stopped: account blocked"


def test_a_route_that_is_not_there_cannot_be_stopped_or_opened(book: Book) -> None:
    assert not book.do(stop_route, "beta", "reason")
    assert not book.do(open_route, "beta")
    assert book.do(note_failure, "beta", unresolvable=True) == Streak(0, 0)


def test_no_more_packages_on_the_wire_than_the_route_allows(book: Book) -> None:
    book.enqueue(messages(10))

    claims = [book.claim(items=1, parallel=4) for _ in range(4)]

    assert [claimed.package is not None for claimed in claims] == [True, True, True, False]
    assert claims[-1].reason == "3 packages are on the wire"


def test_one_package_is_kept_for_the_urgent_lane(book: Book) -> None:
    book.enqueue([*named("a", "b"), *named("code", "pin", lane=Lane.URGENT)])
    assert names(book.claim(items=1, parallel=2)) == ["a"]
    assert book.claim(items=1, parallel=2).reason == "1 packages are on the wire"

    assert names(book.claim(Lane.URGENT, items=1, parallel=2)) == ["code"]

    assert book.claim(Lane.URGENT, items=1, parallel=2).reason == "2 packages are on the wire"


def test_an_urgent_package_takes_no_place_of_the_bulk_lane(book: Book) -> None:
    book.enqueue([*named("a"), *named("code", "pin", lane=Lane.URGENT)])
    assert names(book.claim(Lane.URGENT, items=1, parallel=2)) == ["code"]

    assert names(book.claim(items=1, parallel=2)) == ["a"]
    assert book.claim(Lane.URGENT, items=1, parallel=2).reason == "2 packages are on the wire"


def test_where_urgent_packages_take_all_places_the_bulk_lane_waits(book: Book) -> None:
    book.enqueue([*named("a"), *named("code", "pin", lane=Lane.URGENT)])
    for name in ("code", "pin"):
        assert names(book.claim(Lane.URGENT, items=1, parallel=2)) == [name]

    assert book.claim(items=1, parallel=2).reason == "2 packages are on the wire"


def test_halves_of_a_bulk_package_take_no_place_of_the_urgent_lane(book: Book) -> None:
    book.enqueue([*messages(8), *named("code", lane=Lane.URGENT)])
    whole = book.claim(parallel=2).package
    assert whole is not None
    for part in book.do(split, whole, LEASE, "unreadable"):
        book.do(split, part, LEASE, "unreadable")
    assert book.one("SELECT count(*) FROM packages WHERE state = 'open'") == 4

    assert names(book.claim(Lane.URGENT, parallel=2)) == ["code"]
    book.enqueue(named("more"))
    assert book.claim(parallel=2).package is None


def test_an_urgent_package_of_the_bulk_worker_counts_as_urgent(book: Book) -> None:
    book.enqueue([*named("a", "b"), *named("code", "pin", lane=Lane.URGENT)])
    assert names(book.claim(items=1, parallel=1)) == ["code"]

    assert names(book.claim(items=1, parallel=2)) == ["a"]
    assert book.claim(Lane.URGENT, items=1, parallel=2).package is None


def test_a_route_of_one_package_serves_both_lanes_in_turn(book: Book) -> None:
    book.enqueue([*messages(1), *named("code", lane=Lane.URGENT)])

    assert names(book.claim(Lane.BULK, items=1, parallel=1)) == ["code"]
    assert book.claim(Lane.URGENT, items=1, parallel=1).reason == "1 packages are on the wire"


@pytest.mark.parametrize(
    ("report", "emptied"),
    [
        (Status.SENT, PackageState.CLOSED),
        (Status.REJECTED, PackageState.CLOSED),
        (Status.IN_DOUBT, PackageState.CLOSED),
        (Status.FAILED, PackageState.UNSENT),
    ],
)
def test_a_settled_package_makes_room(book: Book, report: Status, emptied: PackageState) -> None:
    book.enqueue(messages(2))
    first = book.claim(items=1, parallel=1).package
    assert first is not None
    assert book.claim(items=1, parallel=1).package is None

    book.settle(first, report, emptied=emptied)

    assert book.claim(items=1, parallel=1).package is not None


def test_packages_of_another_route_do_not_count(book: Book) -> None:
    book.enqueue([message(1), message(2, route="beta")])
    assert book.claim(parallel=1).package is not None

    assert book.claim(route="beta", parallel=1).package is not None


# -- races ---------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_two_racing_for_one_queue_get_every_message_exactly_once(book: Book, other: Book) -> None:
    urgent = [message(n, client_id=f"u-{n}", lane=Lane.URGENT) for n in range(100)]
    book.enqueue([*messages(500), *urgent])

    def drain(mine: Book, lane: Lane) -> list[Package]:
        taken = []
        while package := mine.claim(lane, items=7).package:
            taken.append(package)
        return taken

    works = [
        lambda: drain(book, Lane.BULK),
        lambda: drain(other, Lane.BULK),
        lambda: drain(book, Lane.URGENT),
        lambda: drain(other, Lane.BULK),
    ]
    packages = [package for taken in at_once(works) for package in taken]

    claimed = Counter(item.id for package in packages for item in package.items)
    assert claimed.keys() == book.messages().keys()
    assert set(claimed.values()) == {1}
    carried = {item.id: package.id for package in packages for item in package.items}
    assert carried == {row.id: row.package_id for row in book.messages().values()}
    assert book.one("SELECT count(*) FROM events WHERE to_status = 'sending'") == 600
    assert book.books().balanced


def test_many_racing_never_have_more_on_the_wire_than_allowed(book: Book, other: Book) -> None:
    book.enqueue(messages(100))

    def attempts(mine: Book) -> int:
        return sum(mine.claim(items=1, parallel=5).package is not None for _ in range(10))

    got = at_once([lambda mine=mine: attempts(mine) for mine in (book, other, book, other)])  # type: ignore[misc]

    assert sum(got) == 4
    assert book.one("SELECT count(*) FROM packages") == 4


def test_a_claim_waits_for_one_under_way_and_counts_its_package(book: Book, other: Book) -> None:
    book.enqueue(messages(2))
    limits = Limits(1, 10**6)
    with book.ledger.begin() as connection:
        claim(connection, ClaimRequest(ROUTE, limits, parallel=1, lease=LEASE), Lane.URGENT)
        first = claim(connection, ClaimRequest(ROUTE, limits, parallel=1, lease=LEASE), Lane.BULK)
        late = blocked(
            other,
            lambda theirs: claim(theirs, ClaimRequest(ROUTE, limits, parallel=1, lease=LEASE), Lane.BULK),
        )

    assert first.package is not None
    assert late.result() == Claim(None, reason="1 packages are on the wire")


def test_a_claim_that_was_not_committed_leaves_the_messages_queued(book: Book, other: Book) -> None:
    book.enqueue(messages(2))
    with book.ledger.engine.connect() as connection:
        limits = Limits(10, 10**6)
        assert claim(connection, ClaimRequest(ROUTE, limits, parallel=2, lease=LEASE), Lane.BULK).package
        connection.rollback()

    assert len(names(other.claim())) == 2


def test_a_claim_passes_over_messages_that_somebody_else_holds(book: Book, other: Book) -> None:
    book.enqueue(named("held"))
    book.enqueue(named("free"))
    with book.ledger.begin() as connection:
        assert cancel(connection, ["held"]) == 1

        assert names(other.claim()) == ["free"]

    assert book.statuses() == {"held": "cancelled", "free": "sending"}


# -- cancel --------------------------------------------------------------------------------------------


def test_only_queued_messages_can_be_withdrawn(book: Book) -> None:
    book.package(named("gone"))
    book.enqueue(named("here"))

    assert book.cancel(["here", "gone", "never seen"]) == 1

    assert book.statuses() == {"gone": "sending", "here": "cancelled"}
    assert book.cancel(["here"]) == 0
    assert book.books().balanced


def test_a_message_waiting_for_its_next_try_can_be_withdrawn(book: Book) -> None:
    book.settle(book.package(messages(1)), Status.QUEUED, delay=HOUR)

    assert book.cancel(["client-1"]) == 1


def test_a_note_says_who_withdrew_it(book: Book) -> None:
    book.enqueue(messages(1))

    book.do(cancel, ["client-1"], "by order of the shop")

    assert book.events()[-1].note == "by order of the shop"


def test_a_cancel_that_comes_while_a_claim_is_under_way_is_too_late(book: Book, other: Book) -> None:
    book.enqueue(messages(3))
    with book.ledger.begin() as connection:
        limits = Limits(10, 10**6)
        claim(connection, ClaimRequest(ROUTE, limits, parallel=2, lease=LEASE), Lane.BULK)
        late = blocked(other, lambda theirs: cancel(theirs, ["client-1", "client-2"]))

    assert late.result() == 0
    assert set(book.statuses().values()) == {"sending"}


def test_two_cancelling_the_same_messages_in_another_order_cancel_each_once(book: Book, other: Book) -> None:
    for number in range(6):
        batch = [message(n, client_id=f"{number}-{n}") for n in range(300)]
        book.enqueue(batch)
        ids = [each.client_id for each in batch]

        counts = at_once([lambda: book.cancel(ids), lambda: other.cancel(ids[::-1])])  # noqa: B023

        assert sum(counts) == 300
    assert book.one("SELECT count(*) FROM events WHERE to_status = 'cancelled'") == 1800
    assert book.books().balanced


def test_two_stopping_the_same_numbers_in_another_order_do_not_meet_in_a_circle(
    book: Book, other: Book
) -> None:
    for number in range(6):
        numbers = [f"+3809{number}{n:07d}" for n in range(400)]

        counts = at_once(
            [lambda: book.do(suppress, numbers), lambda: other.do(suppress, numbers[::-1])]  # noqa: B023
        )

        assert sum(counts) == 400


def claiming(lane: Lane, parallel: int = 4, route: str = ROUTE) -> Callable[[Connection], Claim]:
    """A claim, for whoever has a connection."""
    limits = Limits(100, 10**9)
    return lambda connection: claim(
        connection, ClaimRequest(route, limits, parallel=parallel, lease=LEASE), lane
    )


# Statements of a claim: it has picked; it has locked the route too. Bulk waits for its turn before.
PICKED = {Lane.URGENT: 1, Lane.BULK: 2}
LOCKED = {Lane.URGENT: 2, Lane.BULK: 3}


def test_an_urgent_message_waits_for_no_picking_of_others(book: Book) -> None:
    book.enqueue(named("a", "b"))

    def meanwhile(connection: Connection) -> Claim:
        enqueue(connection, named("code", lane=Lane.URGENT))
        return claiming(Lane.URGENT)(connection)

    met = race(book, claiming(Lane.BULK), meanwhile, statement=PICKED[Lane.BULK], commits=True)

    assert not met.waited
    assert (names(met.first), names(met.second)) == (["a", "b"], ["code"])


def test_one_who_decides_waits_for_another_who_does(book: Book) -> None:
    book.enqueue([*named("a"), *named("code", lane=Lane.URGENT)])

    met = race(book, claiming(Lane.URGENT), claiming(Lane.BULK), statement=LOCKED[Lane.URGENT], commits=True)

    assert met.waited
    assert (names(met.first), names(met.second)) == (["code"], ["a"])


def test_bulk_claims_pick_one_after_another(book: Book) -> None:
    book.enqueue(named("a", "b"))

    met = race(book, claiming(Lane.BULK), claiming(Lane.BULK), statement=PICKED[Lane.BULK] - 1, commits=True)

    assert met.waited
    assert names(met.first) == ["a", "b"]
    assert met.second.reason == "nothing is due"


def test_bulk_claims_of_other_routes_pick_beside_them(book: Book) -> None:
    book.enqueue([*named("a"), *named("b", route="beta")])

    met = race(
        book,
        claiming(Lane.BULK),
        claiming(Lane.BULK, route="beta"),
        statement=PICKED[Lane.BULK],
        commits=True,
    )

    assert not met.waited
    assert (names(met.first), names(met.second)) == (["a"], ["b"])


def test_who_was_overtaken_while_picking_takes_nothing(book: Book) -> None:
    book.enqueue(named("a", lane=Lane.URGENT))

    def overtaking(connection: Connection) -> Claim:
        enqueue(connection, named("b", lane=Lane.URGENT))
        return claiming(Lane.URGENT, parallel=1)(connection)

    first = claiming(Lane.URGENT, parallel=1)
    met = race(book, first, overtaking, statement=PICKED[Lane.URGENT], commits=True)

    assert names(met.second) == ["b"]
    assert met.first == Claim(None, reason="1 packages are on the wire")
    assert book.statuses() == {"a": "queued", "b": "sending"}


def test_bulk_that_an_urgent_claim_overtakes_at_the_last_place_takes_nothing(book: Book) -> None:
    book.enqueue([*named("a"), *named("code", lane=Lane.URGENT)])
    assert names(book.claim(Lane.URGENT, parallel=2)) == ["code"]

    def overtaking(connection: Connection) -> Claim:
        enqueue(connection, named("pin", lane=Lane.URGENT))
        return claiming(Lane.URGENT, parallel=2)(connection)

    first = claiming(Lane.BULK, parallel=2)
    met = race(book, first, overtaking, statement=PICKED[Lane.BULK], commits=True)

    assert not met.waited
    assert names(met.second) == ["pin"]
    assert met.first == Claim(None, reason="2 packages are on the wire")


def stop(connection: Connection) -> str:
    stop_route(connection, ROUTE, "no money")
    return "the route is stopped: no money"


def pause(connection: Connection) -> str:
    pause_route(connection, ROUTE, HOUR, "busy")
    return "the route is paused: busy"


@pytest.mark.parametrize("shut", [stop, pause])
def test_who_was_picking_when_the_route_was_shut_takes_nothing(
    book: Book, shut: Callable[[Connection], str]
) -> None:
    late = message(client_id="late", valid_until=LONG_AGO)
    book.enqueue([late, *named("a")])

    met = race(book, claiming(Lane.BULK), shut, statement=PICKED[Lane.BULK], commits=True)

    assert met.first == Claim(None, expired=1, reason=met.second)
    assert book.statuses() == {"late": "expired", "a": "queued"}


def test_who_finds_nothing_is_in_nobodys_way(book: Book) -> None:
    met = race(book, claiming(Lane.BULK), stop, statement=PICKED[Lane.BULK], commits=True)

    assert not met.waited
