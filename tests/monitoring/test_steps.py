"""What is counted of the work of a process, by values alone."""

import pytest

from bulk_dispatch.monitoring.heartbeat import STALL_AFTER
from bulk_dispatch.monitoring.steps import StepCounter

GAP = STALL_AFTER.total_seconds()


def test_a_process_that_came_up_has_done_nothing() -> None:
    steps = StepCounter(100.0)

    assert steps.facts(103.0) == {
        "last_activity": 3.0,
        "last_success": None,
        "ticking": None,
        "active": 0,
        "last_error": "",
    }


def test_a_step_counts_from_its_beginning_to_its_end() -> None:
    steps = StepCounter(0.0)

    steps.begin(1.0)
    steps.begin(2.0)
    assert (steps.active, steps.last_activity, steps.last_success) == (2, 2.0, None)
    steps.succeed(5.0)
    assert (steps.active, steps.last_activity, steps.last_success) == (1, 5.0, 5.0)


def test_a_step_that_fails_is_activity_and_no_success() -> None:
    steps = StepCounter(0.0)

    steps.begin(1.0)
    steps.fail(2.0, "LedgerError")

    assert steps == StepCounter(2.0, last_error="LedgerError")


def test_a_success_ends_the_trouble_and_an_interruption_does_not() -> None:
    steps = StepCounter(0.0, active=2, last_error="LedgerError")

    steps.interrupt(1.0)
    assert (steps.active, steps.last_error, steps.last_success) == (1, "LedgerError", None)
    steps.succeed(2.0)
    assert (steps.active, steps.last_error, steps.last_success) == (0, "", 2.0)


def test_what_wakes_a_process_is_no_work() -> None:
    steps = StepCounter(0.0, active=1, last_success=0.0, last_error="LedgerError")

    steps.wake(9.0)

    assert steps == StepCounter(9.0, active=1, last_success=0.0, last_error="LedgerError")


@pytest.mark.parametrize(("gap", "since"), [(GAP, 1.0), (GAP + 0.1, 1.0 + GAP + 0.1)])
def test_beat_ticks_without_a_gap_while_none_is_longer_than_a_worker_may_be_inactive(
    gap: float, since: float
) -> None:
    steps = StepCounter(0.0)

    steps.tick(1.0)
    steps.tick(1.0 + gap)

    assert (steps.ticking_since, steps.last_success, steps.active) == (since, 1.0 + gap, 0)
    assert steps.facts(100.0)["ticking"] == 100.0 - since
