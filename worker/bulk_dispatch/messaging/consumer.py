"""Celery's consumer, which comes back at a walk: see messaging.broker for what it comes back from."""

import time

from celery.worker import state
from celery.worker.consumer import Consumer as CeleryConsumer

AGAIN = 1.0  # seconds between two attempts to consume, at least


class Consumer(CeleryConsumer):
    """What Redis refuses now it refuses a moment later, too, though connecting may succeed each time: Celery
    would try five times a second."""

    _tried_at = float("-inf")

    def connect(self) -> object:
        """See Celery. Ends with the process, if that is asked to end meanwhile."""
        while (left := self._tried_at + AGAIN - time.monotonic()) > 0:
            state.maybe_shutdown()
            time.sleep(min(left, 0.1))
        self._tried_at = time.monotonic()
        return super().connect()
