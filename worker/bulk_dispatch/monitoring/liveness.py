"""Liveness: tells a worker that takes no tasks any more from one that works, by the heartbeats.

Celery on Redis can stop consuming: the process runs and answers a ping, and takes no task until somebody
restarts it. But beat schedules a task for every queue each second. So a worker that takes tasks is never
inactive for long, and one that is inactive with a slot free, while tasks wait, is stalled. A worker whose
slots are all in use takes no task until a step ends; it keeps sending heartbeats, unless it was stopped.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

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
    def name(self) -> str:
        """The name of its node, and its number where several processes have that name."""
        return f"{self.node} (process {self.pid})" if self.pid else self.node

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against it."""
        return self.state in FINE

    def sentence(self, now: datetime) -> str:
        """For people."""
        if self.since is None:
            return f"{self.name} {self.state.value}{self._because}"
        still = max(0, round((now - self.since).total_seconds()))
        when = f"no work done since {self.since:%H:%M:%S} UTC ({still} s)"
        return f"{self.name} {self.state.value}: {when}{self._because}"

    @property
    def _because(self) -> str:
        return f"; its steps end in {self.last_error}, see its log" if self.last_error else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSigns:
    """What there is to see of one worker. Lately: within 20 s, and a second more for each worker that shares
    its queues. Of a worker that only answers a ping, nothing else is known."""

    succeeded: bool = False  # a step ended without an error, lately
    silent: bool = False  # it has a step in hand, and has sent no heartbeat lately
    full: bool = False  # every slot holds a step
    in_time: bool = False  # it began or ended a step no longer ago than a step may take
    active: bool = False  # it came up, began a step, or ended one, lately
    failed: bool = False  # the last step that ended did so by an error
    notified: bool = False  # beat has scheduled tasks for it for that long, or a wake-up waits
    answers: bool = False  # it answers a ping, or was not asked
    covered: bool = False  # others that work consume all its queues
    ever_succeeded: bool = False  # some step of it ended without an error

    @property
    def gone(self) -> bool:
        """Whether it is merely away: stopped or killed, that cannot be seen from here, and others do its
        work."""
        return self.covered and not self.answers

    @property
    def state(self) -> Liveness:
        """The state of the first rule that applies."""
        return next(rule.state for rule in RULES if rule.applies(self))


class Rule(NamedTuple):
    """A state of a worker, and when it is in that state if no rule before this one applies."""

    condition: str  # for people: docs/how-to/health-checks.md has these rules in this order
    state: Liveness
    applies: Callable[[WorkerSigns], bool]


RULES = (
    Rule("a step succeeded lately", Liveness.HEALTHY, lambda signs: signs.succeeded),
    Rule(
        "it is running a step, has not reported that lately, does not answer, and others do its work",
        Liveness.OFFLINE,
        lambda signs: signs.silent and signs.gone,
    ),
    Rule(
        "it is running a step, and has not reported that lately",
        Liveness.NO_HEARTBEAT,
        lambda signs: signs.silent,
    ),
    # Of a full one a missed ping means nothing: it says by itself that it is there.
    Rule(
        "every slot holds a step, and it began or ended one no longer ago than a step may take",
        Liveness.SATURATED,
        lambda signs: signs.full and signs.in_time,
    ),
    Rule("every slot holds a step", Liveness.OVERDUE, lambda signs: signs.full),
    Rule(
        "it began or ended a step lately, and the last one failed",
        Liveness.FAILING,
        lambda signs: signs.active and signs.failed,
    ),
    Rule("it started, or began or ended a step, lately", Liveness.HEALTHY, lambda signs: signs.active),
    Rule(
        "no task is scheduled for it, and it answers",
        Liveness.IDLE,
        lambda signs: not signs.notified and signs.answers,
    ),
    Rule("no task is scheduled for it", Liveness.OFFLINE, lambda signs: not signs.notified),
    Rule("it does not answer, and others do its work", Liveness.OFFLINE, lambda signs: signs.gone),
    Rule("no step of it ever succeeded", Liveness.NOT_STARTED, lambda signs: not signs.ever_succeeded),
    Rule("none of these", Liveness.STALLED, lambda _: True),
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that a judgement needs, as seen at one instant.

    `waiting`: wake-ups by queue, empty if that was not asked for. `answers`: each node that answers a ping,
    and the queues it consumes; None if none was asked. `replaced` are the heartbeats of processes whose names
    others have taken since they fell silent: nothing is said of these but that."""

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
        """Whether it was a moment ago. What lies ahead was written before Redis's clock was set back; a
        process that works has written since."""
        return instant is not None and -STALL_AFTER <= self.now - instant <= within

    def check(self) -> list[ProcessHealth]:
        """Every worker there is a heartbeat or an answer of, by name."""
        known = [self.check_worker(heartbeat) for heartbeat in self.heartbeats if not heartbeat.is_beat]
        reporting = {heartbeat.node for heartbeat in self.heartbeats}
        silent = [
            ProcessHealth(node, WorkerSigns(answers=True, notified=self._is_notified(queues)).state, None)
            for node, queues in (self.answers or {}).items()
            if node not in reporting
        ]
        return sorted(known + silent, key=lambda found: found.node)

    def check_worker(self, heartbeat: Heartbeat) -> ProcessHealth:
        """One worker, by its heartbeat."""
        return ProcessHealth(
            heartbeat.node,
            self._signs(heartbeat).state,
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

    def _signs(self, heartbeat: Heartbeat) -> WorkerSigns:
        """What there is to see of a worker that has a heartbeat."""
        patience = self._patience(heartbeat)
        return WorkerSigns(
            succeeded=self.is_fresh(heartbeat.last_success_at, patience),
            silent=heartbeat.active > 0 and not self.is_fresh(heartbeat.sent_at, patience),
            full=heartbeat.active >= heartbeat.slots,
            in_time=self.is_fresh(heartbeat.last_activity_at, heartbeat.max_step),
            active=self.is_fresh(heartbeat.last_activity_at, patience),
            failed=bool(heartbeat.last_error),
            notified=self._is_notified(heartbeat.queues, patience),
            answers=self._answers(heartbeat.node),
            covered=self._is_covered(heartbeat),
            ever_succeeded=heartbeat.last_success_at is not None,
        )

    def _is_covered(self, heartbeat: Heartbeat) -> bool:
        """Whether others that work consume all its queues."""
        others = {
            queue
            for other in self.heartbeats
            if other is not heartbeat
            and self.is_fresh(other.last_success_at, STALL_AFTER)
            and not other.is_beat
            for queue in other.queues
        }
        return heartbeat.queues <= others

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
