"""One `worker up` a data directory: the second finds out about the first."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.locks import FileLock, opened
from bulk_dispatch.local.processes.os_processes import program
from bulk_dispatch.local.servers.paths import data_directory
from bulk_dispatch.local.wait import wait_until

LOCK = "up.lock"
WRITING = timedelta(seconds=2)  # far longer than the first needs from taking the lock to saying who it is


class AlreadyRunningError(LocalError):
    """Another run has the data directory; `info` is what it told about itself, its `pid` too."""

    def __init__(self, data_dir: Path, info: Mapping[str, Any]) -> None:
        super().__init__(f"already running for {data_dir}, as process {info.get('pid', 'unknown')}")
        self.info = info


@contextmanager
def only_one(data_dir: Path, info: Mapping[str, Any]) -> Iterator[None]:
    """Holds the data directory for this run, and tells `info` (ports, addresses) to a process that comes
    second.

    AlreadyRunningError when another run has it. A killed run has not: the kernel let go of its lock.
    """
    data_dir = data_directory(data_dir)
    with opened(data_dir / LOCK) as lock:
        _take(lock, data_dir)
        _write(lock, {"pid": os.getpid(), **info})
        try:
            yield
        finally:
            _write(lock, {})


def _take(lock: FileLock, data_dir: Path) -> None:
    """Takes the lock, or learns which process has it; one that just took it may not have said so yet."""
    first: dict[str, Any] = {}

    def decided() -> bool:
        if lock.try_alone():
            return True
        first.update(_living(_read(lock)))
        return bool(first)

    if not wait_until(decided, WRITING) or first:
        raise AlreadyRunningError(data_dir, first)


def _living(info: dict[str, Any]) -> dict[str, Any]:
    """`info`, unless a killed run wrote it and the one that has the lock now has not yet."""
    return info if info and program(info["pid"]) else {}


def _read(lock: FileLock) -> dict[str, Any]:
    text = lock.path.read_text()
    try:
        info = json.loads(text)
    except json.JSONDecodeError:  # empty, or being written
        return {}
    return info if isinstance(info, dict) else {}


def _write(lock: FileLock, info: Mapping[str, Any]) -> None:
    data = json.dumps(info).encode()
    os.pwrite(lock.fd, data, 0)
    os.ftruncate(lock.fd, len(data))
