"""The processes under test: Celery workers, beat and the sandbox, restarted when they die."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import psutil

from bulk_dispatch.config.settings import Settings, child_environment
from bulk_dispatch.local.processes import process_set as processes
from bulk_dispatch.local.processes.spec import Child, Restarts
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.messaging.celery_app import QUEUES, BrokerError, celery_app
from bulk_dispatch.messaging.inspection import consumers
from tests.waiting import eventually

WORKERS = ("urgent", "bulk", "poll")
SWIFTLY = Restarts(
    first=timedelta(milliseconds=200), most=timedelta(seconds=1), good_run=timedelta(seconds=2)
)
PATIENCE = 90.0  # seconds for a fleet to come up on a busy machine


@dataclass
class Fleet:
    """Processes that can be killed by name. A second fleet's names end in its suffix."""

    settings: Settings
    supervisor: Supervisor
    kills: int = 0

    def pid(self, name: str) -> int:
        """Of the process of that name, once it runs."""
        return eventually(lambda: self.supervisor.pids().get(name, 0), every=0.01)

    def kill(self, *names: str) -> None:
        """Kill -9, all at once; they are started again by themselves."""
        for name in names:
            eventually(partial(self._killed, name), every=0.01)

    def _killed(self, name: str) -> bool:
        """False if it had just died by itself, or at the sandbox's hand: then the next life is meant."""
        try:
            return self.kill_process(psutil.Process(self.pid(name)))
        except psutil.NoSuchProcess:
            return False

    def children(self, name: str) -> list[psutil.Process]:
        """The pool children of a prefork worker, as far as they live."""
        try:
            return psutil.Process(self.pid(name)).children()
        except psutil.NoSuchProcess:
            return []

    def kill_process(self, process: psutil.Process) -> bool:
        """Kill -9 one process, unless it has just died and only waits to be seen to."""
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            process.kill()
        except psutil.NoSuchProcess:
            return False
        self.kills += alive
        return alive

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """Hold a process still, as a machine that swaps or a paused container does."""
        pid = self.pid(name)
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def await_ready(self) -> None:
        """Until every queue has a consumer."""
        app = celery_app(self.settings.broker_url)

        def served() -> bool:
            try:
                answers = consumers(app, patience=0.5)
            except BrokerError:  # a connection kept from before Redis was ill-treated
                return False
            return set().union(*answers.values()).issuperset(QUEUES)

        eventually(served, within=PATIENCE)


@contextmanager
def running(
    settings: Settings,
    log: Callable[[str], None],
    *,
    suffix: str = "",
    pool: str = "threads",
    names: tuple[str, ...] = (*WORKERS, "beat"),
    extra_env: Mapping[str, str] = {},
) -> Iterator[Fleet]:
    """Workers and beat; `extra_env` is for them alone."""
    env = {**child_environment(settings), **extra_env}
    children = [_variant(child, suffix, pool) for child in processes.workers(env) if child.name in names]
    with _supervised(settings, children, log) as fleet:
        yield fleet


@contextmanager
def sandbox_running(
    settings: Settings, port: int, journal: Path, log: Callable[[str], None], pushes: Sequence[str]
) -> Iterator[Fleet]:
    """The make-believe providers, allowed to kill their callers. AlphaSMS takes an id again that it has seen:
    what we send twice must show, and not be caught by the provider. webcom does not: to send again under the
    same id is how it is asked.
    """
    env = child_environment(settings)
    child = processes.sandbox(
        env, port, "--journal", str(journal), "--may-kill", "--take-repeats",
        "--final-least", "0.05", "--final-most", "0.3", "--job-seconds", "0.2", *pushes,
    )  # fmt: skip
    with _supervised(settings, [child], log) as fleet:
        yield fleet


@contextmanager
def web_running(settings: Settings, port: int, log: Callable[[str], None]) -> Iterator[Fleet]:
    """The door for receipts."""
    child = processes.web(child_environment(settings), port)
    with _supervised(settings, [child], log) as fleet:
        yield fleet


@contextmanager
def _supervised(settings: Settings, children: list[Child], log: Callable[[str], None]) -> Iterator[Fleet]:
    with Supervisor(children, log, restarts=SWIFTLY) as supervisor:
        yield Fleet(settings, supervisor)


def _variant(child: Child, suffix: str, pool: str) -> Child:
    """The same process with another name, another pool."""
    command = tuple(
        {f"{child.name}@%h": f"{child.name}{suffix}@%h", "threads": pool}.get(part, part)
        for part in child.command
    )
    return replace(child, name=child.name + suffix, command=command, grace=timedelta(seconds=20))
