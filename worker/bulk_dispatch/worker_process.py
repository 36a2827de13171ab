"""A process of Celery, worker or beat: its routes, its connections, its heartbeats."""

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import DeadLetter, Intake, IntakeError
from bulk_dispatch.ledger import LedgerError
from bulk_dispatch.messaging.wakeup import Notifier
from bulk_dispatch.monitoring.reporter import HeartbeatReporter
from bulk_dispatch.producer import Producer
from bulk_dispatch.route_reload import RouteTable
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.time_limits import max_step_duration

log = logging.getLogger(__name__)

AWAY = (LedgerError, IntakeError)
"""What a step meets when a server is away. Celery need not show where; the sentence says it."""


class StepCounts(Protocol):
    """What one bounded step of a stage did. `more`: it stopped because a step is bounded."""

    @property
    def more(self) -> bool: ...


Counts = TypeVar("Counts", bound=StepCounts)


class WorkerProcess:
    """What the tasks of one process share.

    Nothing is connected before the first step: a forked child needs connections of its own. `app` is the
    Celery app that wake-ups are sent by.
    """

    def __init__(self, settings: Settings, app: Any) -> None:
        self.settings = settings
        self.routes = RouteTable(settings.routes)
        self.stopping = threading.Event()
        self.heartbeat = HeartbeatReporter(
            lambda: Intake.connect(settings.redis_url, tries=1), read_again=self._read_routes_again
        )
        self._app = app
        self._opening = threading.RLock()
        self._producer: Producer | None = None
        self._runtime: Runtime | None = None

    def producer(self) -> Producer:
        """What messages are handed in by. Raises IntakeError for an address that cannot be used."""
        with self._opening:
            if self._producer is None:
                intake = Intake.connect(self.settings.redis_url)
                self._producer = Producer(intake, Notifier(self._app, intake))
            return self._producer

    def runtime(self) -> Runtime:
        """The runtime with the routes as they are now; a step keeps to the one it got.

        Raises LedgerError or IntakeError while a server is away; the next step tries again.
        """
        with self._opening:
            current = self.routes.routes
            if self._runtime is None:
                self._runtime = Runtime.open(
                    self.settings,
                    notify=self.producer().notifier.notify,
                    stopping=self.stopping.is_set,
                    or_ahead=True,
                    routes=current,
                )
            elif self._runtime.routes is not current:
                self._runtime = self._runtime.knowing(current)
            return self._runtime

    def step(self, stage: str, name: str, work: Callable[[Runtime], Counts]) -> Counts:
        """Do one bounded step of a stage, and send a wake-up for the next one if there is more to do.

        Raises LedgerError or IntakeError if a server is away, after one line in the log: beat schedules the
        stage again.
        """
        try:
            with self.heartbeat.step():
                runtime, notifier = self.runtime(), self.producer().notifier
                notifier.acknowledge(stage, name)
                counts = work(runtime)
        except AWAY as problem:
            log.warning("server_unavailable stage=%s name=%s problem=%s", stage, name, problem)
            raise
        if counts.more and not self.stopping.is_set():
            notifier.notify(stage, name)
        return counts

    def bury(self, letter: DeadLetter) -> None:
        """Keep what Celery could not make a task of. Raises IntakeError."""
        self.producer().intake.bury(letter)

    def report_routes(self) -> None:
        """Tell in the heartbeats which routes this process knows, and how long a step may take by them."""
        longest = max(max_step_duration(route.config) for route in self.routes.routes.values())
        self.heartbeat.knows(self.routes.digests, longest, self.routes.kept)

    def _read_routes_again(self) -> None:
        self.routes.read_again()
        self.report_routes()

    def close(self) -> None:
        """Give back what was opened."""
        with self._opening:
            if self._runtime:
                self._runtime.close()
            if self._producer:
                self._producer.intake.close()
            self._runtime = self._producer = None
