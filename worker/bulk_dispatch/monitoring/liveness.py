"""Liveness: tells a worker that takes no tasks any more from one that works, by the heartbeats.

Celery on Redis can stop consuming: the process runs and answers a ping, and takes no task until somebody
restarts it. But beat schedules a task for every queue each second. So a worker that takes tasks is never
inactive for long, and one that is inactive with a slot free, while tasks wait, is stalled. A worker whose
slots are all in use takes no task until a step ends; it keeps sending heartbeats, unless it was stopped.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from bulk_dispatch.monitoring.heartbeat import STALL_AFTER, Heartbeat

TURN = timedelta(seconds=1)
"""Added for each worker of a queue: they are served in turn, and beat's visits come once a second."""


class Liveness(Enum):
    """The state of a process. The value is what people read: docs/how-to/health-checks.md explains it."""

    HEALTHY = "is healthy"  # a step ended, or beat scheduled a task, a moment ago
    SATURATED = "is saturated"  # every slot holds a step: it takes no task until one ends
    OVERDUE = "is overdue"  # every slot holds a step, and has for longer than any step may take
    NO_HEARTBEAT = "sends no heartbeat"  # it has a step in hand, and does not even say so any more
    IDLE = "is idle"  # it is inactive, and no task is scheduled for it: nothing can be said
    OFFLINE = "is offline"  # it is inactive and does not answer, and others do its work
    FAILING = "is failing"  # it takes tasks, and no step succeeds
    NOT_STARTED = "has done no step yet"  # it listens, tasks wait for it, and it never took one
    UNKNOWN = "has sent no heartbeat"  # it never came up, it ended in peace, or it was silent for an hour
    STALLED = "is stalled"  # it is inactive, it has a slot free, and tasks for it wait
    NOT_SCHEDULING = "is not scheduling"  # beat, and it schedules no task


FINE = frozenset({Liveness.HEALTHY, Liveness.SATURATED, Liveness.IDLE})


