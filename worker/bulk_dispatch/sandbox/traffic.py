"""Requests: how many of which kind, how many at once."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """Counted since the start or the last reset; not journaled, it is about the wire and not the messages."""

    def __init__(self, whole: "Traffic | None" = None) -> None:
        self._whole = whole  # of all providers, where this is one of them
        self.now = 0
        self.clear()

    def clear(self) -> None:
        """Begin a new count. Requests still running stay in the number of parallel ones."""
        # By command, and "unread", "unreadable", "unknown", "throttled".
        self.requests: Counter[str] = Counter()
        self.kills = 0  # callers killed
        self.peak = self.now

    def count(self, command: str) -> None:
        """One request more."""
        self.requests[command] += 1
        if self._whole:
            self._whole.count(command)

    def count_kill(self) -> None:
        """One caller less."""
        self.kills += 1
        if self._whole:
            self._whole.count_kill()

    @contextmanager
    def session(self) -> Iterator[None]:
        """One request from its head to its answer."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> None:
        """See `session`."""
        self.now += 1
        self.peak = max(self.peak, self.now)
        if self._whole:
            self._whole.enter()

    def leave(self) -> None:
        """See `session`."""
        self.now -= 1
        if self._whole:
            self._whole.leave()
