"""Who is deaf, who is gone, who is only busy: judged by marks, rings and answers at one instant."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bulk_dispatch.monitoring.heartbeat import STILL, Mark, Process
from bulk_dispatch.monitoring.liveness import Evidence, State, judge_node

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
BULK = frozenset({"bulk"})


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


FRESH, LONG_AGO = ago(1), ago(60)
BEAT = Mark("beat@a", frozenset({"urgent", "bulk", "poll"}), FRESH, FRESH, FRESH, unbroken_since=ago(3600))
WORKING = Mark("bulk@a", BULK, FRESH, FRESH, FRESH, hands=4, longest=timedelta(minutes=10))
STOOD = replace(WORKING, heard_at=LONG_AGO, worked_at=LONG_AGO)
"""It came to no door for a minute."""
FULL = replace(STOOD, busy=4)
"""Its hands are all full for a minute, and it says so."""
PEER = replace(WORKING, node="bulk@b")


def state(mark: Mark, *others: Mark, rings: int = 0, answers: bool | None = None) -> State:
    """What is said of `mark` beside these others."""
    nodes = {each.node: each.queues for each in others}
    asked = None if answers is None else {**nodes, **({mark.node: mark.queues} if answers else {})}
    evidence = Evidence(NOW, [mark, *others], {"bulk": rings}, asked)
    [found] = [each for each in evidence.judge() if each.node == mark.node]
    return found.state


# -- who works


def test_a_step_that_ended_a_moment_ago_is_work() -> None:
    assert state(WORKING, BEAT) is State.WORKS


def test_a_ping_missed_by_one_who_works_means_nothing() -> None:
    assert state(WORKING, BEAT, answers=False) is State.WORKS


def test_a_step_just_begun_after_a_rest_is_no_deafness() -> None:
    assert state(replace(STOOD, heard_at=FRESH, busy=1), BEAT) is State.WORKS


def test_a_worker_that_just_came_up_has_time() -> None:
    assert state(replace(WORKING, worked_at=None), BEAT) is State.WORKS


def test_steps_that_take_long_in_every_hand_are_no_deafness() -> None:
    assert state(FULL, BEAT, rings=100, answers=True) is State.BUSY


def test_a_ping_missed_by_one_who_says_that_its_hands_are_full_means_nothing() -> None:
    assert state(FULL, BEAT, answers=False) is State.BUSY
    assert state(FULL, BEAT, PEER, answers=False) is State.BUSY


def test_one_of_many_workers_of_a_queue_is_served_less_often() -> None:
    crowd = [replace(PEER, node=f"bulk@{number}") for number in range(60)]
    assert state(STOOD, BEAT, *crowd) is State.WORKS
    assert state(STOOD, BEAT, *crowd[:10]) is State.DEAF


# -- Redis's clock is set, too


def test_a_mark_that_lies_ahead_is_from_before_the_clock_was_set_back_and_says_nothing_of_now() -> None:
    ahead = ago(-3600)
    silent = replace(WORKING, told_at=ahead, heard_at=ahead, worked_at=ahead)
    assert state(silent, BEAT, PEER, answers=False) is State.GONE
    assert state(silent, BEAT, answers=True) is State.DEAF
    assert state(replace(silent, busy=1), BEAT, answers=True) is State.FROZEN
    mute = replace(BEAT, told_at=ahead, heard_at=ahead, worked_at=ahead)
    assert judge_node("beat@a", NOW, [mute]).state is State.MUTE


# -- who is deaf


def test_still_while_beat_rings_is_deaf() -> None:
    assert state(STOOD, BEAT) is State.DEAF
    assert state(STOOD, BEAT, answers=True) is State.DEAF


def test_still_while_rings_wait_is_deaf_though_no_beat_rings() -> None:
    assert state(STOOD, rings=1, answers=True) is State.DEAF


def test_still_with_a_hand_free_is_deaf_whatever_the_other_hands_hold() -> None:
    assert state(replace(STOOD, busy=3), BEAT) is State.DEAF


def test_still_while_a_peer_works_is_deaf() -> None:
    assert state(STOOD, PEER, BEAT, answers=True) is State.DEAF


def test_still_and_silent_with_nobody_to_do_its_work_is_deaf() -> None:
    assert state(STOOD, BEAT, answers=False) is State.DEAF


# -- who hangs


@pytest.mark.parametrize("answers", [None, True, False])
def test_all_hands_full_for_longer_than_a_step_may_take_is_stuck(answers: bool | None) -> None:
    hung = replace(FULL, worked_at=ago(700))
    assert state(replace(hung, heard_at=ago(599)), BEAT, answers=answers) is State.BUSY
    assert state(replace(hung, heard_at=ago(601)), BEAT, answers=answers) is State.STUCK


def test_a_step_in_hand_of_which_nothing_is_said_any_more_is_frozen() -> None:
    frozen = replace(FULL, told_at=LONG_AGO)
    assert state(frozen, BEAT) is State.FROZEN
    assert state(frozen, BEAT, PEER, answers=True) is State.FROZEN
    assert state(frozen, BEAT, answers=False) is State.FROZEN
    assert state(frozen, BEAT, PEER, answers=False) is State.GONE
    assert state(replace(frozen, busy=1)) is State.FROZEN  # though nobody rings


def test_who_goes_on_after_it_was_frozen_is_busy_again_and_works() -> None:
    thawed = replace(FULL, told_at=FRESH)
    assert state(thawed, BEAT) is State.BUSY
    assert state(replace(thawed, busy=3, heard_at=FRESH, worked_at=FRESH), BEAT) is State.WORKS


# -- who is neither


def test_still_and_silent_while_others_do_its_work_is_gone() -> None:
    assert state(STOOD, PEER, BEAT, answers=False) is State.GONE


def test_still_while_nobody_rings_says_nothing() -> None:
    assert state(STOOD, answers=True) is State.UNRUNG
    assert state(STOOD, replace(BEAT, worked_at=LONG_AGO), answers=True) is State.UNRUNG


def test_an_idle_worker_without_beat_says_seldom_that_it_is_there_and_is_healthy() -> None:
    idle = replace(WORKING, told_at=ago(800), heard_at=ago(9000), worked_at=None)
    assert judge_node("bulk@a", NOW, [idle]).healthy


def test_still_when_beat_has_only_begun_to_ring_says_nothing_yet() -> None:
    assert state(STOOD, replace(BEAT, unbroken_since=ago(5))) is State.UNRUNG
    assert state(STOOD, replace(BEAT, unbroken_since=ago(25))) is State.DEAF


def test_who_consumes_what_beat_does_not_visit_is_not_rung_for() -> None:
    assert state(replace(STOOD, queues=frozenset({"celery"})), BEAT, answers=True) is State.UNRUNG


def test_coming_to_the_door_and_never_ending_a_step_is_failing() -> None:
    assert state(replace(STOOD, heard_at=FRESH, trouble="LedgerError"), BEAT) is State.FAILING


def test_who_answers_and_left_no_mark_has_never_worked() -> None:
    evidence = Evidence(NOW, [BEAT], {}, {"bulk@a": {"bulk"}})
    [found] = evidence.judge()
    assert found.state is State.NEW
    assert found.sentence(NOW) == "bulk@a has never worked"


def test_who_came_up_and_was_never_at_a_door_has_never_worked() -> None:
    assert state(replace(STOOD, worked_at=None), BEAT, answers=True) is State.NEW


def test_beat_is_no_worker() -> None:
    assert Evidence(NOW, [BEAT], {}, {}).judge() == []


# -- one process, for its health check


@pytest.mark.parametrize(
    ("node", "healthy", "sentence"),
    [
        ("bulk@a", True, "bulk@a works: no work done since 11:59:59 UTC (1 s)"),
        ("bulk@b", False, "bulk@b is deaf: no work done since 11:59:00 UTC (60 s)"),
        ("bulk@c", False, "bulk@c has left no mark"),
        ("beat@a", True, "beat@a works: no work done since 11:59:59 UTC (1 s)"),
        ("beat@b", False, "beat@b is mute: no work done since 11:59:00 UTC (60 s)"),
    ],
)
def test_one_process_is_judged_by_the_marks_alone(node: str, healthy: bool, sentence: str) -> None:
    marks = [
        WORKING,
        replace(STOOD, node="bulk@b"),
        BEAT,
        replace(BEAT, node="beat@b", worked_at=LONG_AGO),
    ]
    judged = judge_node(node, NOW, marks)
    assert (judged.healthy, judged.sentence(NOW)) == (healthy, sentence)


def test_trouble_is_told() -> None:
    judged = judge_node("bulk@a", NOW, [replace(STOOD, heard_at=FRESH, trouble="LedgerError"), BEAT])
    assert not judged.healthy
    assert judged.sentence(NOW).endswith("; its steps end in LedgerError, see its log")


def test_a_process_has_time_to_come_back_by_itself() -> None:
    assert timedelta(seconds=15) < STILL


# -- several of one name

FROZEN = replace(FULL, told_at=LONG_AGO, process=Process("m", 7, 1))
WELL = replace(WORKING, process=Process("m", 8, 1))


@pytest.mark.parametrize("marks", [[FROZEN, WELL], [WELL, FROZEN]])
def test_a_frozen_process_does_not_hide_behind_its_namesake(marks: list[Mark]) -> None:
    judged = judge_node("bulk@a", NOW, [*marks, BEAT])

    assert judged.state is State.FROZEN
    assert judged.sentence(NOW).startswith("bulk@a (process 7) is frozen")


def test_of_two_of_one_name_each_is_judged_and_both_are_told() -> None:
    evidence = Evidence(NOW, [FROZEN, WELL, BEAT], {}, {"bulk@a": BULK})

    assert {judged.pid: judged.state for judged in evidence.judge()} == {7: State.FROZEN, 8: State.WORKS}
    assert evidence.namesakes() == {"bulk@a": [7, 8]}
    assert Evidence(NOW, [WELL, BEAT, replace(BEAT, process=Process("m", 9, 1))], {}).namesakes() == {}
