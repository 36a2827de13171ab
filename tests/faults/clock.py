"""A wall clock that is wrong in one process, or set while it runs, and right on the machine.

By libfaketime, which stands between the process and libc. Python alone could not do it: `datetime`, Celery
and psycopg read the clock in C, each by itself. What measures waiting (the monotonic clock) stays true, as it
does on a host whose clock is off. Linux on x86-64 only, like the library in that wheel.

A process that forks while other threads of it read the clock may hang: libfaketime's lock is not made for it.
So it is for the pool of threads we run, not for prefork.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Self

SHARED = Path("/dev/shm")
LEFT_BEHIND = ("faketime_shm_", "sem.faketime_sem_")  # and the number of the process that made it


def offset(seconds: int) -> dict[str, str]:
    """What to add to a process's environment so that its clock is so much ahead; below 0: behind.

    The processes it starts inherit it.
    """
    return {**_faked(), "FAKETIME": f"{seconds:+d}s"}


@dataclass(frozen=True, slots=True)
class Steps:
    """A clock that is set while processes run, by way of a file that they look into whenever they ask what
    time it is. Right until the first step."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """A clock of that file."""
        steps = cls(path)
        steps.to(0)
        return steps

    @property
    def environment(self) -> dict[str, str]:
        """What to add to that of a process that goes by this clock."""
        return {**_faked(), "FAKETIME_TIMESTAMP_FILE": str(self.path), "FAKETIME_NO_CACHE": "1"}

    def to(self, seconds: int) -> None:
        """Be so much ahead from now on; below 0: behind. In one step: a file half written sets no clock."""
        written = self.path.with_suffix(".new")
        written.write_text(f"{seconds:+d}s", "ascii")
        written.replace(self.path)


def _faked() -> dict[str, str]:
    before = os.environ.get("LD_PRELOAD")
    return {
        "LD_PRELOAD": f"{_library()}:{before}" if before else str(_library()),
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",  # its name in older versions
        "NO_FAKE_STAT": "1",  # files keep their times
    }


@contextmanager
def swept() -> Iterator[None]:
    """Removes in the end what processes with a wrong clock left in shared memory when they were killed.

    Leave it after those processes have ended: what belongs to one that lives is left alone.
    """
    try:
        yield
    finally:
        for prefix in LEFT_BEHIND:
            for path in SHARED.glob(f"{prefix}*"):
                if not Path("/proc", path.name.removeprefix(prefix)).exists():
                    path.unlink(missing_ok=True)


def _library() -> Path:
    """Found without importing it: the package beside it is made for something else."""
    found = find_spec("libfaketime")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "vendor/libfaketime/src/libfaketime.so.1"
