"""Heartbeats, and requests to read the routes again, which a process learns of by its own."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, cast

from bulk_dispatch.intake import scripts
from bulk_dispatch.intake.connection import IntakeConnection, once
from bulk_dispatch.intake.keys import FLEET, HEARTBEATS, RELOAD


class ReloadCounts(NamedTuple):
    """How often the routes were asked to be read again."""

    fleet: int = 0  # of all processes
    own: int = 0  # of this one, or of the pool of processes it is of

    @classmethod
    def read(cls, counts: Sequence[str | None]) -> "ReloadCounts":
        """As Redis has them; it may have forgotten them."""
        return cls(*(int(count or 0) for count in counts))


class HeartbeatCommands(IntakeConnection):
    """What processes say of themselves, and are asked."""

    def write_heartbeat(self, node: str, facts: Mapping[str, object], process: str = "") -> ReloadCounts:
        """Write down what a process says of itself, beside the instant by Redis's own clock. Returns what it
        was asked meanwhile. Several may have the name of one node: each has a heartbeat of its own."""
        with self._explained():
            place = f"{node}#{process}" if process else node
            counts = self._run(
                scripts.HEARTBEAT, keys=[HEARTBEATS, RELOAD], args=[place, json.dumps(facts), FLEET, node]
            )
        return ReloadCounts.read(cast("list[str | None]", counts))

    def heartbeats(self) -> tuple[datetime, dict[str, tuple[datetime, Mapping[str, Any]]]]:
        """Redis's clock now; and of every process, NODE or NODE#PROCESS, when it last said something, and
        what."""
        with self._explained(), self.client.pipeline(transaction=False) as both:  # see _EVEN_IF_FULL
            both.time()
            both.hgetall(HEARTBEATS)
            (seconds, micros), found = both.execute()
        now = datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=micros)
        return now, {node: _said(raw) for node, raw in found.items()}

    def forget_heartbeats(self, *places: str) -> None:
        """Processes that ended in peace, or are long gone, have no heartbeat. Places are those of
        `heartbeats`."""
        with self._explained():
            self.client.hdel(HEARTBEATS, *places)
            left = {node_of(str(place)) for place in cast("list[Any]", self.client.hkeys(HEARTBEATS))}
            if nodes := {node_of(place) for place in places} - left:
                self.client.hdel(RELOAD, *nodes)

    def ask_to_reload(self, node: str = FLEET) -> int:
        """Ask a process, or all, to read the routes again. Returns the how manieth time it is."""
        with self._explained(), once():
            return int(self.client.hincrby(RELOAD, node, 1))

    def asked_to_reload(self, node: str) -> ReloadCounts:
        """How often a process was asked."""
        with self._explained():
            return ReloadCounts.read(cast("list[str | None]", self.client.hmget(RELOAD, FLEET, node)))


def node_of(place: str) -> str:
    """The node of a process that has a heartbeat there."""
    return place.partition("#")[0]


def _said(raw: str) -> tuple[datetime, Mapping[str, Any]]:
    instant, _, facts = raw.partition(" ")
    return datetime.fromtimestamp(float(instant), UTC), json.loads(facts)
