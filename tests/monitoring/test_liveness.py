"""Who is stalled, who is offline, who is only busy: judged by heartbeats, wake-ups and answers at one
instant."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from bulk_dispatch.monitoring.heartbeat import STALL_AFTER, Heartbeat
from bulk_dispatch.monitoring.liveness import RULES, Liveness, Snapshot, WorkerSigns, check_process
from bulk_dispatch.monitoring.process import Process

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BULK = frozenset({"bulk"})


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


FRESH, LONG_AGO = ago(1), ago(60)
BEAT = Heartbeat(
    "beat@a", frozenset({"urgent", "bulk", "poll"}), FRESH, FRESH, FRESH, ticking_since=ago(3600)
)
WORKING = Heartbeat("bulk@a", BULK, FRESH, FRESH, FRESH, slots=4, max_step=timedelta(minutes=10))
STOOD = replace(WORKING, last_activity_at=LONG_AGO, last_success_at=LONG_AGO)
"""It began no step for a minute."""
FULL = replace(STOOD, active=4)
"""Its hands are all full for a minute, and it says so."""
PEER = replace(WORKING, node="bulk@b")


def state(
    heartbeat: Heartbeat, *others: Heartbeat, notified: int = 0, answers: bool | None = None
) -> Liveness:
    """What is said of `heartbeat` beside these others."""
    nodes = {each.node: each.queues for each in others}
    asked = None if answers is None else {**nodes, **({heartbeat.node: heartbeat.queues} if answers else {})}
    snapshot = Snapshot(NOW, [heartbeat, *others], {"bulk": notified}, asked)
    [found] = [each for each in snapshot.check() if each.node == heartbeat.node]
    return found.state


# -- who works


def test_a_step_that_ended_a_moment_ago_is_work() -> None:
    assert state(WORKING, BEAT) is Liveness.HEALTHY


def test_a_ping_missed_by_one_who_works_means_nothing() -> None:
    assert state(WORKING, BEAT, answers=False) is Liveness.HEALTHY


def test_a_step_just_begun_after_a_rest_is_not_stalled() -> None:
    assert state(replace(STOOD, last_activity_at=FRESH, active=1), BEAT) is Liveness.HEALTHY


def test_a_worker_that_just_came_up_has_time() -> None:
    assert state(replace(WORKING, last_success_at=None), BEAT) is Liveness.HEALTHY


def test_steps_that_take_long_in_every_slot_are_not_stalled() -> None:
    assert state(FULL, BEAT, notified=100, answers=True) is Liveness.SATURATED


def test_a_ping_missed_by_one_who_says_that_its_hands_are_full_means_nothing() -> None:
    assert state(FULL, BEAT, answers=False) is Liveness.SATURATED
    assert state(FULL, BEAT, PEER, answers=False) is Liveness.SATURATED


def test_one_of_many_workers_of_a_queue_is_served_less_often() -> None:
    crowd = [replace(PEER, node=f"bulk@{number}") for number in range(60)]
    assert state(STOOD, BEAT, *crowd) is Liveness.HEALTHY
    assert state(STOOD, BEAT, *crowd[:10]) is Liveness.STALLED


# -- Redis's clock is set, too


def test_a_heartbeat_that_lies_ahead_is_from_before_the_clock_was_set_back_and_says_nothing_of_now() -> None:
    clock_skew = ago(-3600)
    silent = replace(WORKING, sent_at=clock_skew, last_activity_at=clock_skew, last_success_at=clock_skew)
    assert state(silent, BEAT, PEER, answers=False) is Liveness.OFFLINE
    assert state(silent, BEAT, answers=True) is Liveness.STALLED
    assert state(replace(silent, active=1), BEAT, answers=True) is Liveness.NO_HEARTBEAT
    silent = replace(BEAT, sent_at=clock_skew, last_activity_at=clock_skew, last_success_at=clock_skew)
    assert check_process("beat@a", NOW, [silent]).state is Liveness.NOT_SCHEDULING


# -- who is stalled


def test_still_while_beat_schedules_is_stalled() -> None:
    assert state(STOOD, BEAT) is Liveness.STALLED
    assert state(STOOD, BEAT, answers=True) is Liveness.STALLED


def test_still_while_wakeups_wait_is_stalled_though_no_beat_schedules() -> None:
    assert state(STOOD, notified=1, answers=True) is Liveness.STALLED


def test_still_with_a_slot_free_is_stalled_whatever_the_other_slots_hold() -> None:
    assert state(replace(STOOD, active=3), BEAT) is Liveness.STALLED


def test_still_while_a_peer_works_is_stalled() -> None:
    assert state(STOOD, PEER, BEAT, answers=True) is Liveness.STALLED


def test_still_and_silent_with_nobody_to_do_its_work_is_stalled() -> None:
    assert state(STOOD, BEAT, answers=False) is Liveness.STALLED


# -- who hangs


@pytest.mark.parametrize("answers", [None, True, False])
def test_all_hands_full_for_longer_than_a_step_may_take_is_stuck(answers: bool | None) -> None:
    hung = replace(FULL, last_success_at=ago(700))
    assert state(replace(hung, last_activity_at=ago(599)), BEAT, answers=answers) is Liveness.SATURATED
    assert state(replace(hung, last_activity_at=ago(601)), BEAT, answers=answers) is Liveness.OVERDUE


def test_a_step_in_hand_of_which_nothing_is_said_any_more_has_no_heartbeat() -> None:
    stopped = replace(FULL, sent_at=LONG_AGO)
    assert state(stopped, BEAT) is Liveness.NO_HEARTBEAT
    assert state(stopped, BEAT, PEER, answers=True) is Liveness.NO_HEARTBEAT
    assert state(stopped, BEAT, answers=False) is Liveness.NO_HEARTBEAT
    assert state(stopped, BEAT, PEER, answers=False) is Liveness.OFFLINE
    assert state(replace(stopped, active=1)) is Liveness.NO_HEARTBEAT  # though nothing is scheduled for it


def test_who_goes_on_after_it_was_stopped_is_busy_again_and_works() -> None:
    thawed = replace(FULL, sent_at=FRESH)
    assert state(thawed, BEAT) is Liveness.SATURATED
    assert (
        state(replace(thawed, active=3, last_activity_at=FRESH, last_success_at=FRESH), BEAT)
        is Liveness.HEALTHY
    )


# -- who is neither


def test_still_and_silent_while_others_do_its_work_is_gone() -> None:
    assert state(STOOD, PEER, BEAT, answers=False) is Liveness.OFFLINE


def test_still_while_nobody_schedules_says_nothing() -> None:
    assert state(STOOD, answers=True) is Liveness.IDLE
    assert state(STOOD, replace(BEAT, last_success_at=LONG_AGO), answers=True) is Liveness.IDLE


def test_an_idle_worker_without_beat_says_seldom_that_it_is_there_and_is_healthy() -> None:
    idle = replace(WORKING, sent_at=ago(800), last_activity_at=ago(9000), last_success_at=None)
    assert check_process("bulk@a", NOW, [idle]).healthy


def test_still_when_beat_has_only_begun_to_schedule_says_nothing_yet() -> None:
    assert state(STOOD, replace(BEAT, ticking_since=ago(5))) is Liveness.IDLE
    assert state(STOOD, replace(BEAT, ticking_since=ago(25))) is Liveness.STALLED


def test_who_consumes_what_beat_does_not_visit_is_idle() -> None:
    assert state(replace(STOOD, queues=frozenset({"celery"})), BEAT, answers=True) is Liveness.IDLE


def test_beginning_steps_and_never_ending_one_is_failing() -> None:
    assert state(replace(STOOD, last_activity_at=FRESH, last_error="LedgerError"), BEAT) is Liveness.FAILING


def test_who_answers_and_sent_no_heartbeat_has_never_worked() -> None:
    snapshot = Snapshot(NOW, [BEAT], {}, {"bulk@a": {"bulk"}})
    [found] = snapshot.check()
    assert found.state is Liveness.NOT_STARTED
    assert found.sentence(NOW) == "bulk@a has done no step yet"


def test_who_came_up_and_never_began_a_step_has_never_worked() -> None:
    assert state(replace(STOOD, last_success_at=None), BEAT, answers=True) is Liveness.NOT_STARTED


def test_beat_is_no_worker() -> None:
    assert Snapshot(NOW, [BEAT], {}, {}).check() == []


# -- the rules

SIGNS = [
    WorkerSigns(**dict(zip(names, values, strict=True)))
    for names in [[sign.name for sign in fields(WorkerSigns)]]
    for values in product((False, True), repeat=len(names))
]
"""All that can be seen of a worker."""


def test_each_rule_decides_about_some_worker() -> None:
    deciding = [next(rule for rule in RULES if rule.applies(signs)) for signs in SIGNS]

    assert set(deciding) == set(RULES)


def test_a_worker_in_which_a_step_succeeded_is_healthy_whatever_else_is_seen() -> None:
    assert {signs.state for signs in SIGNS if signs.succeeded} == {Liveness.HEALTHY}


def test_only_a_worker_that_does_not_answer_is_offline() -> None:
    assert not any(signs.answers for signs in SIGNS if signs.state is Liveness.OFFLINE)


def test_a_worker_with_a_slot_free_and_tasks_waiting_is_never_taken_for_an_idle_one() -> None:
    states = {signs.state for signs in SIGNS if signs.notified and not (signs.full or signs.silent)}

    assert not states & {Liveness.IDLE, Liveness.SATURATED, Liveness.OVERDUE, Liveness.NO_HEARTBEAT}


# -- one process, for its health check


@pytest.mark.parametrize(
    ("node", "healthy", "sentence"),
    [
        ("bulk@a", True, "bulk@a is healthy: no work done since 11:59:59 UTC (1 s)"),
        ("bulk@b", False, "bulk@b is stalled: no work done since 11:59:00 UTC (60 s)"),
        ("bulk@c", False, "bulk@c has sent no heartbeat"),
        ("beat@a", True, "beat@a is healthy: no work done since 11:59:59 UTC (1 s)"),
        ("beat@b", False, "beat@b is not scheduling: no work done since 11:59:00 UTC (60 s)"),
    ],
)
def test_one_process_is_checked_by_the_heartbeats_alone(node: str, healthy: bool, sentence: str) -> None:
    heartbeats = [
        WORKING,
        replace(STOOD, node="bulk@b"),
        BEAT,
        replace(BEAT, node="beat@b", last_success_at=LONG_AGO),
    ]
    checked = check_process(node, NOW, heartbeats)
    assert (checked.healthy, checked.sentence(NOW)) == (healthy, sentence)


def test_trouble_is_told() -> None:
    checked = check_process(
        "bulk@a", NOW, [replace(STOOD, last_activity_at=FRESH, last_error="LedgerError"), BEAT]
    )
    assert not checked.healthy
    assert checked.sentence(NOW).endswith("; its steps end in LedgerError, see its log")


def test_a_process_has_time_to_come_back_by_itself() -> None:
    assert timedelta(seconds=15) < STALL_AFTER


# -- several of one name

NO_HEARTBEAT = replace(FULL, sent_at=LONG_AGO, process=Process("m", 7, 1))
WELL = replace(WORKING, process=Process("m", 8, 1))


@pytest.mark.parametrize("heartbeats", [[NO_HEARTBEAT, WELL], [WELL, NO_HEARTBEAT]])
def test_a_stopped_process_does_not_hide_behind_its_namesake(heartbeats: list[Heartbeat]) -> None:
    checked = check_process("bulk@a", NOW, [*heartbeats, BEAT])

    assert checked.state is Liveness.NO_HEARTBEAT
    assert checked.sentence(NOW).startswith("bulk@a (process 7) sends no heartbeat")


def test_of_two_of_one_name_each_is_judged_and_both_are_told() -> None:
    snapshot = Snapshot(NOW, [NO_HEARTBEAT, WELL, BEAT], {}, {"bulk@a": BULK})

    assert {checked.pid: checked.state for checked in snapshot.check()} == {
        7: Liveness.NO_HEARTBEAT,
        8: Liveness.HEALTHY,
    }
    assert snapshot.namesakes() == {"bulk@a": [7, 8]}
    assert Snapshot(NOW, [WELL, BEAT, replace(BEAT, process=Process("m", 9, 1))], {}).namesakes() == {}
