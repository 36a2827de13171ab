"""File locks that outlive no one: the kernel releases them when the last process that holds them ends.

`flock`, not `fcntl` locks: they belong to an open file, so a child process can be handed one, and two
parts of one process count as two.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from bulk_dispatch.local.errors import LocalError
from bulk_dispatch.local.wait import wait_until

PATIENCE = timedelta(minutes=5)  # longer than a server may take to recover, while others wait for it


class FileLock:
    """An open lock file; it holds nothing until asked, and lets go when closed."""

    def __init__(self, path: Path) -> None:
        """Opens `path`, made when absent; as root the file is given to its folder's owner."""
        self.path = path
        try:
            self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalError(f"cannot open the lock {path}: {error.strerror}") from error
        if os.geteuid() == 0:
            folder = path.parent.stat()
            os.fchown(self.fd, folder.st_uid, folder.st_gid)

    def share(self) -> None:
        """Holds it together with others; waits while someone has it alone."""
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def try_alone(self) -> bool:
        """Holds it alone, if nobody else holds it. False may lose a share held before."""
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def close(self) -> None:
        """Lets go, unless a child process was handed the descriptor and lives."""
        os.close(self.fd)


@contextmanager
def opened(path: Path) -> Iterator[FileLock]:
    """The lock at `path`, closed at the end."""
    lock = FileLock(path)
    try:
        yield lock
    finally:
        lock.close()


@contextmanager
def alone(path: Path, patience: timedelta = PATIENCE) -> Iterator[FileLock]:
    """Holds the lock at `path` alone; LocalError when others keep it longer than `patience`."""
    with opened(path) as lock:
        if not wait_until(lock.try_alone, patience):
            raise LocalError(f"another process has held {path} for {patience.total_seconds():.0f} s")
        yield lock


def is_free(path: Path) -> bool:
    """Whether nobody holds `path`. Asking holds it for a moment: shut out others who ask meanwhile."""
    with opened(path) as lock:
        return lock.try_alone()
