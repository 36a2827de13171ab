"""Runs the children of `worker up` and `worker demo`, and leaves none behind.

Each child leads a session and process group of its own, so Ctrl-C reaches the supervisor alone and it
decides the order of the end. If the supervisor itself is killed, its guard ends the children.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from bulk_dispatch.local.processes.log_mux import Lines, Sink
from bulk_dispatch.local.processes.reaper import Reaper
from bulk_dispatch.local.processes.runner import ChildRunner
from bulk_dispatch.local.processes.spec import Child, ExitRecord, Restarts, StopPhase

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GLANCE = timedelta(milliseconds=50)  # how often a stop looks whether it was asked to hurry
AFTER_KILL = timedelta(seconds=5)


class Supervisor:
    """Keeps `children` running from entering its context to leaving it; for one use."""

    def __init__(
        self,
        children: Iterable[Child],
        sink: Sink,
        *,
        colour: bool = False,
        restarts: Restarts | None = None,
        orphan_grace: timedelta = timedelta(seconds=5),
        afterwards: tuple[str, ...] = (),
    ) -> None:
        """`sink` takes the children's output, a line at a time, with a name in front.

        Only if we are killed: the children get `orphan_grace` from TERM to KILL, then the command
        `afterwards` (an absolute path first) is run.
        """
        self._children = tuple(children)
        self._lines = Lines(sink, [child.name for child in self._children], colour, self.request_stop)
        self._restarts = restarts or Restarts()
        self._orphan_grace = orphan_grace
        self._afterwards = afterwards
        self._keepers: tuple[ChildRunner, ...] = ()
        self._requests: SimpleQueue[None] = SimpleQueue()  # of all queues, the one a signal handler may use
        self._endings: tuple[ExitRecord, ...] | None = None

    def __enter__(self) -> Self:
        self._reaper = Reaper(self._orphan_grace, self._afterwards)
        self._keepers = tuple(
            ChildRunner(child, self._reaper, self._lines.tell, self._restarts) for child in self._children
        )
        for keeper in self._keepers:
            keeper.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def pids(self) -> dict[str, int]:
        """The children that run at this moment."""
        return {keeper.child.name: pid for keeper in self._keepers if (pid := keeper.pid) is not None}

    def request_stop(self) -> None:
        """Ends `wait`; once more, during `stop`, ends all patience. For any thread or signal handler."""
        self._requests.put(None)

    def wait(self) -> None:
        """Blocks until Ctrl-C, TERM, a closed terminal, or `request_stop`. Stops nothing itself."""
        with _on_stop_signals(self.request_stop):
            self._requests.get()

    def stop(self) -> tuple[ExitRecord, ...]:
        """Stops the workers first, then the rest, and says how each ended. A second call changes nothing."""
        if self._endings is None:
            with _on_stop_signals(self.request_stop):
                for stop_phase in StopPhase:
                    self._stop_turn(
                        [keeper for keeper in self._keepers if keeper.child.stop_phase is stop_phase]
                    )
            self._endings = tuple(keeper.ending() for keeper in self._keepers)
            self._reaper.dismiss()
        return self._endings

    def _stop_turn(self, keepers: list[ChildRunner]) -> None:
        asked_at = time.monotonic()
        for keeper in keepers:
            keeper.ask()
        for keeper in keepers:
            self._see_off(keeper, asked_at + keeper.child.grace.total_seconds())

    def _see_off(self, keeper: ChildRunner, deadline: float) -> None:
        while not keeper.await_end(GLANCE):
            if not self._requests.empty():
                self._end(keeper, "asked twice")
            elif time.monotonic() >= deadline:
                self._end(keeper, f"did not end within {keeper.child.grace.total_seconds():g} s")

    def _end(self, keeper: ChildRunner, reason: str) -> None:
        self._lines.tell(keeper.child.name, f"-- {reason}: killed, with all it had started")
        keeper.kill()
        keeper.await_end(AFTER_KILL)


@contextmanager
def _on_stop_signals(react: Callable[[], None]) -> Iterator[None]:
    """Lets the stop signals only `react`, for a while. A signal somebody told us to ignore stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread has a say about signals
        return
    before = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    heeded = [number for number in STOP_SIGNALS if before[number] is not signal.SIG_IGN]
    for number in heeded:
        signal.signal(number, lambda *_: react())
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
