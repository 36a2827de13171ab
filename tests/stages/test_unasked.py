"""A provider that cannot be asked: what it has taken is known, and what became of it only by its receipts."""

from datetime import timedelta
from typing import Any

import pytest

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.failures import LOST, NOT_SENT, Failure
from bulk_dispatch.stages.poll import Polled
from bulk_dispatch.stages.receipts import ReceiptCounts, take
from bulk_dispatch.stages.rescue import Rescued
from bulk_dispatch.stages.route_health import apply_failure
from tests.factories import messages
from tests.stages.world import ENDLESS, OpenWorld, World

SENT, DELIVERED, IN_DOUBT, QUEUED = Status.SENT, Status.DELIVERED, Status.IN_DOUBT, Status.QUEUED
UNCONFIRMED = Status.UNCONFIRMED
SENDS: dict[str, Any] = {"when": {"provider": "smartswitch"}}
SECRET = "a-secret-of-some-length"
PUSHES: dict[str, object] = {"webhook_secret": SECRET}
TOGETHER: dict[str, object] = {**PUSHES, "call_items": 10}
"""Several messages in a call."""


def sent(open_world: OpenWorld, many: int = 4, **smart: object) -> World:
    world = open_world(smart={**PUSHES, **smart})
    world.enqueue(messages(many, route="smart"))
    world.dispatch("smart")
    assert world.statuses() == {SENT: many}
    return world


def receipts(world: World, status: Status = DELIVERED) -> list[DeliveryReceipt]:
    """One for each message, by their id."""
    return [
        DeliveryReceipt(row.provider_message_id, status, status.value)
        for row in world.rows("SELECT provider_message_id FROM messages ORDER BY id")
    ]


def received(world: World, told: list[DeliveryReceipt]) -> ReceiptCounts:
    return take(world.runtime.ledger, world.runtime.routes, {"smart": told})


# -- nobody is asked


def test_nobody_is_ever_asked(open_world: OpenWorld) -> None:
    world = sent(open_world)

    for _ in range(20):
        world.passes(hours=8)
        world.poll("smart")
        world.rescue("smart")

    assert world.provider.see("counts")["requests"] == {"message": 4}


def test_the_first_look_is_followed_by_one_at_the_horizon(open_world: OpenWorld) -> None:
    world = sent(open_world)
    world.passes(seconds=31)

    assert world.poll("smart") == Polled(packages=1, asked=4)

    (package,) = world.packages()
    left = timedelta(days=6) - timedelta(seconds=31)
    assert left - timedelta(seconds=2) < package.poll_in <= left + timedelta(seconds=1)
    assert world.poll("smart") == Polled()


def test_past_the_horizon_they_are_unconfirmed(open_world: OpenWorld) -> None:
    world = sent(open_world)
    world.passes(seconds=31)
    world.poll("smart")
    world.passes(days=5, hours=23)
    world.poll("smart")
    assert world.statuses() == {SENT: 4}

    world.passes(hours=1, seconds=5)
    world.poll("smart")

    assert world.statuses() == {UNCONFIRMED: 4}
    assert world.walked() == ["queued", "sending", "sent", "unconfirmed"]
    (package,) = world.packages()
    assert (package.state, package.poll_at, package.rescue_at) == ("closed", None, None)


@pytest.mark.parametrize("pushes", [True, False])
def test_whether_receipts_are_expected_or_not(open_world: OpenWorld, pushes: bool) -> None:
    world = open_world(smart=PUSHES if pushes else {})
    world.enqueue(messages(2, route="smart"))
    world.dispatch("smart")
    world.passes(days=7)

    world.poll("smart")

    assert world.statuses() == {UNCONFIRMED: 2}


def test_the_horizon_is_the_routes(open_world: OpenWorld) -> None:
    world = sent(open_world, horizon="2h")
    world.passes(seconds=31)
    world.poll("smart")
    world.passes(hours=2)

    world.poll("smart")

    assert world.statuses() == {UNCONFIRMED: 4}


def test_a_horizon_before_the_first_look_is_noticed_at_it(open_world: OpenWorld) -> None:
    world = sent(open_world, horizon="10s")
    world.passes(seconds=31)

    world.poll("smart")

    assert world.statuses() == {UNCONFIRMED: 4}


# -- receipts


def test_a_receipt_is_the_end(open_world: OpenWorld) -> None:
    world = sent(open_world)

    assert received(world, receipts(world)).ended == 4

    assert world.statuses() == {DELIVERED: 4}
    assert world.states() == {"closed": 1}
    world.passes(days=7)
    assert world.poll("smart") == Polled()


