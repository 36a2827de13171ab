"""Hearing: tells a process that is up but deaf from one that works, by the marks of work done.

Celery on Redis can lose its ear: the process runs and answers a ping, and takes no task any more until
somebody restarts it. But beat visits every queue each second. Hence who hears is never still for long, and
who is still with a hand free, while it is rung for, is deaf. Who has all hands full cannot come to a door for
as long as a step may take; but it says so all the while, unless it is frozen.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from bulk_dispatch.monitoring.heartbeat import STILL, Mark

TURN = timedelta(seconds=1)
"""Added for each worker of a queue: they are served in turn, and beat's visits come once a second."""


class State(Enum):
    """How it stands with a process. The value is what people read."""

    WORKS = "works"  # a step ended, or a ring went out, a moment ago
    BUSY = "has all hands full"  # every hand holds a step: it cannot come to the door, deaf or not
    STUCK = "is stuck"  # every hand holds a step, and has for longer than any step may take
    FROZEN = "is frozen"  # it has a step in hand, and does not even say so any more
    UNRUNG = "is not rung for"  # it is still, and nobody rings: nothing can be said
    GONE = "is gone"  # it is still and does not answer, and others do its work
    FAILING = "hears, and fails"  # it comes to the door, and no step succeeds
    NEW = "has never worked"  # it listens, it is rung for, and it never came to a door
    UNMARKED = "has left no mark"  # it never came up, it ended in peace, or it was silent for an hour
    DEAF = "is deaf"  # it is still, it has a hand free, and rings for it go unheard
    MUTE = "is mute"  # beat, and it does not ring


HEALTHY = frozenset({State.WORKS, State.BUSY, State.UNRUNG})


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is to be said of one process."""

    node: str
    state: State
    since: datetime | None  # when it last worked
    trouble: str = ""
    pid: int = 0  # where others have its name

    @property
    def who(self) -> str:
        """What it is called, and which of those who are called so."""
        return f"{self.node} (process {self.pid})" if self.pid else self.node

    @property
    def healthy(self) -> bool:
        """Whether nothing speaks against it."""
        return self.state in HEALTHY

    def sentence(self, now: datetime) -> str:
        """For people."""
        if self.since is None:
            return f"{self.who} {self.state.value}{self._because}"
        still = max(0, round((now - self.since).total_seconds()))
        when = f"no work done since {self.since:%H:%M:%S} UTC ({still} s)"
        return f"{self.who} {self.state.value}: {when}{self._because}"

    @property
    def _because(self) -> str:
        return f"; its steps end in {self.trouble}, see its log" if self.trouble else ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a judgement needs, as seen at one instant.

    `waiting`: rings by queue, empty if nobody looked. `answers`: who answers a ping, and the queues it
    consumes; None if nobody was asked. `replaced` are the marks of processes whose names others have taken
    since they fell silent: nothing is said of these but that.
    """

    now: datetime
    marks: Collection[Mark]
    waiting: Mapping[str, int]
    answers: Mapping[str, Collection[str]] | None = None
    replaced: Collection[Mark] = ()

    @property
    def beats(self) -> list[Mark]:
        """The beats that ring."""
        return [mark for mark in self.marks if mark.is_beat and self.is_fresh(mark.worked_at, STILL)]

    def is_fresh(self, instant: datetime | None, within: timedelta) -> bool:
        """Whether it was a moment ago. What lies ahead was written before Redis's clock was set back, and who
        works has spoken since."""
        return instant is not None and -STILL <= self.now - instant <= within

    def judge(self) -> list[Judgement]:
        """Every worker there is a mark or an answer of, by name."""
        known = [self.judge_worker(mark) for mark in self.marks if not mark.is_beat]
        marked = {mark.node for mark in self.marks}
        silent = [
            Judgement(node, State.NEW if self._is_rung(frozenset(queues)) else State.UNRUNG, None)
            for node, queues in (self.answers or {}).items()
            if node not in marked
        ]
        return sorted(known + silent, key=lambda found: found.node)

    def judge_worker(self, mark: Mark) -> Judgement:
        """One worker, by its mark."""
        return Judgement(mark.node, self._state(mark), mark.worked_at, mark.trouble, self._pid(mark))

    def judge_beat(self, mark: Mark) -> Judgement:
        """One beat, by its mark."""
        state = State.WORKS if mark in self.beats else State.MUTE
        return Judgement(mark.node, state, mark.worked_at, pid=self._pid(mark))

    def namesakes(self) -> dict[str, list[int]]:
        """The workers of which several have one name, with the numbers of their processes. (Beats cannot be
        given names.)"""
        found: dict[str, list[int]] = {}
        for mark in self.marks:
            if mark.process and not mark.is_beat:
                found.setdefault(mark.node, []).append(mark.process.pid)
        return {node: pids for node, pids in found.items() if len(pids) > 1}

    def _pid(self, mark: Mark) -> int:
        """Its number, if its name is not enough."""
        shared = any(other.node == mark.node for other in self.marks if other is not mark)
        return mark.process.pid if shared and mark.process else 0

    def _state(self, mark: Mark) -> State:
        patience = self._patience(mark)
        if self.is_fresh(mark.worked_at, patience):
            return State.WORKS
        if mark.busy and not self.is_fresh(mark.told_at, patience):
            return self._unless_gone(mark, State.FROZEN)
        if mark.busy >= mark.hands:  # a ping missed means nothing: it says by itself that it is there
            return State.BUSY if self.is_fresh(mark.heard_at, mark.longest) else State.STUCK
        if self.is_fresh(mark.heard_at, patience):
            return State.FAILING if mark.trouble else State.WORKS
        return self._still(mark, patience)

    def _still(self, mark: Mark, patience: timedelta) -> State:
        """Of one that came to no door for a while, and has a hand free."""
        if not self._is_rung(mark.queues, patience):
            return State.UNRUNG if self._answers(mark.node) else State.GONE
        return self._unless_gone(mark, State.NEW if mark.worked_at is None else State.DEAF)

    def _unless_gone(self, mark: Mark, state: State) -> State:
        """Stopped or killed, nobody can see from here. Where others do its work it is merely gone."""
        others = {
            queue
            for other in self.marks
            if other is not mark and self.is_fresh(other.worked_at, STILL) and not other.is_beat
            for queue in other.queues
        }
        return state if self._answers(mark.node) or not mark.queues <= others else State.GONE

    def _answers(self, node: str) -> bool:
        return self.answers is None or node in self.answers

    def _patience(self, mark: Mark) -> timedelta:
        """How long a worker that hears may be still."""
        sharing = sum(1 for other in self.marks if not other.is_beat and other.queues & mark.queues)
        return STILL + TURN * sharing

    def _is_rung(self, queues: Collection[str], patience: timedelta = timedelta(0)) -> bool:
        """Whether it ought to have heard something: beat rings for that long, or a ring waits in a queue."""
        visited = any(
            beat.queues & set(queues) and self.now - (beat.unbroken_since or self.now) >= patience
            for beat in self.beats
        )
        return visited or any(self.waiting.get(queue) for queue in queues)


def judge_node(node: str, now: datetime, marks: Collection[Mark]) -> Judgement:
    """One process, by the marks alone: quick, for health checks. Of several of that name the one that is ill:
    it cannot hide behind the others."""
    evidence = Evidence(now, marks, waiting={})
    own = [mark for mark in marks if mark.node == node]
    if not own:
        return Judgement(node, State.UNMARKED, None)
    judged = [evidence.judge_beat(mark) if mark.is_beat else evidence.judge_worker(mark) for mark in own]
    return next((one for one in judged if not one.healthy), judged[0])
