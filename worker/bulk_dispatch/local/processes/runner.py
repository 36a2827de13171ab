"""Keeps one child running: starts it, passes its output on, starts it again when it dies."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import IO

from bulk_dispatch.local.processes.reaper import Reaper
from bulk_dispatch.local.processes.spec import Child, ExitRecord, Restarts, described

Tell = Callable[[str, str], None]  # takes a child's name and one line
LONGEST_LINE = 64 * 1024  # a child that never ends its line must not fill our memory
LAST_OUTPUT = timedelta(seconds=1)  # for what a dead child left in its pipe


class ChildRunner:
    """One child and the thread that looks after it."""

    def __init__(self, child: Child, reaper: Reaper, tell: Tell, restarts: Restarts) -> None:
        self.child = child
        self._reaper = reaper
        self._tell = tell
        self._restarts = restarts
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._turning = (
            threading.Lock()
        )  # a child is either started or told to stop, never one across the other
        self._killed = False
        self._thread = threading.Thread(target=self._keep, name=f"keeper of {child.name}", daemon=True)

    def begin(self) -> None:
        """Starts the child, and goes on by itself."""
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """Of the running child; None between two lives."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def ask(self) -> None:
        """Asks the child to end. It will not be started again."""
        with self._turning:
            self._stopping.set()
            if self._process is not None:
                self._process.send_signal(self.child.stop_signal)

    def kill(self) -> None:
        """Ends the child and everything in its group."""
        process = self._process
        if process is not None and process.poll() is None:
            self._killed = True
            _kill_group(process.pid)

    def await_end(self, patience: timedelta) -> bool:
        """Whether the child has ended for good, at the latest after `patience`."""
        self._thread.join(max(patience.total_seconds(), 0))
        return not self._thread.is_alive()

    def ending(self) -> ExitRecord:
        """How it ended, once it has."""
        code = None if self._process is None else self._process.returncode
        return ExitRecord(self.child.name, code, self._killed)

    def _keep(self) -> None:
        delay: timedelta | None = None
        while not self._stopping.is_set():
            born = time.monotonic()
            how = self._live()
            if self._stopping.is_set():
                return
            delay = self._restarts.delay(delay, timedelta(seconds=time.monotonic() - born))
            self._say(f"{how}; starts again in {delay.total_seconds():g} s")
            self._stopping.wait(delay.total_seconds())

    def _live(self) -> str:
        """One life, from start to end; returns how it ended, in words."""
        try:
            process = self._born()
        except OSError as error:
            return f"could not be started: {error.strerror}"
        if process is None:
            return "was not started"
        reader = threading.Thread(target=self._relay, args=(process.stdout,), daemon=True)
        reader.start()
        code = process.wait()
        _kill_group(process.pid)  # what it left behind would go on beside its successor
        self._reaper.forget(process.pid)
        reader.join(LAST_OUTPUT.total_seconds())
        return f"ended with {described(code)}"

    def _born(self) -> subprocess.Popen[bytes] | None:
        with self._turning:
            if self._stopping.is_set():
                return None
            self._process = self._reaper.start(self.child)
            return self._process

    def _relay(self, output: IO[bytes]) -> None:
        with output:
            while line := output.readline(LONGEST_LINE):
                self._tell(self.child.name, line.decode(errors="replace").rstrip("\r\n"))

    def _say(self, what: str) -> None:
        self._tell(self.child.name, f"-- {what}")


def _kill_group(leader: int) -> None:
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:  # all gone already
        return
