"""What both servers have in common: they are started once, found by the next process, and stopped.

A server and all its children hold the lock in `life` from birth to death. That says more than a pid
file: it cannot be stale, and once it is free nothing of the server still writes to its files.
"""

from datetime import timedelta
from enum import Enum
from pathlib import Path
from signal import Signals
from typing import Protocol

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.locks import is_free, opened
from bulk_dispatch.local.processes.os_processes import signal_if
from bulk_dispatch.local.servers.os_user import Say
from bulk_dispatch.local.wait import wait_until

QUIET = timedelta(seconds=2)  # after so long we say what we wait for
PATIENCE = timedelta(minutes=2)  # crash recovery of a gigabyte of WAL, loading a large AOF
FAREWELL = timedelta(seconds=30)  # a last checkpoint to a slow disk


class Durability(Enum):
    """What survives what."""

    POWER_CUT = "power cut"  # every commit is on the disk; of Redis at most the last second is lost
    KILL = "kill"  # everything survives kill -9, nothing is flushed to the disk: for tests and throw-aways


class ManagedServer(Protocol):
    """One server of one data directory. Call these holding the data directory's starting lock."""

    @property
    def name(self) -> str: ...  # as people call it
    @property
    def program(self) -> str: ...  # as the kernel calls it
    @property
    def life(self) -> Path: ...  # the lock it holds while it lives
    @property
    def pid_file(self) -> Path: ...  # its own, first line
    @property
    def log(self) -> Path: ...
    @property
    def stop_signal(self) -> Signals: ...  # end cleanly, whatever is connected
    @property
    def kill_signal(self) -> Signals: ...  # end now; the next start recovers

    def answers(self) -> bool:
        """Whether it can be used right now."""

    def launch(self, life: int, guard: int) -> None:
        """Starts it and returns at once; it inherits the lock `life`.

        `guard` is the starting lock, for what must have ended before anybody else may start.
        """

    def last_words(self) -> str:
        """Why it did not start, from its log."""


def ensure(server: ManagedServer, guard: int, say: Say) -> bool:
    """Finds the server running (False) or starts it (True). On return it answers."""
    if _answers_or_is_gone(server, say):
        return False
    with opened(server.life) as life:
        if not life.try_alone():
            raise LocalError(f"{server.name} lives but does not answer; its log is {server.log}")
        server.launch(life.fd, guard)
    if not _answers_or_is_gone(server, say):
        raise LocalError(f"{server.name} did not start: {server.last_words()}")
    return True


def _answers_or_is_gone(server: ManagedServer, say: Say) -> bool:
    """Whether it answers. Waits while it only lives: it may be starting, or its last processes ending."""
    answers = False

    def settled() -> bool:
        nonlocal answers
        answers = server.answers()
        return answers or is_free(server.life)

    if not wait_until(settled, QUIET):
        say(f"waiting for {server.name}, which is starting, recovering or ending")
        if not wait_until(settled, PATIENCE):
            raise LocalError(f"{server.name} lives but does not answer; its log is {server.log}")
    return answers


def stop(*servers: ManagedServer) -> None:
    """Stops them cleanly, all at once; kills what does not stop. What we did not start stays."""
    running = [server for server in servers if not is_free(server.life)]
    for server in running:
        _signal(server, server.stop_signal)
    kill(*(server for server in running if not _ended(server, FAREWELL)))


def kill(*servers: ManagedServer) -> None:
    """Ends them at once. What they had promised to keep is kept: the next start recovers it."""
    running = [server for server in servers if not is_free(server.life)]
    for server in running:
        _signal(server, server.kill_signal)
    for server in running:
        if not _ended(server, FAREWELL):
            raise LocalError(f"{server.name} does not end, not even killed; its log is {server.log}")


def _signal(server: ManagedServer, number: Signals) -> None:
    """Signals the server; one that was just started may take a moment to have a pid file."""
    wait_until(
        lambda: signal_if(first_number(server.pid_file), server.program, number) or is_free(server.life),
        QUIET,
    )


def _ended(server: ManagedServer, patience: timedelta) -> bool:
    return wait_until(lambda: is_free(server.life), patience)


def first_number(pid_file: Path) -> int | None:
    """What a server's pid file says: the truth while its life lock is held."""
    try:
        line = pid_file.read_text().partition("\n")[0].strip()
    except FileNotFoundError:
        return None
    return int(line) if line.isdecimal() else None
