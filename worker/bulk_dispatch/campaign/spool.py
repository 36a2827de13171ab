"""The spool: what is ready to leave, on disk until all of it is. Its file has no name, and goes with us."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Parcel


class Spool:
    """Parcels, written once and read in the same order."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.messages = 0

    @classmethod
    @contextmanager
    def opened(cls) -> "Iterator[Spool]":
        """An empty one, gone at the end."""
        with tempfile.TemporaryFile(prefix="worker-") as file:
            yield cls(file)

    def keep(self, parcels: Iterable[Parcel]) -> None:
        """Add these."""
        for parcel in parcels:
            self._file.write(f"{parcel.lane.value} {parcel.count} {len(parcel.payload)}\n".encode())
            self._file.write(parcel.payload)
            self.messages += parcel.count

    def parcels(self) -> Iterator[Parcel]:
        """All of them, from the first."""
        self._file.seek(0)
        while head := self._file.readline():
            lane, count, size = head.decode().split()
            yield Parcel(Lane(lane), int(count), self._file.read(int(size)))
