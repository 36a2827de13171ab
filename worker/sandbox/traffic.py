"""Requests: how many of which kind, how many at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Counted since the start or the last reset; not journaled, it is about the wire and not the messages."""

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._now = 0
        self.clear()

    def clear(self) -> None:
        """Begin a new count. Requests still running stay in the number of parallel ones."""
        # By command, and "unread", "unreadable", "unknown", "throttled".
        self.requests: Counter[str] = Counter()
        self.kills = 0  # callers killed
        self.peak = self._now

    def count_kill(self) -> None:
        """One caller less."""
        self.kills += 1

    @contextmanager
    def session(self) -> Iterator[bool]:
        """One request from its head to its answer; yields whether there are too many at once."""
        self._now += 1
        self.peak = max(self.peak, self._now)
        try:
            yield self._limit is not None and self._now > self._limit
        finally:
            self._now -= 1
