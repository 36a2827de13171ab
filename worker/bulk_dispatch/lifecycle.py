"""Lifecycle: what a process does as Celery starts it, worker or beat, and as it ends."""

import logging
import signal
import socket
import sys
import warnings
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from celery import signals
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import isatty

from bulk_dispatch.beat import end_between_ticks
from bulk_dispatch.beat_schedule import beat_entries
from bulk_dispatch.config.routes_file import Secret, names_only
from bulk_dispatch.config.settings import SettingsError
from bulk_dispatch.gc_tuning import tune_gc
from bulk_dispatch.intake import Intake, IntakeError
from bulk_dispatch.ledger import Ledger, TooOldError
from bulk_dispatch.messaging.log_setup import set_up_logging
from bulk_dispatch.monitoring.heartbeat import BEAT
from bulk_dispatch.routing import Route
from bulk_dispatch.worker_process import WorkerProcess

log = logging.getLogger(__name__)


class Lifecycle:
    """Follows Celery's signals for one process. A setting that cannot be used, or a server too old, ends it
    with one sentence: Celery would go on, and do nothing for ever."""

    def __init__(self, process: WorkerProcess) -> None:
        self._process = process

    def follow_celery(self) -> None:
        """From now on."""
        for happened, act in (
            (signals.setup_logging, self._set_up_logging),
            (signals.worker_init, self._check),
            (signals.celeryd_after_setup, self._introduce_worker),
            (signals.worker_ready, self._present_worker),
            (signals.worker_shutting_down, self._stop_claiming),
            (signals.worker_shutdown, self._leave),
            (signals.beat_init, self._introduce_beat),
        ):
            happened.connect(act, weak=False)

    def _set_up_logging(self, **_: object) -> None:
        set_up_logging(self._process.settings.log_level)

    # -- a worker

    def _check(self, **_: object) -> None:
        self._read_routes(secret=None)
        self._check_server()
        tune_gc()

    def _introduce_worker(self, sender: str, instance: Any, **_: object) -> None:
        # of one process
        slots = 1 if "prefork" in instance.pool_cls.__module__ else instance.concurrency
        self._process.heartbeat.introduce(sender, instance.app.amqp.queues.consume_from.keys(), slots)
        self._process.report_routes()

    def _present_worker(self, **_: object) -> None:
        # Celery would explain one of our settings whenever it has lost its connection. Said here, where it
        # listens.
        warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
        self._follow_hangups()
        self._process.heartbeat.present()

    def _stop_claiming(self, **_: object) -> None:
        """Let every stage finish what it has in hand and begin nothing new."""
        self._process.stopping.set()

    def _leave(self, **_: object) -> None:
        self._process.heartbeat.leave()

    # -- beat

    def _introduce_beat(self, sender: Any, **_: object) -> None:
        end_between_ticks(sender)
        entries = beat_entries(self._read_routes(secret=names_only).values())
        queues = {entry["options"]["queue"] for entry in entries.values()}
        self._process.heartbeat.introduce(f"{BEAT}@{socket.gethostname()}", queues)
        self._process.report_routes()
        self._follow_hangups()

    # -- both

    def _read_routes(self, secret: Secret | None) -> Mapping[str, Route]:
        """The routes with their credentials as `secret` gives them. Production never starts servers of its
        own; `worker up` passes the addresses of the embedded ones."""
        settings = self._process.settings
        if settings.embedded:
            raise SystemExit("WORKER_DATABASE_URL and WORKER_REDIS_URL are not set; or run: worker up")
        try:
            Intake.connect(settings.redis_url).close()  # connects to nobody yet; judges the address
            return self._process.routes.read(secret)
        except (SettingsError, IntakeError) as problem:
            raise SystemExit(str(problem)) from None

    def _check_server(self) -> None:
        """End this process if the ledger's server will never do; one that is away comes back."""
        with closing(Ledger.connect(self._process.settings.database_url, connections=1)) as ledger:
            try:
                lacks = ledger.lacks()
            except TooOldError as problem:
                raise SystemExit(str(problem)) from None
        if lacks:
            log.warning("server_lacks problem=%s", lacks)

    def _follow_hangups(self) -> None:
        """SIGHUP means: read the routes again. By itself Celery's worker starts anew at it, and beat ends. At
        a terminal it means that the terminal is gone, and is left alone."""
        if not isatty(sys.__stdout__):
            signal.signal(signal.SIGHUP, lambda *_: self._process.heartbeat.ask())
