"""Every queue has a consumer, every task has a queue, and nobody listens where nothing comes."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.messaging.celery_app import DEFAULT_QUEUE, QUEUES, WAKEUP, queue_of
from bulk_dispatch.stages import dispatch, ingest, poll, rescue
from tests.guards.page import commands
from tests.guards.repository import ROOT, celery_workers, consumed, option, services, text

STAGES = {stage.__name__.rpartition(".")[2] for stage in (dispatch, ingest, poll, rescue)}
STAGES |= {"match", "watch", "close"}
NAMES = {
    "ingest": [*Lane],
    "dispatch": [f"route:{lane}" for lane in Lane],
    **{stage: ["route"] for stage in ("poll", "rescue", "match", "watch")},
    "close": ["journal"],
}

PLACES: dict[str, list[Sequence[str]]] = {
    "docker-compose.yml": [service.get("command", []) for service in services().values()],
    "worker up": [child.command for child in process_set.workers({"WORKER_DATA_DIR": "/"})],
    "docs": list(commands(text("docs/how-to/deploy.md"))),
}
EVERYWHERE = pytest.mark.parametrize("place", PLACES)


@EVERYWHERE
def test_the_queues_consumed_are_the_queues_there_are(place: str) -> None:
    assert consumed(PLACES[place]) == set(QUEUES)


@EVERYWHERE
def test_workers_are_threads(place: str) -> None:
    assert {option(command, "--pool", "-P") for command in celery_workers(PLACES[place])} == {"threads"}


@EVERYWHERE
def test_beat_runs(place: str) -> None:
    assert sum(list(command[-1:]) == ["beat"] for command in PLACES[place]) == 1


@EVERYWHERE
def test_urgent_work_waits_behind_nothing(place: str) -> None:
    for command in celery_workers(PLACES[place]):
        queues = option(command, "-Q", "--queues").split(",")
        assert not {"urgent", "bulk"} <= set(queues)


@pytest.mark.parametrize("stage", sorted(STAGES))
def test_a_wakeup_goes_to_a_queue_there_is(stage: str) -> None:
    assert {queue_of(stage, name) for name in NAMES[stage]} <= set(QUEUES)


@pytest.fixture(scope="module")
def task_table() -> dict[str, Any]:
    """The tasks and beat's schedule, for the routes of the example."""
    program = (
        "import json; from dataclasses import replace; "
        "from bulk_dispatch import beat_schedule, routing, tasks; "
        "from bulk_dispatch.config import routes_file; "
        "ROUTES = routes_file.read_routes(tasks.settings.routes, secret=routes_file.names_only).values(); "
        "TOLD = [replace(route, webhook_secret='secret') for route in ROUTES]; "
        "lines = routing.build_routes({route.name: route for route in TOLD}).values(); "
        "beat = beat_schedule.beat_entries(lines); "
        "told = [sorted(tasks.app.tasks), beat, tasks.app.conf.task_default_queue]; "
        "print(json.dumps(told, default=str))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "worker"),
            "WORKER_ROUTES": str(Path("deploy/routes.example.toml")),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    tasks, beat_entries, default = json.loads(done.stdout)
    return {
        "tasks": {t for t in tasks if t.startswith("bulk_dispatch.")},
        "beat": beat_entries,
        "default": default,
    }


@pytest.mark.slow
def test_a_task_is_a_stage_or_enqueue(task_table: dict[str, Any]) -> None:
    assert task_table["tasks"] == {f"bulk_dispatch.{stage}" for stage in STAGES} | {"bulk_dispatch.enqueue"}
    assert task_table["default"] == DEFAULT_QUEUE


def test_beat_visits_every_stage_on_a_queue_there_is(task_table: dict[str, Any]) -> None:
    visits = task_table["beat"].values()
    assert {visit["task"] for visit in visits} == task_table["tasks"] - {"bulk_dispatch.enqueue"}
    assert {visit["options"]["queue"] for visit in visits} == set(QUEUES) - {DEFAULT_QUEUE}
    assert all(visit["options"]["headers"][WAKEUP] for visit in visits)
