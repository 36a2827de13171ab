"""Beat: a scheduler for Celery that makes nothing up, fills no queue, and ends between ticks."""

import logging
import signal
from collections.abc import Mapping
from typing import Any

from celery.beat import Scheduler, SchedulingError
from kombu.common import ignore_errors

from bulk_dispatch.beat_schedule import beat_entries
from bulk_dispatch.messaging.celery_app import BrokerError
from bulk_dispatch.messaging.inspection import backlog
from bulk_dispatch.messaging.wakeup import BACKLOG
from bulk_dispatch.routing import Route

log = logging.getLogger(__name__)

AT_ONCE = 3  # seconds that a tick has when beat is to end: while the broker is away it would last


class NonCatchUpScheduler(Scheduler):
    """Beat's scheduler, for an app that has its WorkerProcess as `process`.

    It keeps no file, since a missed tick needs no making up; and where ticks are not answered it adds none,
    so that a weekend without workers does not fill Redis.
    """

    _routes: Mapping[str, Route] | None = None

    def tick(self, *args: Any, **options: Any) -> Any:
        """See Celery; by the routes of now."""
        routes = self.app.process.routes.routes
        if self._routes is not routes:
            self._routes = routes
            self.merge_inplace(beat_entries(routes.values()))
        return super().tick(*args, **options)

    def close(self) -> None:
        """See Celery; no tick is under way any more."""
        signal.alarm(0)
        super().close()

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """See Celery; unless enough wake-ups wait in the queue."""
        try:
            if backlog(self.producer, entry.options["queue"]) < BACKLOG:
                self.apply_async(entry, producer=producer, advance=False)
        except (BrokerError, SchedulingError) as problem:  # a missed tick needs no making up
            log.warning("wakeup_not_sent tick=%s problem=%s", entry.name, problem)
            self._let_go()
        else:
            self.app.process.heartbeat.ticked()

    def _let_go(self) -> None:
        """Of the producer, which Celery keeps, and its connection: what has failed once closes the channel,
        and an error that Redis answered may not come from a new one."""
        self.__dict__.pop("producer", None)
        if connection := self.__dict__.pop("connection", None):
            with ignore_errors(connection):  # as it is broken: whatever is left of it goes
                connection.release()


def end_between_ticks(service: Any) -> None:
    """Have a signal end Celery's beat once its tick has ended, or after AT_ONCE.

    By itself it closes its connection at a signal, in the middle of whatever uses it, and what that stumbles
    over was printed.
    """

    def end(*_: object) -> None:
        service.stop()
        signal.alarm(AT_ONCE)

    def leave(*_: object) -> None:
        raise SystemExit

    signal.signal(signal.SIGALRM, leave)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
