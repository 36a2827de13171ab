"""Waits for the supervisor's end, and if it was killed, ends what it has left running.

Run by path, with the standard library only. Standard input is a pipe the supervisor holds open:
"+7" a child leads process group 7; "-7" it has ended; "bye" the supervisor has stopped everything
itself. The kernel closes the pipe however the supervisor ends. Arguments: the seconds a child gets
between TERM and KILL; then a command to become afterwards, if any.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable

PAUSE = 0.02


def main(grace: float, afterwards: list[str]) -> None:
    """Reads to the end of the pipe, then acts on what it says."""
    leaders = listen(line.strip() for line in sys.stdin)
    if leaders is None:
        return
    for leader in leaders:
        tell(leader, signal.SIGTERM, os.kill)  # the leader alone: it ends its own children in good order
    await_end(leaders, time.monotonic() + grace)
    for leader in leaders:
        tell(leader, signal.SIGKILL, os.killpg)
    if afterwards:
        os.execv(afterwards[0], afterwards)  # noqa: S606


def listen(lines: Iterable[str]) -> set[int] | None:
    """Who is still running; None when the supervisor said goodbye."""
    leaders: set[int] = set()
    for line in lines:
        if line == "bye":
            return None
        if line.startswith("+"):
            leaders.add(int(line[1:]))
        else:
            leaders.discard(int(line[1:]))
    return leaders


def await_end(leaders: set[int], deadline: float) -> None:
    """Until every group is empty, or the deadline."""
    while any(tell(leader, 0, os.killpg) for leader in leaders) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def tell(leader: int, number: int, send: Callable[[int, int], None]) -> bool:
    """Sends a signal; False when there is nobody to take it."""
    try:
        send(leader, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2:])
