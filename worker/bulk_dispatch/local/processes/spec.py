"""What the supervisor runs, and what became of it."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum


class StopPhase(Enum):
    """When a child is stopped. The members stand in that order."""

    FIRST = "first"  # workers: they finish what is in flight while all they need is still there
    LAST = "last"  # clocks, watchers, and what the workers talk to


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running."""

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # the whole environment
    folder: str | None = None  # where it runs; None: where we do
    stop_phase: StopPhase = StopPhase.LAST
    stop_signal: signal.Signals = signal.SIGTERM  # to the process alone; its own children are its business
    grace: timedelta = timedelta(seconds=10)  # from the stop signal to the kill of the whole group


@dataclass(frozen=True, slots=True)
class ExitRecord:
    """How a child ended when it was stopped."""

    name: str
    code: int | None  # as subprocess has it: -15 is signal 15; None: it never ran
    killed: bool  # it used up its grace, or the person's patience


@dataclass(frozen=True, slots=True)
class Restarts:
    """How long a child that died waits for its next start: doubling, forgiven after a good run."""

    first: timedelta = timedelta(seconds=1)
    most: timedelta = timedelta(seconds=15)
    good_run: timedelta = timedelta(seconds=30)

    def delay(self, last: timedelta | None, lived: timedelta) -> timedelta:
        """The wait after a life of `lived`, when the wait before it was `last`."""
        if last is None or lived >= self.good_run:
            return self.first
        return min(last * 2, self.most)


def described(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"
