"""The log of a process of Celery: a line an event, and nothing that a task carries."""

import logging
from typing import Any

from bulk_dispatch.outages import SaidOnce

_SHOWS_TASKS = (
    "celery.worker.strategy",
    "celery.worker.request",
    "celery.app.trace",
    "celery.beat",
    "celery.pool",
)
"""Celery's loggers that would show what a task carries, before ours can hide it, or that it is discarded."""


class _Brief(logging.Formatter):
    """A server that is away is said in a line: how the broker's client noticed helps nobody. So is a task
    that Celery cannot take: it would show it whole, with the texts and numbers in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        if record.name == "celery.worker.consumer.consumer":
            record.message = record.message.partition("\n")[0].partition(" headers:")[0]
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        kind, problem, _ = ei
        if kind is not None and kind.__module__.split(".")[0] in {"redis", "kombu", "celery"}:
            return f"{kind.__name__}: {problem}"
        return super().formatException(ei)


def set_up_logging(level: str) -> None:
    """Log one line an event to standard error; of a server that is away, one line a spell."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Brief("%(asctime)s %(levelname)s %(name)s %(message)s"))
    handler.addFilter(SaidOnce())
    logging.basicConfig(level=level, handlers=[handler])
    for name in _SHOWS_TASKS:
        logging.getLogger(name).setLevel(logging.WARNING)
