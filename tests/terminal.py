"""Somebody at a terminal: `worker up` in a folder of their own, and the lines they type beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bulk_dispatch.config.settings import inherited_environment
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
LONGEST = 120  # seconds that a line may take


def bare_environment() -> dict[str, str]:
    """The environment of who has set nothing of ours; `worker` and `python` are those of these tests."""
    given = {name: value for name, value in inherited_environment().items() if not name.startswith("WORKER_")}
    path = os.pathsep.join((str(Path(sys.executable).parent), given.get("PATH", os.defpath)))
    return {**given, "PYTHONPATH": str(ROOT / "worker"), "PATH": path}


# -- the first terminal

# Whoever starts the tests may have told them to ignore Ctrl-C, as a shell does with what it runs in the
# background; then `worker up` would rightly ignore it too.
AT_A_TERMINAL = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def up(env: Mapping[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`worker up`, once it works. What it says is in `up.log`."""
    with (folder / "up.log").open("wb") as log:
        words = ["-m", "bulk_dispatch", "up", "--sandbox-port", "0", "--flower-port", "0", "--web-port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, *words], env=env, cwd=folder, stdout=log, stderr=log
        )
        try:
            eventually(lambda: (folder / "up.log").read_text().count(" ready.") == 3)
            yield process
        finally:
            process.kill()
            process.wait()
            eventually(lambda: not still_running(folder), within=30)


def still_running(folder: Path) -> list[str]:
    """Processes that were started for this folder, whoever their parent is by now: all of them know it."""
    found = []
    for process in psutil.process_iter():
        try:
            knows = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in knows):
            found.append(" ".join(process.cmdline()))
    return found


# -- the second one


@dataclass
class Terminal:
    """A shell in a folder. What a line sources holds for those after it."""

    env: Mapping[str, str]
    folder: Path
    sourced: list[str] = field(default_factory=list)

    def enter(self, line: str) -> "subprocess.CompletedProcess[str]":
        """Type a line, and wait for its end."""
        ran = subprocess.run(
            ["bash", "-o", "pipefail", "-c", "\n".join((*self.sourced, line))],
            env=self.env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LONGEST,
            check=False,
        )
        if line.startswith("source "):
            self.sourced.append(line)
        return ran
