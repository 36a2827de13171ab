"""How long a step may take, and a task."""

from datetime import timedelta

import pytest

from bulk_dispatch.stages.time_limits import STATEMENTS, max_step_duration, max_task_duration
from tests.stages.world import OpenWorld

LIMITS = {
    # eight packages, each a whole lease; five rounds of two askings, each half a lease and an exchange
    "dispatch takes longest": ({"timeout": "5s", "lease": "60s"}, 8 * 60, True),
    "poll takes longest": (
        {"timeout": "20s", "lease": "60s", "connect_timeout": "5s"},
        5 * 2 * (30 + 45),
        False,
    ),
}


@pytest.mark.parametrize(("settings", "seconds", "ingests"), LIMITS.values(), ids=LIMITS)
def test_a_task_takes_one_step_but_the_one_that_ingests_may_dispatch_too(
    open_world: OpenWorld, settings: dict[str, object], seconds: int, ingests: bool
) -> None:
    route = open_world(alpha=settings).line().config

    step = max_step_duration(route)

    assert step == timedelta(seconds=seconds) + STATEMENTS
    assert max_task_duration(route) == step + (STATEMENTS if ingests else timedelta(0))
