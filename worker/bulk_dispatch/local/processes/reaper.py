"""The supervisor's end of its guard: a small process that outlives it and cleans up after a kill -9."""

import subprocess
import sys
from datetime import timedelta

from bulk_dispatch.local.processes import launch, reaper_main
from bulk_dispatch.local.processes.spec import Child

BARE = (sys.executable, "-I", "-S")  # the standard library only: up in 15 ms, whatever is installed


class Reaper:
    """Knows all children, through a pipe that the kernel closes when the supervisor ends."""

    def __init__(self, grace: timedelta, afterwards: tuple[str, ...]) -> None:
        """If the supervisor is killed: children get `grace` to end, then `afterwards` is run."""
        self._process = subprocess.Popen(
            (*BARE, reaper_main.__file__, str(grace.total_seconds()), *afterwards),
            stdin=subprocess.PIPE,
            bufsize=0,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",  # not beside whatever modules lie where it was started
        )
        assert self._process.stdin is not None
        self._pipe = self._process.stdin

    def start(self, child: Child) -> subprocess.Popen[bytes]:
        """Starts a child, at the head of a session and process group of its own."""
        launcher = (*BARE, launch.__file__, str(self._pipe.fileno()))
        return subprocess.Popen(
            (*launcher, *child.command),
            cwd=child.folder,
            env=dict(child.env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=(self._pipe.fileno(),),
        )

    def forget(self, pid: int) -> None:
        """The child has ended, and its group with it."""
        self._tell(f"-{pid}\n")

    def dismiss(self) -> None:
        """All have ended."""
        self._tell("bye\n")
        self._pipe.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        try:
            self._pipe.write(line.encode())
        except (
            BrokenPipeError
        ):  # somebody ended the guard; there is nobody to tell, and nothing else is worse
            return
