"""Heartbeats: what each process says of itself, for others to judge (see monitoring.liveness).

A worker tells when it last began a step and when it last ended one, and beat when it last scheduled a task.
While a step is in hand it says so again every second or two, however long the step takes: whoever holds one
and says nothing is not at work on it. Instants are those of Redis: hosts need not agree on the time.

By the same way a process learns that its routes are to be read again, and tells which it knows.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from bulk_dispatch.intake import Intake, IntakeError, ReloadCounts
from bulk_dispatch.monitoring.process import Process

log = logging.getLogger(__name__)

STALL_AFTER = timedelta(seconds=20)
"""Who was still for so long is asked why. Twenty visits of beat, and longer than the 15 s in which a process
comes back by itself once a fault is over."""

HEARTBEAT_TTL = timedelta(hours=1)
"""What said nothing for so long is forgotten. Also what a step may take if nobody said: see "time limits"."""

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two heartbeats of a process, at least; twice as much at most while a step is in hand."""

IDLE = HEARTBEAT_TTL.total_seconds() / 4
"""Seconds after which who has nothing to do says once more that it is there. Not oftener: of a pool of
processes, which share a name, an idle one would speak over those that work."""

LOOK = 2.0  # seconds after which who has nothing to do, or to say, looks whether it was asked for something

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


class HeartbeatReporter:
    """The hands of this process, and who tells of them.

    Steps only take notes here. A thread of its own writes, at most once a second: so Redis being away, or
    silent, costs no step a moment.
    """

    idle = IDLE

    def __init__(
        self,
        connect: Callable[[], Intake],
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        read_again: Callable[[], None] = lambda: None,
    ) -> None:
        self._connect = connect
        self._clock = clock
        self._wall = wall
        self._read_again = read_again
        self._node = ""
        self._process = ""
        self._began = clock()
        self._queues: tuple[str, ...] = ()
        self._slots = 1
        self._max_step = HEARTBEAT_TTL
        self._routes: Mapping[str, str] | None = None
        self._kept = ""
        self._begin_anew()
        os.register_at_fork(after_in_child=self._begin_anew)  # a pool of processes: threads do not come along

    def _begin_anew(self) -> None:
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._news = threading.Event()
        self._thread: threading.Thread | None = None
        self._intake: Intake | None = None
        self._active = 0
        self._last_activity = self._clock()
        self._last_success: float | None = None
        self._ticking_since: float | None = None
        self._last_error = ""
        self._told = -math.inf
        self._hung_up = False
        self._followed = ReloadCounts()  # of a file read meanwhile nothing is known: so it is read once more

    def introduce(
        self, node: str, queues: Collection[str], slots: int = 1, max_step: timedelta = HEARTBEAT_TTL
    ) -> None:
        """Who this is, and how long a step of its may take. A process that is not introduced sends no
        heartbeats."""
        self._node, self._queues, self._slots, self._max_step = node, tuple(queues), slots, max_step
        self._process, self._began = str(Process.own()), self._clock()  # of a pool of processes: their parent

    def knows(self, routes: Mapping[str, str], max_step: timedelta = HEARTBEAT_TTL, kept: str = "") -> None:
        """Which routes this process knows, each with a digest of its settings; how long a step may take by
        them; and why it has kept them, if it could not read them again."""
        self._routes, self._max_step, self._kept = routes, max_step, kept

    def ask(self) -> None:
        """Have the routes read again, soon, by all processes of that name. Safe in the handler of a signal:
        it takes no lock."""
        self._hung_up = True

    def present(self) -> None:
        """It is up and listens."""
        self._note(active=0)

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step, from its beginning to its end."""
        self._note(active=+1)
        try:
            yield
        except Exception as problem:
            self._note(active=-1, last_error=type(problem).__name__)  # no more: its text may quote a number
            raise
        except BaseException:
            self._note(active=-1)
            raise
        self._note(active=-1, worked=True)

    def ticked(self) -> None:
        """Beat visited a queue, or saw that enough wake-ups wait there."""
        self._note(active=0, worked=True)

    def leave(self) -> None:
        """This process ends in peace."""
        node, self._node = self._node, ""
        with self._writing:  # what is under way must not land after it was forgotten
            if node and self._intake:  # else nothing was written, or Redis is away
                try:
                    self._intake.forget_heartbeats(f"{node}#{self._process}")
                except IntakeError as problem:
                    log.info("heartbeat_not_removed node=%s problem=%s", node, problem)

    def _note(self, active: int, *, worked: bool = False, last_error: str = "") -> None:
        if not self._node:
            return
        with self._lock:
            self._last_activity = self._clock()
            self._active += active
            if worked:
                if (
                    self._last_success is None
                    or self._last_activity - self._last_success > STALL_AFTER.total_seconds()
                ):
                    self._ticking_since = self._last_activity
                self._last_success, self._last_error = self._last_activity, ""
            elif last_error:
                self._last_error = last_error
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="heartbeat", daemon=True)
                self._thread.start()
        self._news.set()

    def _tell(self) -> None:
        intake = self._connect()
        while self._node:
            news = self._news.wait(HEARTBEAT_INTERVAL if self._active else min(LOOK, self.idle))
            self._news.clear()
            self._pass_on(intake)
            with self._writing:
                asked = self._write(intake) if news or self._active or self._is_due() else self._look(intake)
            if asked is not None and asked != self._followed:
                self._follow(asked)
            time.sleep(HEARTBEAT_INTERVAL)

    def _is_due(self) -> bool:
        """Whether it has been silent for long."""
        return self._clock() - self._told >= self.idle

    def _write(self, intake: Intake) -> ReloadCounts | None:
        node = self._node
        if not node:  # it left meanwhile
            return None
        try:
            asked = intake.write_heartbeat(node, self._facts(), self._process)
        except IntakeError:  # the stages say what is wrong; here it is only told later
            self._intake = None
            self._news.set()
            return None
        self._intake, self._told = intake, self._clock()
        return asked

    def _look(self, intake: Intake) -> ReloadCounts | None:
        """What it is asked for; None if Redis is away."""
        try:
            return intake.asked_to_reload(self._node)
        except IntakeError:
            return None

    def _pass_on(self, intake: Intake) -> None:
        """A signal comes to one process of a pool; by way of Redis all of them learn of it."""
        node = self._node
        if node and self._hung_up:
            with suppress(IntakeError):  # it stays asked for
                intake.ask_to_reload(node)
                self._hung_up = False

    def _follow(self, asked: ReloadCounts) -> None:
        self._read_again()
        self._followed = asked
        self.present()

    def _facts(self) -> dict[str, object]:
        with self._lock:
            now = self._clock()
            return {
                "queues": self._queues,
                "began": now - self._began,
                "last_activity": now - self._last_activity,
                "last_success": None if self._last_success is None else now - self._last_success,
                "ticking": None if self._ticking_since is None else now - self._ticking_since,
                "active": self._active,
                "slots": self._slots,
                "max_step": self._max_step.total_seconds(),
                "last_error": self._last_error,
                "clock": self._wall(),
                "routes": self._routes,
                "kept": self._kept,
                "reloads": self._followed.fleet,
            }
