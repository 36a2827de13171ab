"""Which process it is, and whether it has ended, as far as that can be told from here. By /proc."""

import os
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self
from uuid import uuid4

PROC = Path("/proc")


class Process(NamedTuple):
    """Which process it is: no two are alike, whatever they are called."""

    machine: str  # the kernel's run and the namespace of numbers there; empty: unknown
    pid: int
    started: int  # ticks after that run began: numbers are given again

    @classmethod
    def own(cls) -> Self:
        """This process."""
        try:
            return cls(_machine(), os.getpid(), started_at(os.getpid()) or 0)
        except (OSError, LookupError):  # no /proc; then no other is of this machine either
            return cls(_machine(), os.getpid(), 0)

    @classmethod
    def read(cls, text: str) -> Self | None:
        """One as it is written beside the node; None if there is none."""
        machine, _, rest = text.partition(".")
        pid, _, started = rest.partition(".")
        return cls(machine, int(pid), int(started)) if pid.isdecimal() and started.isdecimal() else None

    def __str__(self) -> str:
        return f"{self.machine}.{self.pid}.{self.started}"

    @property
    def lives(self) -> bool | None:
        """Whether it has not ended; None if that cannot be told from here."""
        if self.machine != _machine():
            return None
        try:
            return started_at(self.pid) == self.started
        except (OSError, LookupError):
            return None


@cache
def _machine() -> str:
    """This run of the kernel, and the namespace of process numbers. Where there is no /proc, chance: then
    it cannot be told whether a process has ended."""
    try:
        run = (PROC / "sys/kernel/random/boot_id").read_text("ascii")
        return sha256(f"{run} {(PROC / 'self/ns/pid').readlink()}".encode()).hexdigest()[:12]
    except OSError:
        return uuid4().hex[:12]


def started_at(pid: int, proc: Path = PROC) -> int | None:
    """When a process here began, in ticks; None if there is none, or it has ended and was not reaped
    yet. Raises OSError where we may not know: a /proc that hides the processes of others
    (mounted with hidepid, or under systemd's ProtectProc=invisible) shows them as if they were not there."""
    try:
        state, began = _state(pid, proc)
    except ProcessLookupError:  # it ended as we looked
        return None
    except FileNotFoundError:
        _state(1, proc)  # hidden, too: then so may be the one that is not there
        return None
    return None if state in "ZX" else began


def _state(pid: int, proc: Path) -> tuple[str, int]:
    # What stands before the last bracket may be anything. After it: the state, and 19 on when it began.
    told = (proc / str(pid) / "stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return told[0], int(told[19])
