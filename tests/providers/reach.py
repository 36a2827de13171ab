"""What an input reaches: the steps from line to line that a reader takes within the dialects."""

import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

from bulk_dispatch import providers
from tests.providers.seeds import Target

DIALECTS = str(Path(providers.__file__).parent)

Step: TypeAlias = tuple[str, int, int]


def telling(target: Target, bodies: Iterable[bytes], most: int) -> list[bytes]:
    """Those, at most so many, that take a step which none before them took; the good answer goes first."""
    seen = reached(target, target.question.good)
    found: list[bytes] = []
    for body in bodies:
        steps = reached(target, body)
        if len(found) < most and not steps <= seen:
            found.append(body)
            seen |= steps
    return found


def reached(target: Target, body: bytes) -> set[Step]:
    """The steps that reading it takes. A function is entered by a step from line 0."""
    steps: set[Step] = set()

    def follow(name: str) -> Callable[[FrameType, str, Any], Any]:
        last = 0

        def at(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            steps.add((name, last, frame.f_lineno))
            last = frame.f_lineno
            return at

        return at

    def enter(frame: FrameType, event: str, _: Any) -> Any:
        name = frame.f_code.co_filename
        return follow(name) if name.startswith(DIALECTS) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        with suppress(Exception):  # one that fails reaches something, too
            target.feed(body)
    finally:
        sys.settrace(before)
    return steps
