"""Messages handed over: entries added to the streams, as long as there is room."""

import threading
import time
from collections.abc import Sequence
from secrets import token_hex
from typing import Any

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.intake import scripts
from bulk_dispatch.intake.connection import (
    Client,
    CrowdedError,
    IntakeConnection,
    IntakeError,
    IntakeNotAllowedError,
    NoFsyncError,
)
from bulk_dispatch.intake.entries import DeadLetter, Parcel
from bulk_dispatch.intake.keys import DEAD, stream_of, waiting_of
from bulk_dispatch.redis_server import fullness, without_fsync

ROOM = 0.9  # of Redis's memory that producers may fill
TIGHT = 0.7  # of it; from here on `worker doctor` warns

CALLED = "durability fsync (WORKER_DURABILITY)"  # as its errors call it


class ProducerCommands(IntakeConnection):
    """What a producer asks of the intake."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._threads = threading.local()
        self._roomy_until = 0.0
        self._fsyncs = False  # as it has said

    def add(self, lane: Lane, messages: Sequence[Message]) -> str:
        """Append one entry holding these messages; see `add_parcel`."""
        return self.add_parcel(Parcel.of(lane, messages))

    def add_parcel(self, parcel: Parcel) -> str:
        """Append one entry; see `add_parcels`."""
        return self.add_parcels([parcel])

    def add_parcels(self, parcels: Sequence[Parcel], *, fsync: bool = False) -> str:
        """Append an entry for each of one lane, all or none. The id of the last is the receipt. With `fsync`
        they are on Redis's disk then.

        Raises IntakeError if Redis is away, or so full that its last room is for what empties it, and for
        urgent messages; with `fsync` also NoFsyncError and UnsyncedError.
        """
        [lane] = {parcel.lane for parcel in parcels}
        if lane is Lane.URGENT:
            return self.take_in(parcels, (), fsync=fsync)  # they do not wait for room
        self._leave_room()
        keys = [self._token_key(), stream_of(lane), waiting_of(lane)]
        args = [part for parcel in parcels for part in (parcel.count, parcel.payload)]
        return self._write(scripts.ADD, keys, [token_hex(8), *args], fsync=fsync)

    def take_in(self, parcels: Sequence[Parcel], dead: Sequence[DeadLetter], *, fsync: bool = False) -> str:
        """Append and bury what is in Redis already, in the broker's queue, and takes less room here; in one
        step, so that nothing of it is here twice because something of it was refused. It need not wait for
        room: else that queue would never be emptied. Returns the id of the last.

        Raises CrowdedError, and IntakeError if Redis is away; with `fsync` as `add_parcels` does.
        """
        streams = [key for one in parcels for key in (stream_of(one.lane), waiting_of(one.lane))]
        keys = [self._token_key(), *streams, *([DEAD] if dead else [])]
        args: list[Any] = [token_hex(8), len(parcels), len(dead)]
        args += [part for parcel in parcels for part in (parcel.count, parcel.payload)]
        args += [part for letter in dead for part in letter.parts]
        last = self._write(scripts.TAKE_IN, keys, args, fsync=fsync)
        if not last:
            lanes = " or ".join(sorted({parcel.lane for parcel in parcels}))
            raise CrowdedError(f"{scripts.CROWDED} {lanes} messages wait in Redis already")
        return last

    def bury(self, letter: DeadLetter) -> None:
        """Keep what could not be taken in, with the reason."""
        self.take_in((), [letter])

    def check_fsync(self) -> None:
        """Raise NoFsyncError if Redis cannot confirm an fsync. Asked until it can."""
        if self._fsyncs:
            return
        try:
            with self._explained():
                unfit = without_fsync(self.client)
        except IntakeNotAllowedError as problem:
            raise NoFsyncError(f"{CALLED} needs the right to WAITAOF: {problem}") from None
        if unfit:
            raise NoFsyncError(
                f"{CALLED} needs Redis 7.2 or newer, or Valkey, with appendonly yes and appendfsync everysec "
                f"or always; this is {unfit}"
            )
        self._fsyncs = True

    def fullness(self) -> float | None:
        """The part of Redis's `maxmemory` that is used; 0 without a limit, None where we may not ask."""
        with self._explained():
            return fullness(self.client)

    def waiting(self) -> dict[Lane, int]:
        """Messages given to us that are not in the ledger yet, by lane; but for those that were set aside."""
        with self._explained():
            counts = self.client.mget([waiting_of(lane) for lane in Lane])
        return {lane: int(count or 0) for lane, count in zip(Lane, counts, strict=True)}

    def _write(self, script: str, keys: Sequence[str], args: Sequence[Any], *, fsync: bool) -> str:
        """Have a script write what it returns the id of; empty if it refuses."""
        if fsync:
            self.check_fsync()
        run = self._run_fsynced if fsync else self._run
        with self._explained():
            return str(run(script, keys, args) or "")

    def _token_key(self) -> str:
        """Where this thread leaves the token of what it adds."""
        if not hasattr(self._threads, "name"):
            self._threads.name = token_hex(8)
        return f"worker:intake:token:{self._threads.name}"

    def _leave_room(self) -> None:
        """Producers stop before Redis is full: wake-ups and acknowledgements take memory too, and where they
        are refused the streams are not emptied any more. Asked once a second."""
        if time.monotonic() < self._roomy_until:
            return
        if (self.fullness() or 0) > ROOM:  # where we may not ask, Redis itself refuses when it is full
            raise IntakeError(f"Redis is more than {ROOM:.0%} full; the rest is for those who empty it")
        self._roomy_until = time.monotonic() + 1