@dataclass(frozen=True, slots=True)
class ProcessHealth:
    """What is to be said of one process."""

    node: str
    state: Liveness
    since: datetime | None  # when it last worked
    last_error: str = ""
    pid: int = 0  # where others have its name

    @property
    def who(self) -> str:
        """What it is called, and which of those who are called so."""
        return f"{self.node} (process {self.pid})" if self.pid else self.node

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against it."""
        return self.state in FINE

    def sentence(self, now: datetime) -> str:
        """For people."""
        if self.since is None:
            return f"{self.who} {self.state.value}{self._because}"
        still = max(0, round((now - self.since).total_seconds()))
        when = f"no work done since {self.since:%H:%M:%S} UTC ({still} s)"
        return f"{self.who} {self.state.value}: {when}{self._because}"

    @property
    def _because(self) -> str:
        return f"; its steps end in {self.last_error}, see its log" if self.last_error else ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a judgement needs, as seen at one instant.

    `waiting`: wake-ups by queue, empty if nobody looked. `answers`: who answers a ping, and the queues it
    consumes; None if nobody was asked. `replaced` are the heartbeats of processes whose names others have
    taken since they fell silent: nothing is said of these but that."""

    now: datetime
    heartbeats: Collection[Heartbeat]
    waiting: Mapping[str, int]
    answers: Mapping[str, Collection[str]] | None = None
    replaced: Collection[Heartbeat] = ()

    @property
    def beats(self) -> list[Heartbeat]:
        """The beats that schedule tasks."""
        return [
            heartbeat
            for heartbeat in self.heartbeats
            if heartbeat.is_beat and self.is_fresh(heartbeat.last_success_at, STALL_AFTER)
        ]

    def is_fresh(self, instant: datetime | None, within: timedelta) -> bool:
        """Whether it was a moment ago. What lies ahead was written before Redis's clock was set back, and who
        works has spoken since."""
        return instant is not None and -STALL_AFTER <= self.now - instant <= within

    def check(self) -> list[ProcessHealth]:
        """Every worker there is a heartbeat or an answer of, by name."""
        known = [self.check_worker(heartbeat) for heartbeat in self.heartbeats if not heartbeat.is_beat]
        reporting = {heartbeat.node for heartbeat in self.heartbeats}
        silent = [
            ProcessHealth(
                node, Liveness.NOT_STARTED if self._is_notified(frozenset(queues)) else Liveness.IDLE, None
            )
            for node, queues in (self.answers or {}).items()
            if node not in reporting
        ]
        return sorted(known + silent, key=lambda found: found.node)

    def check_worker(self, heartbeat: Heartbeat) -> ProcessHealth:
        """One worker, by its heartbeat."""
        return ProcessHealth(
            heartbeat.node,
            self._state(heartbeat),
            heartbeat.last_success_at,
            heartbeat.last_error,
            self._pid(heartbeat),
        )

    def check_beat(self, heartbeat: Heartbeat) -> ProcessHealth:
        """One beat, by its heartbeat."""
        state = Liveness.HEALTHY if heartbeat in self.beats else Liveness.NOT_SCHEDULING
        return ProcessHealth(heartbeat.node, state, heartbeat.last_success_at, pid=self._pid(heartbeat))

    def namesakes(self) -> dict[str, list[int]]:
        """The workers of which several have one name, with the numbers of their processes. (Beats cannot be
        given names.)"""
        found: dict[str, list[int]] = {}
        for heartbeat in self.heartbeats:
            if heartbeat.process and not heartbeat.is_beat:
                found.setdefault(heartbeat.node, []).append(heartbeat.process.pid)
        return {node: pids for node, pids in found.items() if len(pids) > 1}

    def _pid(self, heartbeat: Heartbeat) -> int:
        """Its number, if its name is not enough."""
        shared = any(other.node == heartbeat.node for other in self.heartbeats if other is not heartbeat)
        return heartbeat.process.pid if shared and heartbeat.process else 0

    def _state(self, heartbeat: Heartbeat) -> Liveness:
        patience = self._patience(heartbeat)
        if self.is_fresh(heartbeat.last_success_at, patience):
            return Liveness.HEALTHY
        if heartbeat.active and not self.is_fresh(heartbeat.sent_at, patience):
            return self._unless_gone(heartbeat, Liveness.NO_HEARTBEAT)
        if (
            heartbeat.active >= heartbeat.slots
        ):  # a ping missed means nothing: it says by itself that it is there
            return (
                Liveness.SATURATED
                if self.is_fresh(heartbeat.last_activity_at, heartbeat.max_step)
                else Liveness.OVERDUE
            )
        if self.is_fresh(heartbeat.last_activity_at, patience):
            return Liveness.FAILING if heartbeat.last_error else Liveness.HEALTHY
        return self._still(heartbeat, patience)

    def _still(self, heartbeat: Heartbeat, patience: timedelta) -> Liveness:
        """Of one that began no step for a while, and has a slot free."""
        if not self._is_notified(heartbeat.queues, patience):
            return Liveness.IDLE if self._answers(heartbeat.node) else Liveness.OFFLINE
        return self._unless_gone(
            heartbeat, Liveness.NOT_STARTED if heartbeat.last_success_at is None else Liveness.STALLED
        )

    def _unless_gone(self, heartbeat: Heartbeat, state: Liveness) -> Liveness:
        """Stopped or killed, nobody can see from here. Where others do its work it is merely gone."""
        others = {
            queue
            for other in self.heartbeats
            if other is not heartbeat
            and self.is_fresh(other.last_success_at, STALL_AFTER)
            and not other.is_beat
            for queue in other.queues
        }
        return state if self._answers(heartbeat.node) or not heartbeat.queues <= others else Liveness.OFFLINE

    def _answers(self, node: str) -> bool:
        return self.answers is None or node in self.answers

    def _patience(self, heartbeat: Heartbeat) -> timedelta:
        """How long a worker that consumes may be inactive."""
        sharing = sum(1 for other in self.heartbeats if not other.is_beat and other.queues & heartbeat.queues)
        return STALL_AFTER + TURN * sharing

    def _is_notified(self, queues: Collection[str], patience: timedelta = timedelta(0)) -> bool:
        """Whether it ought to have taken a task: beat schedules for that long, or a wake-up waits."""
        visited = any(
            beat.queues & set(queues) and self.now - (beat.ticking_since or self.now) >= patience
            for beat in self.beats
        )
        return visited or any(self.waiting.get(queue) for queue in queues)


def check_process(node: str, now: datetime, heartbeats: Collection[Heartbeat]) -> ProcessHealth:
    """One process, by the heartbeats alone: quick, for health checks. Of several of that name the one that is
    ill: it cannot hide behind the others."""
    snapshot = Snapshot(now, heartbeats, waiting={})
    own = [heartbeat for heartbeat in heartbeats if heartbeat.node == node]
    if not own:
        return ProcessHealth(node, Liveness.UNKNOWN, None)
    checked = [
        snapshot.check_beat(heartbeat) if heartbeat.is_beat else snapshot.check_worker(heartbeat)
        for heartbeat in own
    ]
    return next((one for one in checked if not one.healthy), checked[0])
