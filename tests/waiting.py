"""Waiting for an event, never for luck."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(look: Callable[[], T], within: float = 60, every: float = 0.05) -> T:
    """What `look` returns, as soon as that is true; an assertion with its last answer if it never is."""
    deadline = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within} s; last seen: {seen!r}"
        time.sleep(every)
