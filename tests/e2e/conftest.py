"""A whole installation: Celery worker and beat processes, and the sandbox as a process over real HTTP."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import httpx
import pytest

from bulk_dispatch.client import Dispatcher
from bulk_dispatch.config.settings import Settings, child_environment
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import upgrade
from bulk_dispatch.ledger.queries import Books, books
from bulk_dispatch.ledger.routes import register_routes
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.messaging.celery_app import QUEUES, celery_app
from bulk_dispatch.messaging.inspection import consumers
from bulk_dispatch.sandbox.options import SANDBOX_LOGIN, SANDBOX_PASSWORD
from tests.conftest import DELETE_ROWS, SERVERS_ARE_GIVEN, Setup, database, server_pair
from tests.ports import held_ports
from tests.waiting import eventually

SWIFT = {
    "poll_first": "300ms",
    "poll_max": "1s",
    "job_first": "200ms",
    "job_max": "500ms",
    "connect_timeout": "500ms",
    "timeout": "2s",
    "lease": "6s",
    "lease_margin": "1s",
    "in_doubt_first": "200ms",
    "in_doubt_wait": "1s",
    "in_doubt_wait_job": "1s",
    "retry_first": "200ms",
    "pause_first": "200ms",
    "pause_max": "1s",
    "package_items": 200,
    "status_items": 1000,
    "parallel": 4,
}
"""A route whose every wait is short."""


UNSENT = {Status.QUEUED, Status.SENDING, Status.IN_DOUBT}


@dataclass
class Installation:
    """Real processes on a database; `log` is what they said."""

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

    def is_at_rest(self) -> bool:
        """Whether nothing is to be sent, or may be on the wire."""
        stands = self.books().by_status
        return not any(self.intake.waiting().values()) and not stands.keys() & UNSENT

    def empty(self) -> None:
        """Forget all messages, here and in the sandbox, beside processes that go on."""
        httpx.post(f"{self.url}/sandbox/reset", timeout=10).raise_for_status()
        with self.ledger.begin() as connection:
            connection.exec_driver_sql(DELETE_ROWS)
            register_routes(connection, SHARED)
        self.intake.client.flushdb()
        self.log.clear()

    def kill(self, name: str) -> None:
        """kill -9 one of the processes; the supervisor starts it again."""
        pid = eventually(lambda: self.supervisor.pids().get(name)) or 0
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: self.supervisor.pids().get(name) != pid)


Install = Callable[..., Installation]


@pytest.fixture
def install(setup: Setup, ledger: Ledger, intake: Intake) -> Iterator[Install]:
    """Starts an installation of this test's own: see `started`. It takes five processes several seconds to
    start: a test that changes none of them, and ends none, takes `installation`."""
    with ExitStack() as opened:
        yield partial(started, opened, setup, ledger, intake)


def started(
    opened: ExitStack,
    setup: Setup,
    ledger: Ledger,
    intake: Intake,
    without: tuple[str, ...] = (),
    sandbox: tuple[str, ...] = (),
    log_level: str = "INFO",
    pool: str = "threads",
    env_of: Mapping[str, Mapping[str, str]] = {},
    **routes: dict[str, object],
) -> Installation:
    """An installation: `alpha={…route…}, without=("beat",), sandbox=("--port", …)`.

    `pool` is that of the workers; `env_of` is added to the environment of processes, by their names.
    """
    [port] = opened.enter_context(held_ports(1))
    url = f"http://127.0.0.1:{port}"
    settings = replace(setup.routes(**swift(url, routes)), log_level=log_level)
    env = child_environment(settings)
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


@pytest.hookimpl(tryfirst=True)  # before the tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that share an installation run in one process; those that start their own are slow."""
    for item in items:
        fixtures = item.fixturenames if isinstance(item, pytest.Function) else ()
        if "_fleet" in fixtures:
            item.add_marker(pytest.mark.xdist_group("installation"))
        elif "install" in fixtures:
            item.add_marker(pytest.mark.slow)


# -- one for many tests

SHARED: dict[str, Any] = {
    "alpha": {"default": True},
    "async": {"mode": "async"},
    "plain": {"provider": "alphasms-http"},
    "webcom": {"provider": "webcom-xml", "token": "sandbox-key"},
    "switch": {"provider": "smartswitch", "login": SANDBOX_LOGIN, "password": SANDBOX_PASSWORD},
}
"""The routes of the installation that tests share."""


def _lasts(fixture_name: str, config: pytest.Config) -> Literal["function", "package"]:
    """Where servers are given there is one Redis for all installations: they follow one another."""
    return "function" if SERVERS_ARE_GIVEN else "package"


@pytest.fixture(scope=_lasts)
def _fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """On servers of its own: others empty theirs, and starve them of memory."""
    with ExitStack() as opened:
        addresses = opened.enter_context(server_pair())
        folder = tmp_path_factory.mktemp("installation")
        database_url = opened.enter_context(database(addresses, "installation"))
        settings = Settings(
            database_url=database_url,
            redis_url=addresses.redis_url,
            broker_url=addresses.broker_url,
            routes=folder / "routes.toml",
            data_dir=folder,
        )
        ledger = opened.enter_context(closing(Ledger.connect(database_url)))
        upgrade(ledger)
        intake = opened.enter_context(closing(Intake.connect(addresses.redis_url)))
        yield started(opened, Setup(settings, folder, []), ledger, intake, **SHARED)


@pytest.fixture
def installation(_fleet: Installation) -> Iterator[Installation]:
    """A whole installation, empty, with the routes of SHARED. Its processes go on to the next test."""
    _fleet.empty()
    processes = _fleet.supervisor.pids()
    yield _fleet
    assert _fleet.supervisor.pids() == processes, "others use them too"
    eventually(_fleet.is_at_rest)


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

    try:
        eventually(ready, within=60)
    except AssertionError:
        raise AssertionError("\n".join(installation.log[-60:])) from None
    eventually(lambda: _healthy(installation.url))


def _healthy(url: str) -> bool:
    try:
        return httpx.get(f"{url}/sandbox/health", timeout=1).is_success
    except httpx.TransportError:
        return False


def tally(found: Books) -> Counter[Status]:
    """The books as a counter."""
    return Counter(found.by_status)