def test_who_got_no_receipt_is_given_up_alone(open_world: OpenWorld) -> None:
    world = sent(open_world)
    received(world, receipts(world)[:3])
    world.passes(days=7)

    world.poll("smart")

    assert world.statuses() == {DELIVERED: 3, UNCONFIRMED: 1}


@pytest.mark.parametrize("end", [DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, Status.REJECTED])
def test_a_late_receipt_moves_what_was_given_up(open_world: OpenWorld, end: Status) -> None:
    world = sent(open_world)
    world.passes(days=7)
    world.poll("smart")
    assert world.statuses() == {UNCONFIRMED: 4}

    assert received(world, receipts(world, end)[:2]).ended == 2

    assert world.statuses() == {UNCONFIRMED: 2, end: 2}
    assert world.walked()[-2:] == ["unconfirmed", end.value]
    assert received(world, receipts(world)).ended == 2  # the others; what has ended stays as it is
    assert world.message().status == end.value
    assert world.states() == {"closed": 1}


# -- doubt


def test_what_is_in_doubt_is_held_and_nothing_leaves_for_it(open_world: OpenWorld) -> None:
    world = open_world(smart=TOGETHER)
    world.enqueue(messages(4, route="smart"))
    world.provider.script({"do": "drop_after", "times": 1, **SENDS})
    world.dispatch("smart")
    assert world.statuses() == {IN_DOUBT: 4}

    for _ in range(10):
        world.passes(hours=20)
        world.rescue("smart")
        world.poll("smart")

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.provider.see("counts")["requests"] == {"message": 1}


def test_a_message_may_say_that_its_doubt_is_a_failure(open_world: OpenWorld) -> None:
    world = open_world(smart=TOGETHER)
    world.enqueue(messages(4, route="smart", in_doubt="fail"))
    world.provider.script({"do": "drop_after", "times": 1, **SENDS})
    world.dispatch("smart")
    world.passes(seconds=6)

    assert world.rescue("smart") == Rescued(doubtful=4)

    assert world.statuses() == {Status.FAILED: 4}
    assert world.provider.taken == 4


def test_half_answered_is_half_in_doubt_and_looked_at_by_both(open_world: OpenWorld) -> None:
    world = open_world(smart=TOGETHER)
    world.enqueue(messages(4, route="smart"))
    world.provider.script({"do": "missing", "share": 0.5, "times": 1, **SENDS})
    world.dispatch("smart")
    assert world.statuses() == {SENT: 2, IN_DOUBT: 2}

    world.passes(days=7)
    world.poll("smart")
    world.rescue("smart")

    assert world.statuses() == {UNCONFIRMED: 2, IN_DOUBT: 2}
    assert world.states() == {"in_doubt": 1}


# -- one message a call: errors in the place of data are about it alone


@pytest.mark.parametrize(
    "code", ["bad_number", "unknown_destination", "empty_body", "internal", "parameters"]
)
def test_given_errors_for_one_call_then_its_message_is_refused_in_their_word_and_the_others_go_out(
    open_world: OpenWorld, code: str
) -> None:
    world = open_world(smart={})
    world.enqueue(messages(20, route="smart"))
    world.provider.script({"do": "error", "code": code, "skip": 3, "times": 1, **SENDS})

    world.dispatch("smart")

    assert world.statuses() == {SENT: 19, Status.REJECTED: 1}
    [event] = world.rows("SELECT code FROM events WHERE to_status = 'rejected'")
    assert event.code == code
    assert (world.route("smart").state, world.route("smart").consecutive_failures) == ("active", 0)
    assert world.provider.taken == 19


def test_given_a_time_that_ran_out_on_their_side_then_its_message_alone_is_in_doubt(
    open_world: OpenWorld,
) -> None:
    world = open_world(smart={"in_flight": 1})
    world.enqueue(messages(4, route="smart"))
    world.provider.script({"do": "error", "code": "timeout", "take": True, "skip": 2, "times": 1, **SENDS})

    world.dispatch("smart")

    assert world.statuses() == {SENT: 2, IN_DOUBT: 1, QUEUED: 1}
    assert world.provider.taken == 3


@pytest.mark.parametrize(("code", "state"), [("low_balance", "paused"), ("busy", "paused")])
def test_given_errors_that_pass_then_what_they_met_is_queued_again(
    open_world: OpenWorld, code: str, state: str
) -> None:
    world = open_world(smart={"in_flight": 1})
    world.enqueue(messages(4, route="smart"))
    world.provider.script({"do": "error", "code": code, "skip": 2, "times": 1, **SENDS})

    world.dispatch("smart")

    assert world.statuses() == {SENT: 2, QUEUED: 2}
    assert world.route("smart").state == state


