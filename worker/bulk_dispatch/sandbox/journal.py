"""The account's memory on disk: one line a package, written before the answer leaves.

It goes to the operating system, not to the platter: it outlives kill -9 of the sandbox, not a power cut.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class Journal:
    """JSON lines. A last line cut off by a kill was never answered, so it is dropped."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:  # two sandboxes on one journal would both hand out the same numbers
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise RuntimeError(f"the journal {path} is used by another sandbox") from None

    def entries(self) -> Iterator[Any]:
        """Everything written so far, oldest first."""
        whole = 0
        with self._path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    yield json.loads(line)
                except ValueError:
                    raise RuntimeError(f"{self._path}, line {number}: not written by a sandbox") from None
                whole += len(line)
        os.ftruncate(self._file, whole)

    def append(self, entry: object) -> None:
        """One write, whole; a full disk raises and nothing was taken."""
        line = json.dumps(entry, separators=(",", ":")).encode() + b"\n"
        end = os.fstat(self._file).st_size
        if os.write(self._file, line) != len(line):
            os.ftruncate(self._file, end)
            raise OSError(f"the journal {self._path} could not be written")

    def clear(self) -> None:
        """Forget everything."""
        os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Leave the file to the next one."""
        os.close(self._file)
