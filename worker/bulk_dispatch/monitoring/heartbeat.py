"""Heartbeats: what each process last said of itself, for others to judge (see monitoring.liveness).

A worker tells when it last began a step and when it last ended one, and beat when it last scheduled a task.
Instants are those of Redis: hosts need not agree on the time. monitoring.reporter writes them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.process import Process

STALL_AFTER = timedelta(seconds=20)
"""A process that is inactive for longer is looked into. Twenty visits of beat, and longer than the 15 s in
which it comes back by itself once a fault is over."""

HEARTBEAT_TTL = timedelta(hours=1)
"""A heartbeat that old is forgotten. Also what a step may take if the process does not say: see
"time limits"."""

BEAT = "beat"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What one process last said of itself."""

    node: str
    queues: frozenset[str]  # those it consumes; beat: those it visits
    sent_at: datetime  # it said this
    last_activity_at: datetime  # it came up, began a step, or ended one
    last_success_at: datetime | None = None  # it ended a step, and not by an error; beat: it scheduled a task
    ticking_since: datetime | None = None  # beat: it has scheduled tasks since then, without a gap
    active: int = 0  # steps in hand
    slots: int = 1  # steps it can have in hand
    max_step: timedelta = HEARTBEAT_TTL  # what a step of its may take
    last_error: str = ""  # what kind of error ended the last step that failed, if none succeeded since
    clock_skew: timedelta = timedelta(0)  # of Redis's clock, its own; less than nothing: behind
    routes: Mapping[str, str] | None = (
        None  # it knows these, each with a digest of its settings; None: unsaid
    )
    kept: str = ""  # why it has kept them when it was asked to read them again
    reloads: int = 0  # of the askings of all, the last that it followed
    process: Process | None = None  # of that node; None: of a version that does not say
    began_at: datetime | None = None

    @classmethod
    def read(cls, place: str, sent_at: datetime, facts: Mapping[str, Any]) -> Self:
        """A heartbeat as the intake has it: instants stand there as seconds before it was sent."""
        node, _, process = place.partition("#")

        def instant(name: str) -> datetime | None:
            ago = facts.get(name)
            return None if ago is None else sent_at - timedelta(seconds=ago)

        clock, max_step = facts.get("clock"), facts.get("max_step")
        return cls(
            node,
            frozenset(facts["queues"]),
            sent_at,
            instant("last_activity") or sent_at,
            instant("last_success"),
            instant("ticking"),
            active=facts["active"],
            slots=facts["slots"],
            max_step=HEARTBEAT_TTL if max_step is None else timedelta(seconds=max_step),
            last_error=facts["last_error"],
            clock_skew=timedelta(seconds=0 if clock is None else clock - sent_at.timestamp()),
            routes=facts.get("routes"),
            kept=facts.get("kept", ""),
            reloads=facts.get("reloads", 0),
            process=Process.read(process),
            began_at=instant("began"),
        )

    @property
    def place(self) -> str:
        """Where the intake has it."""
        return f"{self.node}#{self.process}" if self.process else self.node

    def unlike(self, digests: Mapping[str, str]) -> str:
        """What sets the routes it knows apart from these, each with a digest of its settings; empty if
        nothing does, or it does not say which it knows."""
        if self.routes is None:
            return ""
        unknown = [name for name in digests if name not in self.routes]
        other = [name for name, digest in digests.items() if self.routes.get(name, digest) != digest]
        gone = [name for name in self.routes if name not in digests]
        found = (
            ("does not know", unknown),
            ("has other settings of", other),
            ("still knows", gone),
        )
        return ", ".join(f"{what} {' and '.join(names)}" for what, names in found if names)

    @property
    def is_beat(self) -> bool:
        """Whether it schedules tasks, and consumes none."""
        return self.node.startswith(f"{BEAT}@")


def read_heartbeats(intake: Intake) -> tuple[datetime, list[Heartbeat]]:
    """Redis's clock now, and the heartbeats there are, but for those of processes that were replaced. Raises
    IntakeError."""
    now, heartbeats, _ = read_all_heartbeats(intake)
    return now, heartbeats


def read_all_heartbeats(intake: Intake) -> tuple[datetime, list[Heartbeat], list[Heartbeat]]:
    """The same, and the heartbeats of processes that were replaced: they fell silent, and then another took
    their name. They were killed and started anew, as a container is; or they are frozen, where we cannot
    look.

    Heartbeats too old are forgotten, and those of processes of this machine that have ended.
    """
    now, found = intake.heartbeats()
    heartbeats = [Heartbeat.read(place, *told) for place, told in sorted(found.items())]
    old = {
        heartbeat.place
        for heartbeat in heartbeats
        if now - heartbeat.sent_at > HEARTBEAT_TTL or _lives(heartbeat) is False
    }
    if old:
        intake.forget_heartbeats(*old)
    kept = [heartbeat for heartbeat in heartbeats if heartbeat.place not in old]
    replaced = [heartbeat for heartbeat in kept if _is_replaced(heartbeat, kept)]
    return now, [heartbeat for heartbeat in kept if heartbeat not in replaced], replaced


def _lives(heartbeat: Heartbeat) -> bool | None:
    return heartbeat.process.lives if heartbeat.process else None


def _is_replaced(heartbeat: Heartbeat, heartbeats: Collection[Heartbeat]) -> bool:
    """Whether another process took its name after it fell silent; unless we know that it lives, or it speaks
    again."""
    return not _lives(heartbeat) and any(
        other.node == heartbeat.node and other.began_at is not None and other.began_at > heartbeat.sent_at
        for other in heartbeats
        if other is not heartbeat
    )
