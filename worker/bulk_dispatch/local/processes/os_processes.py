"""What runs under a process id. Ids are used again, so an id alone proves nothing."""

import os
import subprocess
from pathlib import Path

PROC = Path("/proc")


def program(pid: int) -> str | None:
    """The name of the program behind `pid`; None when nothing runs, empty when it ended and is not reaped."""
    if (PROC / "self").exists():
        return _from_proc(pid)
    return _from_ps(pid)


def signal_if(pid: int | None, name: str, number: int) -> bool:
    """Signals `pid` if it runs the program `name`; whether it did."""
    if pid is None or program(pid) != name:
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it ended this very moment
        return False
    return True


def _from_proc(pid: int) -> str | None:
    try:
        line = (PROC / str(pid) / "stat").read_text(errors="replace")  # "42 (postgres) S 1 ..."
    except (FileNotFoundError, ProcessLookupError):
        return None
    name, _, rest = line.partition("(")[2].rpartition(") ")
    return "" if rest.startswith("Z") else name


def _from_ps(pid: int) -> str | None:
    """For systems without /proc."""
    ps = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
    answer = subprocess.run(ps, capture_output=True, text=True, check=False)
    return Path(answer.stdout.strip()).name if answer.returncode == 0 else None