def test_given_several_in_a_call_then_errors_leave_all_of_it_in_doubt(open_world: OpenWorld) -> None:
    world = open_world(smart=TOGETHER)
    world.enqueue(messages(4, route="smart"))
    world.provider.script({"do": "error", "code": "bad_number", "times": 1, **SENDS})

    world.dispatch("smart")

    assert world.statuses() == {IN_DOUBT: 4}


# -- a streak of failures


def fails(world: World, *failures: Failure, route: str = "smart") -> None:
    """One after another, each with its pause over before the next."""
    for failure in failures:
        with world.runtime.ledger.begin() as connection:
            apply_failure(world.runtime, world.line(route), connection, failure)
        world.passes(seconds=11)


def test_after_ten_lost_answers_the_route_stops(open_world: OpenWorld) -> None:
    world = open_world(smart={"package_items": 1})
    world.enqueue(messages(20, route="smart"))
    world.provider.script({"do": "drop_after", **SENDS})

    for _ in range(12):
        world.dispatch("smart")
        world.passes(seconds=11)

    assert world.statuses() == {IN_DOUBT: 10, QUEUED: 10}
    assert world.route("smart").state == "stopped"
    assert world.route("smart").reason.startswith("10 failures left doubt nobody can settle; lost")


def test_so_it_does_after_ten_answers_that_tell_of_nobody(open_world: OpenWorld) -> None:
    world = open_world(smart={"package_items": 1})
    world.enqueue(messages(20, route="smart"))
    world.provider.script({"do": "missing", "share": 1, **SENDS})

    for _ in range(12):
        world.dispatch("smart")
        world.passes(seconds=11)

    assert world.statuses() == {IN_DOUBT: 10, QUEUED: 10}
    assert world.route("smart").state == "stopped"


def test_a_failure_that_comes_after_the_stop_changes_nothing_of_it(open_world: OpenWorld) -> None:
    world = open_world(smart={})
    fails(world, *[LOST] * 10)
    reason = world.route("smart").reason
    assert world.route("smart").state == "stopped"

    fails(world, NOT_SENT, LOST)

    route = world.route("smart")
    assert (route.state, route.reason, route.consecutive_failures, len(route.unresolvable_failures)) == (
        "stopped",
        reason,
        10,
        10,
    )


def test_an_outage_and_then_a_lost_answer_do_not_stop_it(open_world: OpenWorld) -> None:
    world = open_world(smart={})

    fails(world, *[NOT_SENT] * 30, LOST, *[NOT_SENT] * 30)

    assert (world.route("smart").state, world.route("smart").consecutive_failures) == ("paused", 61)


def test_nor_do_failures_between_lost_answers_save_it(open_world: OpenWorld) -> None:
    world = open_world(smart={})

    fails(world, *[LOST, NOT_SENT] * 9)
    assert world.route("smart").state == "paused"

    fails(world, LOST)
    assert world.route("smart").state == "stopped"


@pytest.mark.parametrize("settings", [{"webcom": {}}, {"alpha": {}}])
def test_where_doubt_is_settled_no_number_of_them_stops_it(
    open_world: OpenWorld, settings: dict[str, dict[str, object]]
) -> None:
    world = open_world(**settings)
    [route] = settings

    fails(world, *[LOST] * 30, route=route)

    assert world.route(route).state == "paused"


# -- who can be asked, and says nothing, has a horizon too


def test_what_may_be_held_there_until_its_time_has_a_later_horizon(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={"schedule_ahead": "7d"})
    world.enqueue(messages(3, route="webcom"))
    world.dispatch("webcom")

    world.passes(days=12)
    world.poll("webcom")
    assert world.statuses() == {SENT: 3}

    world.passes(days=1, hours=1)
    world.poll("webcom")
    assert world.statuses() == {UNCONFIRMED: 3}


def test_who_does_not_answer_at_all_gets_one_longest_wait_more(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, webcom={})
    world.enqueue(messages(3, route="webcom"))
    world.dispatch("webcom")
    world.provider.script({"do": "drop_before", "when": {"command": "state"}})

    world.passes(days=6, seconds=5)
    world.poll("webcom")
    assert world.statuses() == {SENT: 3}

    world.passes(minutes=16)
    world.poll("webcom")
    assert world.statuses() == {UNCONFIRMED: 3}
