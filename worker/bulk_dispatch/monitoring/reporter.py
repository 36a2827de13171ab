"""The reporter of a process: it writes the heartbeats, and learns by the same way what the process is asked.

While a step is in hand it says so again every second or two, however long the step takes: a process that
holds one and says nothing is not at work on it. And it learns that its routes are to be read again, and tells
which it knows.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial

from bulk_dispatch.intake import Intake, IntakeError, ReloadCounts
from bulk_dispatch.monitoring.heartbeat import HEARTBEAT_TTL
from bulk_dispatch.monitoring.process import Process
from bulk_dispatch.monitoring.steps import StepCounter

log = logging.getLogger(__name__)

HEARTBEAT_INTERVAL = 1.0
"""Seconds between two heartbeats of a process, at least; twice as much at most while a step is in hand."""

IDLE = HEARTBEAT_TTL.total_seconds() / 4
"""Seconds after which a process with nothing to do says once more that it is there. Not oftener: of a pool of
processes, which share a name, an idle one would speak over those that work."""

LOOK = 2.0  # seconds after which one with nothing to do, or to say, looks whether it was asked for something


class HeartbeatReporter:
    """The heartbeats of this process: what it does is noted here, and a thread of its own writes that down.

    It writes at most once a second, and no step waits for it: that Redis is away, or silent, costs a step
    nothing.
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
        self._steps = StepCounter(self._clock())
        self._told = -math.inf
        self._hung_up = False
        self._followed = ReloadCounts()  # of a file read meanwhile nothing is known: so it is read once more

    def introduce(
        self, node: str, queues: Collection[str], slots: int = 1, max_step: timedelta = HEARTBEAT_TTL
    ) -> None:
        """Which process this is, and how long a step of its may take. One that is not introduced sends no
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
        self._note(StepCounter.wake)

    @contextmanager
    def step(self) -> Iterator[None]:
        """One step, from its beginning to its end."""
        self._note(StepCounter.begin)
        try:
            yield
        except Exception as problem:
            kind = type(problem).__name__  # no more: its text may quote a number
            self._note(partial(StepCounter.fail, error=kind))
            raise
        except BaseException:
            self._note(StepCounter.interrupt)
            raise
        self._note(StepCounter.succeed)

    def ticked(self) -> None:
        """Beat visited a queue, or saw that enough wake-ups wait there."""
        self._note(StepCounter.tick)

    def leave(self) -> None:
        """This process ends in peace."""
        node, self._node = self._node, ""
        with self._writing:  # what is under way must not land after it was forgotten
            if node and self._intake:  # else nothing was written, or Redis is away
                try:
                    self._intake.forget_heartbeats(f"{node}#{self._process}")
                except IntakeError as problem:
                    log.info("heartbeat_not_removed node=%s problem=%s", node, problem)

    def _note(self, happened: Callable[[StepCounter, float], None]) -> None:
        if not self._node:
            return
        with self._lock:
            happened(self._steps, self._clock())
            if self._thread is None:
                self._thread = threading.Thread(target=self._tell, name="heartbeat", daemon=True)
                self._thread.start()
        self._news.set()

    def _tell(self) -> None:
        intake = self._connect()
        while self._node:
            news = self._news.wait(HEARTBEAT_INTERVAL if self._steps.active else min(LOOK, self.idle))
            self._news.clear()
            self._pass_on(intake)
            due = news or self._steps.active or self._is_due()
            with self._writing:
                asked = self._write(intake) if due else self._look(intake)
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
                **self._steps.facts(now),
                "slots": self._slots,
                "max_step": self._max_step.total_seconds(),
                "clock": self._wall(),
                "routes": self._routes,
                "kept": self._kept,
                "reloads": self._followed.fleet,
            }
