"""Poll: what was sent is asked about, by package, until everything has its end."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.providers.interface import JobPhase, JobReport, Jobs, Reply, StatusReport
from bulk_dispatch.sandbox.server import Mix
from bulk_dispatch.stages.poll import BREATH, Polled, classify, poll
from tests.factories import message, messages
from tests.stages.world import ENDLESS, KIND, QUICK, OpenWorld, World
from tests.waiting import eventually

SENDING, SENT, DELIVERED, IN_DOUBT = Status.SENDING, Status.SENT, Status.DELIVERED, Status.IN_DOUBT
REJECTED, UNCONFIRMED = Status.REJECTED, Status.UNCONFIRMED
STATUS = {"when": {"command": "status"}}

EVEN = replace(KIND, mix=Mix(delivered=1, undeliverable=1, expired=1, rejected=1))
SLOW_JOBS = replace(KIND, timings=replace(QUICK, job=3600))
PASSING_JOBS = replace(KIND, timings=replace(QUICK, job=1.5))


def sent(world: World, many: int = 4, route: str = "alpha") -> None:
    """So many messages with the provider, ended there, and due for a look."""
    world.enqueue(messages(many, route=route))
    while world.dispatch(route).more:
        pass
    world.provider.settle_down()
    world.passes(seconds=31)


def job_phase(world: World) -> JobPhase | None:
    """Where the one job stands, asked past our stages."""
    line = world.line("beta")
    assert isinstance(line.dialect, Jobs)
    reply = world.runtime.exchange(line.config, line.dialect.job(world.packages()[0].job))
    assert isinstance(reply, Reply)
    report = line.dialect.read_job(reply)
    return report.phase if isinstance(report, JobReport) else None


# -- what a look comes to


@dataclass(frozen=True)
class Look:
    """A message in `status`, what is told of it in a package so old, and what it comes to."""

    report: StatusReport | None
    age: timedelta
    target: Status | None
    status: Status = SENT
    kind: Kind = Kind.SMS


YOUNG, LIMIT, OLD = (timedelta(days=days) for days in (5, 6, 7))
LOOKS = {
    "an end": Look(StatusReport(1, DELIVERED), YOUNG, DELIVERED),
    "an end past the limit": Look(StatusReport(1, REJECTED), OLD, REJECTED),
    "an end of what left in a job": Look(StatusReport(1, DELIVERED), YOUNG, DELIVERED, SENDING),
    "on its way": Look(StatusReport(1, SENT), YOUNG, None),
    "on its way, at the limit": Look(StatusReport(1, SENT), LIMIT, None),
    "on its way, past the limit": Look(StatusReport(1, SENT), OLD, UNCONFIRMED),
    "no news, past the limit": Look(StatusReport(1, None, strange=True), OLD, UNCONFIRMED),
    "not known to them": Look(StatusReport(1, None, known=False), YOUNG, None),
    "not known to them, past the limit": Look(StatusReport(1, None, known=False), OLD, UNCONFIRMED),
    "not known to them, of a job": Look(StatusReport(1, None, known=False), OLD, None, SENDING),
    "not heard of": Look(None, YOUNG, None),
    "not heard of, past the limit": Look(None, OLD, UNCONFIRMED),
    "not heard of, of a job": Look(None, OLD, None, SENDING),
    "in doubt": Look(None, OLD, None, IN_DOUBT),
    "the end of the first channel of two": Look(
        StatusReport(1, Status.EXPIRED, first_channel=True), YOUNG, None, kind=Kind.VIBER_SMS
    ),
    "the end of the first channel of two, past the limit": Look(
        StatusReport(1, Status.EXPIRED, first_channel=True), OLD, UNCONFIRMED, kind=Kind.VIBER_SMS
    ),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_what_a_look_at_a_message_comes_to(world: World, look: Look) -> None:
    asked = OpenMessage(7, 3, 1, "", look.status, 0, look.kind, None, "")

    move = classify(world.line(), asked, look.report, look.age, LIMIT, "reason")

    assert (move and move.to_status) == look.target
    if move:
        assert (move.message_id, move.package_id) == (7, 3)
        assert move.note == ("reason" if move.to_status is UNCONFIRMED else "")


def test_what_has_no_limit_is_waited_for(world: World) -> None:
    asked = OpenMessage(7, 3, 1, "", SENT, 0, Kind.SMS, None, "")

    assert classify(world.line(), asked, None, timedelta(days=10**6), timedelta.max) is None


# -- to the end


@pytest.mark.parametrize("route", ["alpha", "beta"])
def test_every_message_comes_to_the_end_the_provider_tells(open_world: OpenWorld, route: str) -> None:
    world = open_world(provider=EVEN)
    sent(world, 60, route)

    assert world.poll(route).final == 60

    told = world.provider.ends(world.references())
    known = {row.reference: row.status for row in world.rows("SELECT reference, status FROM messages")}
    assert known == told
    assert world.statuses().keys() == {DELIVERED, Status.UNDELIVERABLE, Status.EXPIRED, REJECTED}
    (package,) = world.packages()
    assert (package.state, package.poll_at, package.rescue_at) == ("closed", None, None)


def test_what_has_ended_carries_when_and_by_which_word(world: World) -> None:
    sent(world, 1)

    world.poll()

    row, last = world.message(), world.history().events[-1]
    assert (row.status, row.segments_billed, row.due_at) == ("delivered", 1, None)
    assert row.finalized_at is not None
    assert (last.type, last.from_status, last.code) == ("report", "sent", "102")
    (event,) = world.rows("SELECT happened_at, at FROM events WHERE type = 'report'")
    assert abs(event.happened_at - event.at) < timedelta(seconds=30)  # their zone is read as theirs


def test_a_message_of_a_job_was_sent_before_it_was_delivered(world: World) -> None:
    sent(world, 2, "beta")

    world.poll("beta")

    assert world.walked() == ["queued", "sending", "sent", "delivered"]
    assert world.message().provider_message_id


def test_nothing_is_asked_before_it_is_due(world: World) -> None:
    world.enqueue(messages(2))
    world.dispatch()

    assert world.poll() == Polled()

    assert world.provider.requests("status") == 0


def test_nothing_is_asked_once_the_worker_is_stopping(world: World) -> None:
    sent(world)

    assert poll(replace(world.runtime, stopping=lambda: True), "alpha") == Polled()

    assert world.provider.requests("status") == 0


def test_only_the_named_route_is_polled(world: World) -> None:
    sent(world, 2)

    assert world.poll("beta") == Polled()

    assert world.statuses() == {SENT: 2}


def test_what_is_still_under_way_stays_sent_and_is_looked_at_again(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue(messages(2))
    world.dispatch()
    world.passes(seconds=31)

    assert world.poll() == Polled(packages=1, asked=2)

    assert world.statuses() == {SENT: 2}
    assert world.walked() == ["queued", "sending", "sent"]  # no news is no line of history
    assert world.states() == {"settled": 1}


@pytest.mark.slow
def test_a_package_is_asked_only_for_what_is_open(open_world: OpenWorld) -> None:
    slow_for_some = replace(KIND, timings=replace(QUICK, final=(0.01, 60)))
    world = open_world(provider=slow_for_some)
    world.enqueue(messages(400))
    while world.dispatch().more:
        pass
    world.passes(seconds=31)
    eventually(lambda: world.provider.see("counts")["by_state"].get("delivered", 0), every=0.02)
    first = world.poll()
    world.passes(minutes=2)

    assert first.final > 0
    assert world.poll().asked == 400 - first.final


# -- as few requests as they allow


@pytest.mark.parametrize(
    ("many", "items", "requests"), [(250, 50, 2), (200, 200, 1), (201, 67, 2), (30, 1, 1)]
)
def test_packages_share_status_requests(open_world: OpenWorld, many: int, items: int, requests: int) -> None:
    world = open_world(alpha={"package_items": items})
    sent(world, many)

    done = world.poll()

    assert (done.asked, done.final) == (many, many)
    assert done.packages == -(-many // items)
    assert world.provider.requests("status") == requests


def test_status_items_bounds_a_status_request(open_world: OpenWorld) -> None:
    world = open_world(alpha={"status_items": 7})
    sent(world, 50)

    assert world.poll().final == 50

    assert world.provider.requests("status") == 8


def test_a_job_is_asked_for_once_and_its_messages_only_when_it_has_ended(open_world: OpenWorld) -> None:
    world = open_world(provider=SLOW_JOBS)
    world.enqueue(messages(300, route="beta"))
    world.dispatch("beta")
    world.passes(seconds=3)

    assert world.poll("beta") == Polled(packages=1)

    assert (world.provider.requests("job"), world.provider.requests("status")) == (1, 0)


# -- jobs


def test_while_a_job_waits_its_messages_stay_sending(open_world: OpenWorld) -> None:
    world = open_world(provider=SLOW_JOBS)
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")

    for _ in range(5):
        world.passes(minutes=2)
        world.poll("beta")

    assert world.statuses() == {SENDING: 3}
    assert world.states() == {"job": 1}
    assert world.provider.requests("job") == 5


@pytest.mark.slow
def test_a_job_runs_and_then_completes(open_world: OpenWorld) -> None:
    world = open_world(provider=PASSING_JOBS)
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")

    def looked_at_while_running() -> bool:
        world.passes(minutes=2)
        before = job_phase(world)
        world.poll("beta")
        assert job_phase(world) is not JobPhase.RUNNING or world.statuses() == {SENDING: 3}
        return before is JobPhase.DONE

    eventually(looked_at_while_running, within=20, every=0.05)

    assert world.states()["job"] == 0
    assert world.until_final() == {DELIVERED: 3}


@pytest.mark.slow
def test_of_a_job_that_failed_in_part_none_is_sent_twice_and_none_is_lost(world: World) -> None:
    world.enqueue(messages(10, route="beta"))
    world.provider.script({"do": "job_failed", "share": 0.4, "times": 1})
    world.dispatch("beta")
    eventually(lambda: job_phase(world) is JobPhase.BROKEN, every=0.01)
    assert world.provider.taken == 4
    world.passes(seconds=3)

    world.poll("beta")

    assert world.statuses() == {IN_DOUBT: 10}  # which of them they have is asked by rescue
    world.provider.settle_down()
    world.passes(seconds=6)
    world.rescue("beta")
    assert world.statuses() == {IN_DOUBT: 6, DELIVERED: 4}
    assert world.walked(1) == ["queued", "sending", "in_doubt", "sent", "delivered"]
    assert world.provider.taken == 4  # the rest waits: it might still be queued there

    references = world.references()
    assert world.until_final(step=60) == {DELIVERED: 10}
    assert world.walked(9) == [
        *("queued", "sending", "in_doubt", "queued", "sending", "sent", "delivered"),
    ]
    assert world.message(9).attempts == 1
    assert sorted(world.provider.times().items()) == [(reference, 1) for reference in references]


def test_a_job_they_do_not_know_is_asked_for_thrice_and_then_doubted(world: World) -> None:
    world.enqueue(messages(5, route="beta"))
    world.provider.script({"do": "job_notfound", "when": {"command": "message-async"}, "times": 1})
    world.dispatch("beta")

    seen = []
    for _ in range(3):
        world.passes(minutes=1)
        world.poll("beta")
        seen.append(dict(world.statuses()))

    assert seen == [{SENDING: 5}, {SENDING: 5}, {IN_DOUBT: 5}]
    assert world.until_final() == {DELIVERED: 5}
    assert world.provider.taken == 5


def test_a_job_they_do_not_know_yet_is_waited_for(world: World) -> None:
    world.provider.script({"do": "job_notfound", "when": {"command": "job"}, "times": 2})
    sent(world, 5, "beta")

    for _ in range(3):
        world.passes(minutes=1)
        world.poll("beta")

    assert world.statuses() == {DELIVERED: 5}
    assert world.walked() == ["queued", "sending", "sent", "delivered"]


def test_a_job_whose_number_was_lost_is_settled_by_asking_for_each(world: World) -> None:
    world.enqueue(messages(5, route="beta"))
    world.provider.script({"do": "drop_after", "times": 1})

    world.dispatch("beta")

    assert world.statuses() == {IN_DOUBT: 5}
    assert world.until_final() == {DELIVERED: 5}
    assert world.provider.taken == 5
    assert world.walked() == ["queued", "sending", "in_doubt", "sent", "delivered"]


def test_a_job_older_than_they_remember_is_not_asked_for(open_world: OpenWorld) -> None:
    world = open_world(provider=SLOW_JOBS)
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")
    world.passes(hours=11, minutes=1)

    world.poll("beta")

    assert world.provider.requests("job") == 0
    assert world.statuses() == {IN_DOUBT: 3}


def test_messages_refused_inside_a_job_are_rejected(open_world: OpenWorld) -> None:
    world = open_world(provider=replace(KIND, mix=replace(KIND.mix, refused_recipients="[05]$")))
    sent(world, 10, "beta")

    world.poll("beta")

    assert world.statuses() == {REJECTED: 2, DELIVERED: 8}
    assert world.message(5).status == "rejected"
    assert world.history(5).events[-1].code == "203"


@pytest.mark.slow
def test_money_running_out_inside_a_job_queues_what_is_denied_twice(world: World) -> None:
    world.provider.script({"do": "message_code", "code": 206, "when": {"command": "message-async"}})
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    eventually(lambda: job_phase(world) is JobPhase.DONE, every=0.01)
    world.passes(seconds=3)

    world.poll("beta")

    assert world.statuses() == {IN_DOUBT: 4}
    assert world.route("beta").state == "active", "the next sending finds out by itself"
    for minutes in (1, 10):
        world.passes(minutes=minutes)
        world.rescue("beta")
    assert world.statuses() == {Status.QUEUED: 4}
    assert world.message().attempts == 0, "an empty account is not the message's fault"
    world.mend()
    assert world.until_final() == {DELIVERED: 4}
    assert world.provider.taken == 4


def test_what_a_complete_job_has_no_trace_of_is_in_doubt(world: World) -> None:
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    world.passes(seconds=3)
    world.provider.script({"do": "missing", "share": 0.5, "times": 1, **STATUS})

    world.poll("beta")

    assert world.statuses() == {IN_DOUBT: 2, DELIVERED: 2}
    world.passes(seconds=6)
    world.rescue("beta")
    assert world.statuses() == {DELIVERED: 4}


BAD_REPORTS: list[dict[str, Any]] = [
    {"do": "drop_after"},
    {"do": "cut"},
    {"do": "truncated"},
    {"do": "empty"},
    {"do": "html"},
    {"do": "wrong_root"},
    {"do": "megabyte"},
    {"do": "throttle"},
    {"do": "http", "code": 500},
    {"do": "error", "code": 200},
    {"do": "error", "code": 201},
]


def named(fault: dict[str, Any]) -> str:
    return " ".join(str(part) for part in fault.values())


@pytest.mark.parametrize("fault", BAD_REPORTS, ids=named)
def test_a_bad_report_on_a_job_changes_nothing(world: World, fault: dict[str, Any]) -> None:
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    world.provider.script({**fault, "when": {"command": "job"}, "times": 1})
    world.passes(seconds=3)

    world.poll("beta")

    assert world.provider.hits() == 1
    assert world.statuses() == {SENDING: 3}
    assert (world.states(), world.route("beta").state) == ({"job": 1}, "active")
    world.passes(minutes=1)
    world.poll("beta")
    assert world.statuses() == {DELIVERED: 3}


def test_not_being_let_in_when_asking_for_a_job_stops_no_sending(world: World) -> None:
    world.enqueue(messages(3, route="beta"))
    world.dispatch("beta")
    world.provider.script({"do": "error", "code": 202, "when": {"command": "job"}})
    world.passes(seconds=3)

    world.poll("beta")

    assert world.statuses() == {SENDING: 3}
    assert world.route("beta").state == "active"


@pytest.mark.slow
def test_when_nobody_answers_for_one_job_the_others_are_not_asked_for_either(open_world: OpenWorld) -> None:
    """A silent provider takes a whole time-out for each question: the leases would run out."""
    world = open_world(beta={"package_items": 1, "connect_timeout": "1s", "timeout": "200ms"})
    world.enqueue(messages(4, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    world.provider.script({"do": "slow", "seconds": 60, "when": {"command": "job"}})
    world.passes(seconds=3)

    world.poll("beta")

    assert world.provider.requests("job") == 1
    assert world.states() == {"job": 4}
    world.mend()
    world.passes(minutes=1)
    world.poll("beta")
    assert world.statuses() == {DELIVERED: 4}


def test_a_job_whose_messages_are_asked_for_in_parts_comes_to_its_end(open_world: OpenWorld) -> None:
    """The first part is answered, and denied; the second is not answered; the doubt is settled in between."""
    world = open_world(beta={"status_items": 2})
    world.enqueue(messages(6, route="beta"))
    world.dispatch("beta")
    world.provider.settle_down()
    world.passes(seconds=3)
    denied = {"do": "message_code", "code": 201, "times": 1, **STATUS}
    world.provider.script(denied, {"do": "drop_before", "times": 1, **STATUS})
    world.poll("beta")
    assert world.statuses() == {SENDING: 4, IN_DOUBT: 2}

    world.passes(seconds=6)
    world.rescue("beta")

    assert world.packages()[0].poll_at is not None, "nobody will ever ask for those that are sending"
    assert world.until_final(within=10, step=60) == {DELIVERED: 6}


# -- answers that are none


BAD_ANSWERS: list[dict[str, Any]] = [
    *BAD_REPORTS,
    {"do": "missing", "share": 1},
    {"do": "message_code", "code": 201},
    {"do": "message_code", "code": 200},
    {"do": "message_code", "code": 208},
    {"do": "message_code", "code": 211},
    {"do": "message_code", "code": 212},
    {"do": "message_code", "code": 205},
    {"do": "message_code", "code": 206},
    {"do": "message_code", "code": 777},
    {"do": "unknown_code", "code": 777},
    {"do": "unknown_code", "code": 0},
]


@pytest.mark.parametrize("fault", BAD_ANSWERS, ids=named)
def test_a_bad_answer_about_states_changes_nothing(world: World, fault: dict[str, Any]) -> None:
    sent(world, 4)
    world.provider.script({**fault, **STATUS, "times": 1})

    done = world.poll()

    assert world.provider.hits() == 1
    assert done.final == 0
    assert world.statuses() == {SENT: 4}
    assert world.walked() == ["queued", "sending", "sent"]
    assert world.states() == {"settled": 1}
    world.passes(minutes=5)
    assert world.poll().final == 4


@pytest.mark.parametrize("fault", BAD_ANSWERS, ids=named)
def test_nor_does_it_touch_the_sending(world: World, fault: dict[str, Any]) -> None:
    sent(world, 4)
    world.provider.script({**fault, **STATUS})

    world.poll()

    assert (world.route().state, world.route().consecutive_failures) == ("active", 0)


@pytest.mark.parametrize("code", [777, 9999])
def test_unknown_codes_are_counted(world: World, code: int) -> None:
    sent(world, 4)
    world.provider.script({"do": "unknown_code", "code": code, **STATUS})

    assert world.poll() == Polled(packages=1, asked=4, strange=4)


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_message_missing_from_an_answer_does_not_hide_the_others(world: World, share: float) -> None:
    sent(world, 4)
    world.provider.script({"do": "missing", "share": share, "times": 1, **STATUS})

    world.poll()

    assert world.statuses() == {SENT: int(4 * share), DELIVERED: 4 - int(4 * share)}


@pytest.mark.parametrize("do", ["extra", "wrong_order", "duplicate_items"])
def test_extra_reordered_and_duplicated_states_do_no_harm(open_world: OpenWorld, do: str) -> None:
    world = open_world(provider=EVEN)
    sent(world, 12)
    world.provider.script({"do": do, "times": 1, **STATUS})

    assert world.poll().final == 12

    told = world.provider.ends(world.references())
    assert {row.reference: row.status for row in world.rows("SELECT * FROM messages")} == told


@pytest.mark.parametrize(
    ("fault", "delivered", "requests"),
    [
        # The next question would meet it too: no use in asking on.
        ({"do": "drop_before"}, 3, 2),
        ({"do": "throttle"}, 3, 2),
        # This answer was bad; the next may be good, and must not starve behind it.
        ({"do": "http", "code": 500}, 6, 3),
        ({"do": "truncated"}, 6, 3),
    ],
    ids=["no answer", "throttled", "an error", "a cut answer"],
)
def test_a_failure_in_mid_asking_keeps_what_was_answered(
    open_world: OpenWorld, fault: dict[str, object], delivered: int, requests: int
) -> None:
    world = open_world(alpha={"status_items": 3})
    sent(world, 9)
    world.provider.script({**fault, "skip": 1, "times": 1, **STATUS})

    world.poll()

    assert world.statuses() == {DELIVERED: delivered, SENT: 9 - delivered}
    assert world.provider.requests("status") == requests
    world.passes(minutes=5)
    world.poll()
    assert world.statuses() == {DELIVERED: 9}


def test_slow_answers_end_a_look_before_its_lease_does(open_world: OpenWorld) -> None:
    world = open_world(alpha={"status_items": 2})
    sent(world, 6)
    clock = count(0, 25)  # by which each question takes that long; the lease is of 60 seconds

    poll(replace(world.runtime, clock=lambda: float(next(clock))), "alpha")

    assert world.statuses() == {DELIVERED: 2, SENT: 4}
    assert world.provider.requests("status") == 1
    world.passes(minutes=5)
    assert world.poll().final == 4


# -- when to look again


def wait_in_seconds(world: World) -> int:
    (package,) = world.packages()
    assert isinstance(package.poll_in, timedelta)
    return round(package.poll_in.total_seconds())


def test_the_waits_between_looks_grow_up_to_the_longest(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue([message(1)])
    world.dispatch()

    waits = [wait_in_seconds(world)]
    for _ in range(7):
        world.passes(seconds=waits[-1] + 1)
        world.poll()
        waits.append(wait_in_seconds(world))

    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_the_waits_between_looks_at_a_job_grow_too(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue([message(1, route="beta")])
    world.dispatch("beta")

    waits = [wait_in_seconds(world)]
    for _ in range(6):
        world.passes(seconds=waits[-1] + 1)
        world.poll("beta")
        waits.append(wait_in_seconds(world))

    assert waits == [2, 4, 8, 16, 32, 60, 60]


def test_messages_of_a_job_are_looked_at_from_the_shortest_wait_on(open_world: OpenWorld) -> None:
    """The looks at a job that took its time are no reason to wait long for the states of its messages."""
    world = open_world(provider=replace(ENDLESS, timings=replace(ENDLESS.timings, job=0)))
    world.enqueue([message(1, route="beta")])
    world.provider.script({"do": "http", "code": 500, "when": {"command": "job"}, "times": 4})
    world.dispatch("beta")
    for _ in range(5):
        world.passes(minutes=2)
        world.poll("beta")
    assert world.statuses() == {SENT: 1}

    assert wait_in_seconds(world) <= 60
    world.passes(minutes=2)
    world.poll("beta")
    assert wait_in_seconds(world) <= 120


def test_a_failed_look_is_made_up_for(world: World) -> None:
    sent(world, 2)
    world.provider.script({"do": "drop_before", **STATUS})

    world.poll()

    assert wait_in_seconds(world) == 60


# -- the horizon


def test_past_the_horizon_a_message_without_a_report_is_unconfirmed(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS)
    world.enqueue(messages(3))
    world.dispatch()
    world.passes(days=5, hours=23)
    world.poll()
    assert world.statuses() == {SENT: 3}

    world.passes(hours=2)
    world.poll()

    assert world.statuses() == {UNCONFIRMED: 3}
    (package,) = world.packages()
    assert (package.state, package.poll_at) == ("closed", None)


def test_the_last_look_is_not_put_off_far_past_the_horizon(open_world: OpenWorld) -> None:
    world = open_world(provider=ENDLESS, alpha={"horizon": "1h", "poll_first": "25m", "poll_max": "1d"})
    world.enqueue([message(1)])
    world.dispatch()
    world.passes(minutes=26)
    world.poll()

    assert wait_in_seconds(world) == 34 * 60 + 1


def test_a_report_that_comes_with_the_last_look_counts(world: World) -> None:
    sent(world, 3)
    world.passes(days=7)

    world.poll()

    assert world.statuses() == {DELIVERED: 3}


def test_past_the_horizon_what_they_deny_is_unconfirmed_too(world: World) -> None:
    sent(world, 3)
    world.provider.script({"do": "message_code", "code": 201, **STATUS})
    world.passes(days=7)

    world.poll()

    assert world.statuses() == {UNCONFIRMED: 3}


# -- several pollers


def test_two_pollers_at_once_do_no_harm(open_world: OpenWorld) -> None:
    world = open_world(alpha={"package_items": 20})
    sent(world, 200)

    with ThreadPoolExecutor(2) as pollers:
        done = list(pollers.map(lambda _: world.poll(), range(2)))

    assert world.statuses() == {DELIVERED: 200}
    assert sum(one.final for one in done) == 200
    assert sum(one.packages for one in done) == 10  # no package was leased twice
    assert Counter(row.type for row in world.rows("SELECT type FROM events"))["report"] == 200


def test_a_poller_that_comes_late_changes_nothing(world: World) -> None:
    """Its lease ran out while it was asking, and another has looked meanwhile."""
    sent(world, 3)
    late: list[Polled] = []
    overtaken = replace(world.runtime, chance=overtaking(world, late))
    poll(overtaken, "alpha")

    assert world.statuses() == {DELIVERED: 3}
    assert world.walked() == ["queued", "sending", "sent", "delivered"]
    assert world.states() == {"closed": 1}
    assert world.packages()[0].poll_at is None
    assert late[0].final == 3


def overtaking(world: World, done: list[Polled]) -> Callable[[], float]:
    """Chance is asked for between the answer and the book: there another poller comes by, once."""

    def chance() -> float:
        if not done:
            done.append(Polled())
            world.passes(minutes=5)
            done[0] = world.poll()
        return 0.5

    return chance


def test_a_look_leaves_the_question_about_its_doubtful_siblings_when_it_was(open_world: OpenWorld) -> None:
    """Else messages in doubt are never asked about, as long as those beside them are looked at often."""
    world = open_world(provider=ENDLESS, alpha={"poll_first": "2s", "poll_max": "2s"})
    world.enqueue(messages(2))
    world.provider.script({"do": "missing", "share": 0.5, "times": 1, "when": {"command": "message"}})
    world.dispatch()
    assert world.statuses() == {SENT: 1, IN_DOUBT: 1}

    for _ in range(4):
        world.passes(seconds=3)
        world.poll()
        world.rescue()

    assert world.statuses() == {SENT: 2}


def test_a_provider_that_answers_nothing_does_not_keep_messages_for_ever(open_world: OpenWorld) -> None:
    world = open_world(alpha={"horizon": "1h", "poll_max": "10m"})
    sent(world, 3)
    world.provider.script({"do": "drop_before", **STATUS})

    world.passes(minutes=65)
    world.poll()
    assert world.statuses() == {SENT: 3}  # past the horizon, but nobody has said a word: one wait more

    world.passes(minutes=65)
    world.poll()
    assert world.statuses() == {Status.UNCONFIRMED: 3}


def test_a_provider_that_does_not_answer_gives_way_to_others_after_one_round(open_world: OpenWorld) -> None:
    world = open_world(alpha={"status_items": 1, "package_items": 1})
    sent(world, 3)
    world.provider.script({"do": "drop_before", **STATUS})

    done = world.poll()

    assert (done.unreachable, done.more) == (True, False)
    assert world.provider.requests("status") == 1


@pytest.mark.parametrize(("many", "calls"), [(20, 0), (30, 1), (60, 1)])
def test_a_round_that_may_not_be_the_last_calls_another_poller(
    open_world: OpenWorld, many: int, calls: int
) -> None:
    """A round asks 25 questions of a message each here, and takes packages of ten."""
    world = open_world(alpha={"package_items": 10, "status_items": 1})
    sent(world, many)

    world.poll()

    assert world.notified.count(("poll", "alpha")) == calls


@pytest.mark.parametrize(("left", "notified"), [(0.9, 1), (5, 0)])
def test_what_is_due_before_beat_comes_by_is_notified(
    open_world: OpenWorld, left: float, notified: int
) -> None:
    world = open_world(alpha={"poll_first": "60s"})
    world.enqueue(messages(2))
    world.dispatch()
    world.passes(seconds=60 - left)

    assert world.poll() == Polled()

    later = [notify[2] for notify in world.notified if len(notify) == 3 and notify[:2] == ("poll", "alpha")]
    assert len(later) == notified
    assert all(BREATH.total_seconds() <= seconds <= left for seconds in later)
