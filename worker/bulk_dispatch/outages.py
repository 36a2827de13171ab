"""Weather: a server that is away, or refuses, is said once and not each time somebody meets it."""

import logging
import time
from collections.abc import Callable, Mapping

SPELL = 30.0  # seconds without it after which a trouble is over; the next is said again
KINDS = 100  # of trouble, remembered at a time

EVENTS = frozenset({"wakeup_not_sent", "enqueue_postponed", "ledger_away", "server_unavailable"})
"""Our own; the trouble is the last that they name."""

CELERYS: Mapping[str, int] = {
    "%s (%r)": 1,  # the consumer has lost its connection
    "consumer: Cannot connect": 1,
    "Couldn't ack": 1,
    "Couldn't reject": 1,
    "beat: Connection error": 0,
}
"""How Celery's own begin, and which of their arguments is the trouble."""


class SaidOnce(logging.Filter):
    """Lets the first of a spell through: of a trouble, whichever stage or wake-up meets it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._met: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        trouble = _trouble(record)
        if trouble is None:
            return True
        now = self._clock()
        last = self._met.pop(trouble, None)
        if len(self._met) >= KINDS:
            self._met.clear()
        self._met[trouble] = now
        return last is None or now - last > SPELL


def _trouble(record: logging.LogRecord) -> tuple[str, str] | None:
    """What is said, and of what; None if it is no weather."""
    if record.levelno < logging.WARNING or not isinstance(record.args, tuple) or not record.args:
        return None
    at = _place(str(record.msg))
    if at is None:
        return None
    # beat names the wake-up in front of the trouble
    return f"{record.name} {record.msg}", str(record.args[at]).rpartition(": ")[2]


def _place(template: str) -> int | None:
    if template.partition(" ")[0] in EVENTS:
        return -1
    return next((at for beginning, at in CELERYS.items() if template.startswith(beginning)), None)
