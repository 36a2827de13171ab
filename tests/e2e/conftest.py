"""A whole installation: Celery worker and beat processes, and the sandbox as a process over real HTTP."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest

from bulk_dispatch.cli import process_set
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import Books, books
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.messaging.celery_app import QUEUES, celery_app
from bulk_dispatch.messaging.inspection import consumers
from tests.conftest import Setup
from tests.ports import held_ports
from tests.waiting import eventually

SWIFT = {
    "poll_first": "300ms",
    "poll_max": "1s",
    "job_first": "200ms",
    "job_max": "500ms",
    "connect_timeout": "500ms",
    "timeout": "2s",
    "lease": "10s",
    "doubt_first": "200ms",
    "doubt_wait": "1s",
    "doubt_wait_job": "1s",
    "retry_first": "200ms",
    "pause_first": "200ms",
    "pause_max": "1s",
    "package_items": 200,
    "status_items": 1000,
    "parallel": 4,
}
"""A route whose every wait is short."""


@dataclass
class Installation:
    """Real processes on this test's own database; `log` is what they said."""

    settings: Settings
    supervisor: Supervisor
    url: str
    ledger: Ledger
    intake: Intake
    dispatcher: Dispatcher
    log: list[str]

    def enqueue(self, messages: list[Message]) -> None:
        """Hand messages over, as an application does."""
        self.dispatcher.enqueue_many(messages)

    def counts(self) -> dict[str, Any]:
        """The sandbox's own count."""
        found: dict[str, Any] = httpx.get(f"{self.url}/sandbox/counts", timeout=10).json()
        return found

    def script(self, *rules: dict[str, Any]) -> None:
        """Make the sandbox misbehave."""
        httpx.post(f"{self.url}/sandbox/faults", json=list(rules), timeout=10).raise_for_status()

    def books(self) -> Books:
        """The books, at one instant."""
        with self.ledger.snapshot() as connection:
            return books(connection)

    def all_final(self, total: int) -> bool:
        """Whether so many messages are there and every one has its end."""
        found = self.books()
        return found.total == total and all(status in FINAL for status in found.by_status)

    def await_final(self, total: int, within: float = 60) -> Books:
        """The books, once every one of `total` messages has its end."""
        try:
            eventually(lambda: self.all_final(total), within, every=0.2)
        except AssertionError:
            raise AssertionError(f"{self.books()}\n" + "\n".join(self.log[-60:])) from None
        return self.books()

    def kill(self, name: str) -> None:
        """kill -9 one of the processes; the supervisor starts it again."""
        pid = eventually(lambda: self.supervisor.pids().get(name)) or 0
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.supervisor.pids().get(name) != pid)


Install = Callable[..., Installation]


@pytest.fixture
def install(setup: Setup, ledger: Ledger, intake: Intake) -> Iterator[Install]:
    """Starts an installation: `install(alpha={…route…}, without=("beat",), sandbox=("--port", …))`.

    `pool` is that of the workers; `env_of` is added to the environment of processes, by their names.
    """
    opened = ExitStack()

    def start(
        without: tuple[str, ...] = (),
        sandbox: tuple[str, ...] = (),
        log_level: str = "INFO",
        pool: str = "threads",
        env_of: Mapping[str, Mapping[str, str]] = {},
        **routes: dict[str, object],
    ) -> Installation:
        [port] = opened.enter_context(held_ports(1))
        url = f"http://127.0.0.1:{port}"
        settings = replace(setup.routes(**swift(url, routes)), log_level=log_level)
        env = process_set.environment(settings)
        journal = ("--journal", str(setup.folder / "sandbox.journal"))
        workers = [
            replace(
                child,
                command=_pooled(child.command, pool),
                env={**child.env, **env_of.get(child.name, {})},
            )
            for child in process_set.workers(env)
        ]
        children = [process_set.sandbox(env, port, *journal, *sandbox), *workers]
        log: list[str] = []
        dispatcher = opened.enter_context(closing(Dispatcher(settings)))
        supervisor = opened.enter_context(
            Supervisor([child for child in children if child.name not in without], log.append)
        )
        installation = Installation(settings, supervisor, url, ledger, intake, dispatcher, log)
        _await_ready(installation, {"urgent", "bulk", "poll"} - set(without))
        return installation

    with opened:
        yield start


def swift(url: str, routes: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    """Tables of routes to a sandbox, each with short waits and these changes."""
    return {name: {"url": url, "key": "sandbox-key", **SWIFT, **table} for name, table in routes.items()}


def _pooled(command: tuple[str, ...], pool: str) -> tuple[str, ...]:
    if "--pool" not in command:  # beat
        return command
    at = command.index("--pool") + 1
    return (*command[:at], pool, *command[at + 1 :])


def _await_ready(installation: Installation, workers: set[str]) -> None:
    app = celery_app(installation.settings.broker_url)

    def ready() -> bool:
        answers = consumers(app, patience=0.5)
        served = set().union(*answers.values())
        return len(answers) >= len(workers) and (len(workers) < 3 or served.issuperset(QUEUES))

    eventually(ready, within=60)
    eventually(lambda: _healthy(installation.url))


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/sandbox/health", timeout=1).is_success
    except httpx.TransportError:
        return False


def tally(found: Books) -> Counter[Status]:
    """The books as a counter."""
    return Counter(found.by_status)
