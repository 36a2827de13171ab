"""Rescue: what a dead process left is taken up, and what is in doubt is settled, without a second message."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import count
from math import ceil
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import Limits
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import DoubtSelection, Resolution, chunks, resolve
from bulk_dispatch.ledger.transitions import ClaimRequest, Looks, Package, claim
from bulk_dispatch.providers.interface import Reply
from bulk_dispatch.stages.rescue import Rescued, rescue
from bulk_dispatch.stages.submissions import record_submission
from tests.factories import message, messages
from tests.stages.test_poll import BAD_REPORTS, named
from tests.stages.world import ENDLESS, KIND, OpenWorld, World

SENDING, SENT, DELIVERED, IN_DOUBT = Status.SENDING, Status.SENT, Status.DELIVERED, Status.IN_DOUBT
QUEUED, FAILED, REJECTED = Status.QUEUED, Status.FAILED, Status.REJECTED
STATUS = {"when": {"command": "status"}}
LOOK = Looks(poll=timedelta(seconds=30), rescue=timedelta(seconds=5))


def claimed(world: World, many: int = 4, route: str = "alpha") -> Package:
    """So many messages in the hands of a dispatcher that will not be heard of again."""
    world.enqueue(messages(many, route=route))
    package = world.claim(route).package
    assert package is not None
    return package


def submitted(world: World, package: Package, route: str = "alpha") -> Reply:
    """It did send them, and did not live to write it down."""
    line = world.line(route)
    reply = world.runtime.exchange(line.config, line.dialect.submit(package.items))
    assert isinstance(reply, Reply)
    return reply


def doubtful(world: World, many: int = 4, share: float = 1, route: str = "alpha") -> None:
    """Messages in doubt whose first question is due: `share` of them they do not have."""
    world.enqueue(messages(many, route=route))
    world.provider.script(
        {"do": "message_code", "code": 200, "share": share, "times": 1}
        if route == "alpha"
        else {"do": "drop_before", "times": 1}
    )
    world.dispatch(route)
    world.passes(seconds=6)


# -- leases that ran out


def test_a_package_whose_lease_ran_out_is_in_doubt(world: World) -> None:
    claimed(world)
    world.passes(seconds=61)

    assert world.rescue() == Rescued(lapsed=1)

    assert world.statuses() == {IN_DOUBT: 4}
    (package,) = world.packages()
    assert (package.state, package.reason) == ("in_doubt", "its dispatcher went away")
    assert timedelta(seconds=4) < package.rescue_in <= timedelta(seconds=5)
    assert world.walked() == ["queued", "sending", "in_doubt"]


def test_a_package_within_its_lease_is_left_alone(world: World) -> None:
    claimed(world)
    world.passes(seconds=55)

    assert world.rescue() == Rescued()

    assert world.statuses() == {SENDING: 4}


def test_a_job_has_no_lease_to_run_out(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue(messages(2, route="beta"))
    world.dispatch("beta")
    world.passes(hours=1)

    assert world.rescue("beta") == Rescued()

    assert world.statuses() == {SENDING: 2}


@pytest.mark.parametrize("route", ["alpha", "beta"])
def test_what_the_dead_dispatcher_had_sent_is_found_by_asking(world: World, route: str) -> None:
    submitted(world, claimed(world, route=route), route)
    world.provider.settle_down()
    world.passes(seconds=61)
    world.rescue(route)
    world.passes(seconds=6)

    assert world.rescue(route) == Rescued(doubtful=4, taken=4)

    assert world.statuses() == {DELIVERED: 4}
    assert world.walked() == ["queued", "sending", "in_doubt", "sent", "delivered"]
    assert world.message().provider_message_id
    assert world.states() == {"closed": 1}
    assert world.provider.requests("status") == 1


def test_what_is_found_under_way_is_sent_and_looked_at_later(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    submitted(world, claimed(world))
    world.passes(seconds=61)
    world.rescue()
    world.passes(seconds=6)
    world.rescue()

    assert world.statuses() == {SENT: 4}
    (package,) = world.packages()
    assert (package.state, package.rescue_at, package.in_doubt_since) == ("settled", None, None)
    assert timedelta(seconds=29) < package.poll_in <= timedelta(seconds=30)


def test_what_it_had_not_sent_is_sent_once_under_the_same_id(world: World) -> None:
    claimed(world)
    references = world.references()
    world.passes(seconds=61)

    assert world.until_final() == {DELIVERED: 4}

    assert world.references() == references
    assert world.provider.times() == dict.fromkeys(references, 1)
    assert world.message().attempts == 1


# -- denied twice, and for long enough


@pytest.mark.slow
def test_what_they_deny_is_queued_again_only_when_denied_twice_and_for_long_enough(world: World) -> None:
    doubtful(world)
    world.passes(seconds=-6)  # a fresh doubt

    seen: list[tuple[int, dict[Status, int]]] = []
    for second in range(0, 80, 2):
        world.rescue()
        seen.append((second, dict(world.statuses())))
        world.passes(seconds=2)

    queued_from = min(second for second, statuses in seen if statuses == {QUEUED: 4})
    assert 60 <= queued_from <= 66
    assert world.provider.requests("status") >= 2
    assert {tuple(statuses) for second, statuses in seen if second < queued_from} == {(IN_DOUBT,)}


def test_one_denial_is_not_enough_however_late_it_comes(world: World) -> None:
    doubtful(world)
    world.passes(hours=5)

    assert world.rescue() == Rescued(doubtful=4)
    assert world.statuses() == {IN_DOUBT: 4}

    world.passes(seconds=61)
    assert world.rescue() == Rescued(doubtful=4, requeued=4)


def test_a_question_that_was_not_answered_is_no_denial(world: World) -> None:
    doubtful(world)
    world.passes(minutes=5)
    world.provider.script({"do": "http", "code": 500, "times": 1, **STATUS})
    world.rescue()
    world.passes(minutes=5)

    world.rescue()  # denied for the first time

    assert world.statuses() == {IN_DOUBT: 4}
    world.passes(minutes=5)
    world.rescue()
    assert world.statuses() == {QUEUED: 4}


def test_a_message_that_was_not_asked_for_was_not_denied(open_world: OpenWorld) -> None:
    """Slow answers end the asking early: what was left out then is asked for the first time later."""
    world = open_world(alpha={"status_items": 2})
    doubtful(world)
    world.passes(minutes=5)
    clock = count(0, 25)
    rescue(replace(world.runtime, clock=lambda: float(next(clock))), "alpha")
    assert world.provider.requests("status") == 1
    world.passes(minutes=5)

    world.rescue()

    assert [world.message(n).status for n in (3, 4)] == ["in_doubt", "in_doubt"]


def test_what_may_wait_in_a_job_is_denied_for_longer(world: World) -> None:
    doubtful(world, route="beta")
    for _ in range(9):
        world.rescue("beta")
        world.passes(minutes=1)
    assert world.statuses() == {IN_DOUBT: 4}

    for _ in range(3):
        world.rescue("beta")
        world.passes(minutes=1)

    assert world.statuses() == {QUEUED: 4}
    assert world.provider.requests("status") >= 2


@pytest.mark.parametrize("unknown_id", ["answered", "left out"])
@pytest.mark.slow
def test_known_ones_are_adopted_and_the_others_sent_once_under_the_same_id(
    open_world: OpenWorld, unknown_id: Any
) -> None:
    world = open_world(provider=replace(KIND, unknown_id=unknown_id))
    world.enqueue(messages(6))
    references = world.references()
    world.provider.script({"do": "message_code", "code": 200, "share": 0.5, "times": 1})
    world.dispatch()
    world.provider.settle_down()
    assert world.statuses() == {SENT: 3, IN_DOUBT: 3}

    assert world.until_final() == {DELIVERED: 6}

    assert world.walked(1) == [
        *("queued", "sending", "in_doubt", "queued", "sending", "sent", "delivered"),
    ]
    assert world.walked(2) == ["queued", "sending", "sent", "delivered"]
    assert world.message(1).attempts == 1
    assert world.provider.times() == dict.fromkeys(references, 1)


def test_questions_come_at_growing_intervals_and_right_when_patience_ends(world: World) -> None:
    doubtful(world)
    world.passes(seconds=-1)  # five seconds after the doubt began

    waits = []
    while world.statuses() == {IN_DOUBT: 4}:
        world.rescue()
        if (package := world.packages()[0]).rescue_in is not None:
            left = package.rescue_in.total_seconds()  # a little less than it was: reading it takes time, too
            waits.append(ceil(left))
            world.passes(seconds=left + 0.1)

    assert waits == [10, 20, 30]


def test_what_was_queued_again_counts_an_attempt_and_waits(open_world: OpenWorld) -> None:
    world = open_world(alpha={"attempts": 2})
    rounds = []
    doubtful(world, 1)
    world.provider.script({"do": "drop_before", "when": {"command": "message"}})
    for _ in range(2):
        while world.statuses() == {IN_DOUBT: 1}:
            world.rescue()
            world.passes(minutes=1)
        rounds.append((world.message().status, world.message().attempts))
        world.passes(minutes=20)
        world.dispatch()

    assert rounds == [("queued", 1), ("failed", 2)]
    assert world.provider.taken == 0


# -- late writers


def late_writer(world: World, package: Package, reply: Reply) -> None:
    """The dispatcher that was thought dead comes back with the answer in hand."""
    line = world.line()
    outcome = line.dialect.read_submit(package.items, reply)
    record_submission(world.runtime, line, package, outcome)


def test_a_dispatcher_that_settles_while_it_is_doubted_settles(world: World) -> None:
    package = claimed(world)
    reply = submitted(world, package)
    world.passes(seconds=61)
    world.rescue()

    late_writer(world, package, reply)

    assert world.statuses() == {SENT: 4}
    assert world.states() == {"settled": 1}
    assert world.until_final() == {DELIVERED: 4}


def test_a_dispatcher_that_settles_after_all_was_settled_changes_nothing(world: World) -> None:
    package = claimed(world)
    reply = submitted(world, package)
    world.provider.settle_down()
    world.passes(seconds=61)
    world.rescue()
    world.passes(seconds=6)
    world.rescue()
    assert world.statuses() == {DELIVERED: 4}

    late_writer(world, package, reply)

    assert world.statuses() == {DELIVERED: 4}
    assert world.walked() == ["queued", "sending", "in_doubt", "sent", "delivered"]
    assert world.packages()[0].poll_at is None


def denied_until_queued(world: World) -> None:
    world.provider.script({"do": "message_code", "code": 201, **STATUS})
    world.passes(seconds=61)
    while world.statuses() != {QUEUED: 4}:
        world.rescue()
        world.passes(minutes=1)
    world.provider.script()


def test_a_dispatcher_that_settles_after_its_messages_were_queued_again_changes_nothing(world: World) -> None:
    package = claimed(world)
    reply = submitted(world, package)
    denied_until_queued(world)

    late_writer(world, package, reply)

    assert world.statuses() == {QUEUED: 4}
    assert world.walked()[-2:] == ["in_doubt", "queued"]


def test_a_dispatcher_that_settles_after_others_have_them_changes_nothing(world: World) -> None:
    package = claimed(world)
    reply = submitted(world, package)
    denied_until_queued(world)
    second = world.claim().package
    assert second is not None

    late_writer(world, package, reply)

    assert world.statuses() == {SENDING: 4}
    assert {world.message(n).package_id for n in (1, 2, 3, 4)} == {second.id}
    world.passes(seconds=61)
    assert world.until_final() == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_a_job_number_that_comes_too_late_is_settled_by_asking(world: World) -> None:
    package = claimed(world, route="beta")
    reply = submitted(world, package, "beta")
    world.passes(seconds=61)
    world.rescue("beta")

    line = world.line("beta")
    record_submission(world.runtime, line, package, line.dialect.read_submit(package.items, reply))

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.states() == {"in_doubt": 1}
    assert world.until_final() == {DELIVERED: 4}
    assert world.provider.taken == 4


# -- 208: they had it before


def test_a_message_they_had_before_is_adopted(world: World) -> None:
    """The first request was late, not lost: it was denied, queued again, and refused as a repeat."""
    package = claimed(world)
    submitted(world, package)
    denied_until_queued(world)
    world.provider.settle_down()
    world.passes(minutes=1)

    world.dispatch()

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.history().events[-1].code == "208"
    assert world.provider.see("counts")["repeats_refused"] == 4
    world.passes(seconds=6)
    world.rescue()
    assert world.statuses() == {DELIVERED: 4}
    assert world.provider.taken == 4


# -- bad answers while asking


@pytest.mark.parametrize(
    "fault",
    [
        *BAD_REPORTS,
        {"do": "message_code", "code": 200},
        {"do": "message_code", "code": 208},
        {"do": "message_code", "code": 212},
        {"do": "message_code", "code": 777},
        {"do": "unknown_code", "code": 777},
    ],
    ids=named,
)
def test_a_bad_answer_settles_nothing(world: World, fault: dict[str, Any]) -> None:
    submitted(world, claimed(world))
    world.provider.settle_down()
    world.passes(seconds=61)
    world.rescue()
    world.provider.script({**fault, **STATUS})
    for _ in range(4):
        world.passes(minutes=2)
        world.rescue()
    assert world.provider.hits() == 4
    assert world.statuses() == {IN_DOUBT: 4}
    assert world.route().state == "active"

    world.provider.script()
    world.passes(minutes=2)
    world.rescue()
    assert world.statuses() == {DELIVERED: 4}


@pytest.mark.parametrize("code", [202, 205, 209, 210])
def test_not_being_let_in_when_asking_stops_no_sending(world: World, code: int) -> None:
    doubtful(world)
    world.provider.script({"do": "error", "code": code, **STATUS})

    world.rescue()

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.route().state != "stopped"
    [row] = world.rows("SELECT reason FROM refused_questions WHERE question = 'status'")
    assert f"code {code}" in row.reason


def test_a_disabled_account_says_nothing_of_a_message(world: World) -> None:
    doubtful(world)
    world.provider.script({"do": "message_code", "code": 205, **STATUS})

    for _ in range(4):
        world.rescue()
        world.passes(minutes=2)

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.packages()[0].inquiry_count == 0, "a refusal is no denial"
    assert world.route().state != "stopped"


@pytest.mark.parametrize("code", [206, 207])
def test_an_empty_account_is_one_denial_and_costs_no_attempt(world: World, code: int) -> None:
    doubtful(world)
    world.provider.script({"do": "message_code", "code": code, **STATUS})

    assert world.rescue() == Rescued(doubtful=4)
    assert world.statuses() == {IN_DOUBT: 4}
    assert not world.route().reason.startswith("money"), "the next sending finds out by itself"
    world.passes(minutes=2)

    assert world.rescue() == Rescued(doubtful=4, requeued=4)
    assert world.message().attempts == 0


def test_a_message_missing_from_an_answer_is_one_they_do_not_have(world: World) -> None:
    doubtful(world)
    world.provider.script({"do": "missing", "share": 1, **STATUS})
    world.rescue()
    world.passes(minutes=2)

    assert world.rescue() == Rescued(doubtful=4, requeued=4)


def test_what_was_rejected_inside_a_job_whose_number_was_lost_is_rejected(open_world: OpenWorld) -> None:
    world = open_world(provider=replace(KIND, mix=replace(KIND.mix, refused_recipients="2$")))
    world.enqueue(messages(3, route="beta"))
    world.provider.script({"do": "drop_after", "times": 1})
    world.dispatch("beta")

    assert world.until_final() == {REJECTED: 1, DELIVERED: 2}
    assert world.walked(2) == ["queued", "sending", "in_doubt", "rejected"]


def test_asking_takes_as_few_requests_as_they_allow(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 50, "status_items": 100, "parallel": 9, "pause_first": "1ms"})
    world.enqueue(messages(250))
    for _ in range(5):
        world.claim()
    world.passes(seconds=61)
    world.rescue()
    world.passes(seconds=6)

    world.rescue()

    assert world.provider.requests("status") == 3


# -- policies


def in_doubt_for_good(world: World) -> None:
    submitted(world, claimed(world))
    world.passes(seconds=61)
    world.rescue()


def test_hold_leaves_it_to_a_person(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold"})
    in_doubt_for_good(world)
    for _ in range(5):
        world.passes(hours=1)
        assert world.rescue() == Rescued()

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.provider.requests("status") == 0


def test_fail_gives_up(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "fail"})
    in_doubt_for_good(world)
    world.passes(seconds=6)

    world.rescue()

    assert world.statuses() == {FAILED: 4}
    assert world.history().events[-1].note == "in doubt; policy fail of the route"
    assert world.states() == {"closed": 1}
    assert world.provider.requests("status") == 0


def test_resend_sends_again_and_never_more_often_than_attempts(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "resend", "attempts": 2})
    world.enqueue([message(1)])
    world.provider.script({"do": "drop_before"})
    transitions_of = []
    for _ in range(8):
        world.dispatch()
        world.rescue()
        transitions_of.append(world.message().status)
        world.passes(minutes=20)

    assert world.walked() == ["queued", "sending", "in_doubt", "queued", "sending", "in_doubt", "failed"]
    assert world.provider.requests("message") == 2
    assert world.provider.requests("status") == 0


@pytest.mark.parametrize("route", ["alpha", "beta"])
def test_a_message_s_own_policy_comes_before_its_route_s(open_world: OpenWorld, route: str) -> None:
    policies = {"fail": FAILED, "resend": QUEUED, "hold": IN_DOUBT, "": IN_DOUBT}
    world = open_world(alpha={"in_doubt": "hold"}, beta={"in_doubt": "hold"})
    world.enqueue([message(n, route=route, in_doubt=own) for n, own in enumerate(policies, 1)])
    world.claim(route)
    world.passes(seconds=61)
    world.rescue(route)
    world.passes(seconds=6)

    assert world.rescue(route) == Rescued(doubtful=2, requeued=1)

    assert [world.message(n).status for n in range(1, 5)] == list(policies.values())
    assert world.message(2).attempts == 1
    assert [world.history(n).events[-1].note for n in (1, 2)] == [
        "in doubt; policy fail of the message",
        "in doubt; policy resend of the message",
    ]
    (package,) = world.packages()
    assert (package.state, package.rescue_at is not None) == ("in_doubt", True)
    assert world.provider.requests("status") == 0


def test_a_message_is_held_on_a_route_that_gives_up(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "fail"})
    world.enqueue([message(1, in_doubt="hold"), message(2)])
    world.claim()
    for _ in range(3):
        world.passes(hours=1)
        world.rescue()

    assert [world.message(n).status for n in (1, 2)] == ["in_doubt", "failed"]


@pytest.mark.parametrize("own", ["hold", "resend", "fail"])
def test_where_the_provider_can_be_asked_no_policy_matters(world: World, own: str) -> None:
    world.enqueue([message(1, in_doubt=own), message(2, in_doubt=own)])
    package = world.claim().package
    assert package is not None
    submitted(world, package)
    world.provider.settle_down()
    world.passes(seconds=61)
    world.rescue()
    world.passes(seconds=6)

    world.rescue()

    assert world.statuses() == {DELIVERED: 2}


def test_what_is_sent_again_too_often_fails_and_says_by_which_policy(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold", "attempts": 1})
    world.enqueue([message(1, in_doubt="resend")])
    world.claim()
    world.passes(seconds=61)
    world.rescue()
    world.passes(seconds=6)
    world.rescue()

    assert world.statuses() == {FAILED: 1}
    assert world.history().events[-1].note == "in doubt; policy resend of the message; attempts used up"


def test_what_is_held_is_looked_at_ever_more_rarely(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold", "poll_max": "10m"})
    in_doubt_for_good(world)

    waits: list[float] = []
    while len(waits) < 10:
        waits.append(world.packages()[0].rescue_in.total_seconds())
        world.passes(seconds=waits[-1] + 0.02)
        assert not world.rescue().more

    assert waits == pytest.approx([5, 5, 10, 20, 40, 80, 160, 320, 600, 600], rel=0.1)
    assert world.statuses() == {IN_DOUBT: 4}
    assert world.packages()[0].inquiry_count == 0


def test_between_two_looks_nothing_of_what_is_held_is_touched(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold"})
    in_doubt_for_good(world)
    world.passes(hours=1)
    world.rescue()
    before = world.rows("SELECT xmin, * FROM packages")

    assert world.rescue() == Rescued()

    assert world.rows("SELECT xmin, * FROM packages") == before


@pytest.mark.slow
def test_more_held_packages_than_a_step_takes_are_looked_at_in_several_and_then_rest(
    open_world: OpenWorld,
) -> None:
    world = open_world(alpha={"in_doubt": "hold"})
    world.enqueue(messages(510))
    with world.runtime.ledger.begin() as connection:
        for _ in range(510):
            claim(
                connection, ClaimRequest("alpha", Limits(1, 1), parallel=1000, lease=timedelta(0)), Lane.BULK
            )
    world.passes(seconds=61)
    while world.rescue().lapsed:
        pass
    assert world.statuses() == {IN_DOUBT: 510}
    world.passes(hours=1)

    assert [world.rescue().more for _ in range(3)] == [True, False, False]

    assert world.statuses() == {IN_DOUBT: 510}
    assert all(package.rescue_in > timedelta(minutes=14) for package in world.packages())


def test_what_is_held_obeys_the_policy_its_route_is_given_later(open_world: OpenWorld) -> None:
    in_doubt_for_good(open_world(alpha={"in_doubt": "hold"}))
    world = open_world(alpha={"in_doubt": "fail"})
    world.passes(minutes=16)

    world.rescue()

    assert world.statuses() == {FAILED: 4}


def test_looks_at_what_was_held_are_no_denials_once_its_route_asks(open_world: OpenWorld) -> None:
    held = open_world(alpha={"in_doubt": "hold"})
    claimed(held)
    for _ in range(5):
        held.passes(hours=1)
        held.rescue()
    world = open_world(alpha={"in_doubt": "ask"})
    world.passes(hours=1)

    assert world.rescue() == Rescued(doubtful=4)

    assert world.statuses() == {IN_DOUBT: 4}
    world.passes(minutes=2)
    assert world.rescue() == Rescued(doubtful=4, requeued=4)


def test_hold_still_takes_up_what_a_dead_dispatcher_left(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold"})
    claimed(world)
    world.passes(seconds=61)

    assert world.rescue() == Rescued(lapsed=1)

    assert world.statuses() == {IN_DOUBT: 4}


# -- several rescuers


@pytest.mark.slow
def test_two_rescuers_at_once_do_no_harm(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 10})
    world.enqueue(messages(100))
    packages = [world.claim().package for _ in range(8)]  # eight lapse, two never were
    for package in packages[:4]:
        assert package is not None
        submitted(world, package)
    world.provider.settle_down()
    world.passes(seconds=61)

    with ThreadPoolExecutor(2) as rescuers:
        for _ in range(3):
            list(rescuers.map(lambda _: world.rescue(), range(2)))
            world.passes(seconds=40)

    assert world.statuses() == {QUEUED: 60, DELIVERED: 40}
    assert max(row.attempts for row in world.rows("SELECT attempts FROM messages")) == 1
    assert world.until_final() == {DELIVERED: 100}
    assert world.provider.taken == 100


def overtaking(world: World, act: Callable[[], object]) -> Callable[[], float]:
    """Chance is asked for between the answer and the book: there something else happens, once."""
    done: list[object] = []

    def chance() -> float:
        if not done:
            done.append(None)
            act()
        return 0.5

    return chance


def test_a_rescuer_that_comes_late_queues_nothing_again(world: World) -> None:
    """While it holds two denials in its hands, another has queued the messages, and they were sent."""
    doubtful(world)
    world.rescue()
    world.passes(minutes=2)

    def meanwhile() -> None:
        world.passes(minutes=2)
        assert world.rescue().requeued == 4
        world.passes(minutes=1)
        assert world.dispatch().messages == 4

    assert rescue(replace(world.runtime, chance=overtaking(world, meanwhile)), "alpha").requeued == 0

    assert world.statuses() == {SENT: 4}
    assert world.until_final() == {DELIVERED: 4}


# -- a person's word between our question and the book


def says(world: World, word: Resolution) -> None:
    """Somebody runs `worker resolve --all`."""
    with world.runtime.ledger.snapshot() as connection:
        meant = chunks(connection, DoubtSelection())
    for chunk in meant:
        with world.runtime.ledger.begin() as connection:
            resolve(connection, chunk, word, looks=lambda _: LOOK, note="resolved by anna: seen")


WORDS = [(Resolution.SENT, SENT), (Resolution.REJECTED, REJECTED), (Resolution.REQUEUE, QUEUED)]


@pytest.mark.parametrize(("word", "status"), WORDS)
@pytest.mark.parametrize("policy", ["ask", "resend"])
def test_what_a_person_settles_first_is_settled(
    open_world: OpenWorld, policy: str, word: Resolution, status: Status
) -> None:
    world = open_world(alpha={"in_doubt": policy})
    doubtful(world)
    if policy == "ask":
        world.rescue()  # denied once
        world.passes(minutes=2)

    chance = overtaking(world, lambda: says(world, word))
    done = rescue(replace(world.runtime, chance=chance), "alpha")

    assert (done.doubtful, done.requeued) == (4, 0)
    assert world.statuses() == {status: 4}
    assert world.history().events[-1].note == "resolved by anna: seen"
    assert world.message().attempts == 0
    (package,) = world.packages()
    assert (package.rescue_at, package.poll_at is not None) == (None, status is SENT)


@pytest.mark.parametrize("route", ["alpha", "beta"])
def test_what_is_resolved_as_sent_is_polled_until_its_end(open_world: OpenWorld, route: str) -> None:
    world = open_world(alpha={"in_doubt": "hold"}, beta={"in_doubt": "hold"})
    submitted(world, claimed(world, route=route), route)
    world.passes(seconds=61)
    world.rescue(route)

    says(world, Resolution.SENT)

    assert world.until_final() == {DELIVERED: 4}
    assert world.walked() == ["queued", "sending", "in_doubt", "sent", "delivered"]


def test_what_is_queued_again_by_hand_is_sent_though_its_attempts_are_used_up(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold", "attempts": 1})
    claimed(world)
    world.passes(seconds=61)
    world.rescue()
    world.rows("UPDATE messages SET attempts = 1 RETURNING id")

    says(world, Resolution.REQUEUE)

    assert world.until_final() == {DELIVERED: 4}
    assert world.message().attempts == 1


def test_a_dispatcher_thought_dead_changes_nothing_of_a_person_s_word(open_world: OpenWorld) -> None:
    world = open_world(alpha={"in_doubt": "hold"})
    package = claimed(world)
    reply = submitted(world, package)
    world.passes(seconds=61)
    world.rescue()
    says(world, Resolution.REJECTED)

    late_writer(world, package, reply)

    assert world.statuses() == {REJECTED: 4}
    assert world.states() == {"closed": 1}


# -- so long in doubt that they may have forgotten


def test_what_is_denied_after_a_day_is_left_to_people(world: World) -> None:
    doubtful(world)
    world.passes(days=2)

    for _ in range(4):
        world.rescue()
        world.passes(hours=1)

    assert world.statuses() == {IN_DOUBT: 4}


def test_what_they_know_after_a_day_is_settled(world: World) -> None:
    submitted(world, claimed(world))
    world.provider.settle_down()
    world.passes(seconds=61)
    world.rescue()
    world.passes(days=2)

    world.rescue()

    assert world.statuses() == {DELIVERED: 4}
