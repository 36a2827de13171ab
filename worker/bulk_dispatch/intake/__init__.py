"""Intake: the Redis streams applications enqueue into, one a lane, many messages an entry.

Beside them: dead letters, messages whose route no worker knew, wake-ups and heartbeats. `intake.keys` says
where each is in Redis.
"""

from datetime import timedelta
from secrets import token_hex

from bulk_dispatch.intake.connection import (
    ANSWER,
    CONNECTIONS,
    KEEPALIVE,
    TRIES,
    CrowdedError,
    IntakeError,
    IntakeNotAllowedError,
    NoFsyncError,
    UnsyncedError,
)
from bulk_dispatch.intake.dead_letters import DeadLetterCommands
from bulk_dispatch.intake.entries import DeadLetter, Entry, Parcel, instant_of
from bulk_dispatch.intake.heartbeats import HeartbeatCommands, ReloadCounts
from bulk_dispatch.intake.ingesting import IngestCommands
from bulk_dispatch.intake.keys import CONSUMER, DEAD, FLEET, GROUP, HEARTBEATS, Place, Unrouted
from bulk_dispatch.intake.producing import ROOM, TIGHT, ProducerCommands
from bulk_dispatch.intake.unrouted import SetAside, UnroutedCommands
from bulk_dispatch.intake.wakeups import WakeupCommands
from bulk_dispatch.redis_server import RedisServer

__all__ = [
    "ANSWER", "CONNECTIONS", "CONSUMER", "DEAD", "FLEET", "GROUP", "HEARTBEATS", "KEEPALIVE", "ROOM",
    "TIGHT", "TRIES", "CrowdedError", "DeadLetter", "Entry", "Intake", "IntakeError",
    "IntakeNotAllowedError", "NoFsyncError", "Parcel", "Place", "ReloadCounts", "SetAside", "Unrouted",
    "UnsyncedError", "instant_of",
]  # fmt: skip


class Intake(
    ProducerCommands, IngestCommands, UnroutedCommands, DeadLetterCommands, WakeupCommands, HeartbeatCommands
):
    """The streams of one Redis database.

    A command whose answer was lost may have been carried out. It is repeated, unless it is asked `once`:
    docs/reference/redis.md says of each why. The commands of each user of the intake are in a module of their
    own.
    """

    def takes(self) -> None:
        """Raises IntakeError if Redis is away, or takes nothing that is written."""
        name = f"doctor-{token_hex(8)}"
        self.claim_wakeup(name, timedelta(seconds=1))
        self.acknowledge(name)

    def server(self) -> RedisServer:
        """How the server is set up, and how full it is."""
        with self._explained():
            return RedisServer.of(self.client)
