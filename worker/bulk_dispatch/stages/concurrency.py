"""Calls: one exchange for each of many parts, so many of them at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Part = TypeVar("Part")
Outcome = TypeVar("Outcome")


def calls(
    work: Callable[[Part], Outcome],
    parts: Iterable[Part],
    in_flight: int,
    go_on: Callable[[], bool] = lambda: True,
) -> Iterator[Sequence[tuple[Part, Outcome]]]:
    """Do `work` for each part, and yield what has ended as it ends: all that is there, each time.

    Begins nothing more once `go_on` says so. What was begun is waited for, also when nobody asks for it any
    more.
    """
    waiting = deque(parts)
    if in_flight == 1 or len(waiting) == 1:
        while waiting and go_on():
            part = waiting.popleft()
            yield [(part, work(part))]
        return
    with ThreadPoolExecutor(in_flight, "call") as hands:
        running: dict[Future[Outcome], Part] = {}
        while True:
            while waiting and len(running) < in_flight and go_on():
                part = waiting.popleft()
                running[hands.submit(work, part)] = part
            if not running:
                return
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            yield [(running.pop(one), one.result()) for one in ended]
