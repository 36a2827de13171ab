"""Real Flower sees the workers, and every task with its name, its route and what came of it."""

from typing import Any

import httpx
import pytest

from bulk_dispatch.config.settings import child_environment
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.supervisor import Supervisor
from tests.e2e.conftest import Installation
from tests.factories import message
from tests.ports import held_ports
from tests.waiting import eventually

pytestmark = pytest.mark.slow


def test_flower_shows_workers_and_tasks_but_no_texts(installation: Installation) -> None:
    env = {**child_environment(installation.settings), "FLOWER_BASIC_AUTH": "watch:man"}

    def tasks() -> list[dict[str, Any]]:
        try:
            return list(ask.get("/api/tasks").raise_for_status().json().values())
        except httpx.TransportError:
            return []

    with (
        held_ports(1) as [port],
        httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=("watch", "man"), timeout=10) as ask,
        Supervisor([process_set.flower(env, port)], installation.log.append),
    ):
        eventually(tasks, within=40)  # beat's visits
        installation.dispatcher.enqueue(message(1, text="nobody's business"))

        done = eventually(
            lambda: [
                t
                for t in tasks()
                if t["name"] == "bulk_dispatch.dispatch" and "'messages': 1" in (t["result"] or "")
            ]
        )
        assert "alpha" in done[0]["args"]
        assert done[0]["state"] == "SUCCESS"
        workers = ask.get("/api/workers", params={"refresh": 1}).json()
        assert {name.split("@")[0] for name in workers} == {"urgent", "bulk", "poll"}
        assert "nobody's business" not in ask.get("/api/tasks").text
        assert httpx.get(f"http://127.0.0.1:{port}/api/tasks", timeout=10).status_code == 401
