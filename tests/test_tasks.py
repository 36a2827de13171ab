"""What the Celery tasks add to the stages."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bulk_dispatch.config.settings import inherited_environment
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.stages.dispatch import Dispatched, dispatch
from bulk_dispatch.tasks import Passed, if_known, keeping
from tests.conftest import Setup

URGENT, OTHER, BULK = ("dispatch", "alpha:urgent"), ("dispatch", "beta:urgent"), ("dispatch", "alpha:bulk")
WAKEUPS = [
    pytest.param(Lane.URGENT, [URGENT], ["alpha:urgent"], [], id="one route is his own errand"),
    pytest.param(Lane.URGENT, [URGENT, OTHER], ["alpha:urgent"], [OTHER], id="of two the first"),
    pytest.param(Lane.URGENT, [URGENT, URGENT], ["alpha:urgent"], [URGENT], id="what came later is notified"),
    pytest.param(Lane.URGENT, [BULK, URGENT], ["alpha:urgent"], [BULK], id="bulk is for the bulk workers"),
    pytest.param(Lane.BULK, [URGENT, BULK], [], [URGENT, BULK], id="a bulk worker keeps nothing"),
]


@pytest.mark.parametrize(("lane", "notified", "kept", "heard"), WAKEUPS)
def test_who_enters_urgent_messages_keeps_one_wakeup_for_itself(
    setup: Setup,
    lane: Lane,
    notified: Sequence[tuple[str, str]],
    kept: Sequence[str],
    heard: Sequence[tuple[str, str]],
) -> None:
    others: list[tuple[str, str]] = []
    own: list[str] = []
    runtime = setup.runtime(
        notify=lambda stage, name, after=0.0: others.append((stage, name)),
        alpha={"url": "http://127.0.0.1:9"},
    )

    for stage, name in notified:
        keeping(runtime, lane, own).notify(stage, name)

    assert own == list(kept)
    assert others == list(heard)


def test_who_is_stopping_keeps_no_wakeup(setup: Setup) -> None:
    others: list[tuple[str, str]] = []
    own: list[str] = []
    runtime = setup.runtime(
        notify=lambda stage, name, after=0.0: others.append((stage, name)),
        alpha={"url": "http://127.0.0.1:9"},
    )

    keeping(replace(runtime, stopping=lambda: True), Lane.URGENT, own).notify(*URGENT)

    assert (own, others) == ([], [URGENT])


def test_a_wakeup_for_a_route_that_is_not_known_here_is_left_to_others(setup: Setup) -> None:
    runtime = setup.runtime(alpha={"url": "http://127.0.0.1:9"})

    assert if_known(runtime, "beta", dispatch, Lane.BULK) == Passed("beta")
    assert isinstance(if_known(runtime, "alpha", dispatch, Lane.BULK), Dispatched)


# -- settings that cannot be used


@pytest.mark.parametrize("command", ["worker", "beat"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_LOG_LEVEL", "loud"),
        ("WORKER_DATABASE_URL", "mysql://me:hush@here/db"),
        ("WORKER_BROKER_URL", "pigeons://me:hush@here"),
        ("WORKER_REDIS_URL", "redis://me:hush@127.0.0.1:9/0?wings=2"),
        ("WORKER_ROUTES", "nowhere.toml"),
    ],
)
def test_given_a_variable_that_cannot_be_used_when_celery_starts_then_one_sentence_says_so(
    setup: Setup, command: str, name: str, value: str
) -> None:
    settings = setup.routes(alpha={"url": "http://127.0.0.1:9"})
    root = str(Path(__file__).parents[1] / "worker")

    ran = subprocess.run(
        [sys.executable, "-m", "celery", "--quiet", "-A", "bulk_dispatch.tasks", command],
        env={**inherited_environment(), **settings.environment(), "PYTHONPATH": root, name: value},
        cwd=setup.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert ran.returncode in (1, 2)
    assert name in ran.stderr
    assert "Traceback" not in ran.stderr + ran.stdout
    assert "hush" not in ran.stderr + ran.stdout
