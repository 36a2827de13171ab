"""Messages on their way into the ledger: entries read, and deleted when it has them."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

import redis

from bulk_dispatch.intake import scripts
from bulk_dispatch.intake.connection import IntakeConnection
from bulk_dispatch.intake.entries import DeadLetter, Entry, Parcel, read_entry
from bulk_dispatch.intake.keys import (
    CONSUMER,
    DEAD,
    GROUP,
    Place,
    Unrouted,
    lane_of,
    stream_of,
    unrouted_of,
    waiting_of,
)


class IngestCommands(IntakeConnection):
    """What the ingest stage asks of the intake. Reading is at least once: an entry is deleted when the ledger
    has it, and one read by a process that died is read again."""

    def read(self, place: Place, entries: int, idle: timedelta, octets: int = 2**31) -> list[Entry]:
        """Entries that were read `idle` ago and never finished, until there are `entries` of them or they
        have `octets` together; then as many new ones. The last may be more than fits: 16 at most."""
        keys = [stream_of(place)]
        args: list[str | int] = [GROUP, CONSUMER, int(idle.total_seconds() * 1000), entries, octets]
        with self._explained():
            try:
                found = self._run(scripts.READ, keys, args)
            except redis.ResponseError as problem:
                if "NOGROUP" not in str(problem):
                    raise
                # Only now, once in the life of a stream: a Redis short of memory would refuse it each time.
                self._make_group(place)
                found = self._run(scripts.READ, keys, args)
        return [read_entry(lane_of(place), *one) for one in cast("list[Any]", found)]

    def done(
        self,
        place: Place,
        entries: Sequence[Entry],
        dead: Sequence[DeadLetter] = (),
        unrouted: Mapping[str, Sequence[object]] | None = None,
    ) -> None:
        """Delete entries that the ledger has, bury what it could not take, and set aside what names a route
        that is not known, by that name; in one step."""
        aside = {route: Parcel.of_plain(lane_of(place), values) for route, values in (unrouted or {}).items()}
        places = [Unrouted(lane_of(place), route) for route in aside]
        keys = [stream_of(place), waiting_of(place), DEAD, unrouted_of(lane_of(place))]
        keys += [key for one in places for key in (stream_of(one), waiting_of(one))]
        args: list[Any] = [GROUP, len(entries), len(dead), len(aside)]
        args += [part for entry in entries for part in (entry.id, entry.counted)]
        args += [part for letter in dead for part in letter.parts]
        args += [part for route, parcel in aside.items() for part in (route, parcel.count, parcel.payload)]
        with self._explained():
            self._run(scripts.DONE, keys, args)

    def _make_group(self, place: Place) -> None:
        """From 0, not from now: what was added before the group existed counts too."""
        try:
            self.client.xgroup_create(stream_of(place), GROUP, id="0", mkstream=True)
        except redis.ResponseError as problem:
            if "BUSYGROUP" not in str(problem):
                raise
