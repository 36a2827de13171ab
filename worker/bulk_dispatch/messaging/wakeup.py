"""Wake-ups: tell the Celery workers that there is work, without saying what.

A wake-up is a Celery task that carries a stage and a name. It may be lost, or come twice: beat schedules the
same tasks anyway, and every stage looks in the ledger. A short key in Redis keeps a million enqueues from
sending a million of them.
"""

import logging
from datetime import timedelta
from threading import Timer

from celery import Celery
from kombu.exceptions import OperationalError

from bulk_dispatch.intake import Intake, IntakeError
from bulk_dispatch.messaging.celery_app import WAKEUP, BrokerError, queue_of
from bulk_dispatch.messaging.inspection import backlog

log = logging.getLogger(__name__)

DEBOUNCE = timedelta(seconds=1)  # a wake-up that nobody acknowledges is sent again after this
BACKLOG = 100
"""Wake-ups in a queue; with so many waiting, one more says nothing. So a weekend without workers does not
fill Redis, and no wake-up needs a time from which it is stale: that would be judged by the clock of another
host than set it, and by a clock that somebody may set meanwhile."""


class Notifier:
    """Sends wake-ups for stages over the broker; says nothing if the broker cannot be reached."""

    def __init__(self, app: Celery, intake: Intake) -> None:
        self._app = app
        self._intake = intake

    def notify(self, stage: str, name: str, after: float = 0.0) -> None:
        """Ask for one run of a stage, unless it was asked for a moment ago and no worker has begun it yet;
        `after` so many seconds, unless a later wake-up is on its way.

        Never raises for a broker or Redis that is away: the work is safe, and beat schedules it anyway.
        """
        if after:
            self._notify_later(stage, name, after)
            return
        try:
            if self._intake.claim_wakeup(f"{stage}:{name}", DEBOUNCE):
                self._send(f"bulk_dispatch.{stage}", name.split(":"), queue_of(stage, name))
        except (IntakeError, BrokerError, OperationalError, ValueError) as problem:
            # ValueError: a database that is none
            log.warning("wakeup_not_sent stage=%s name=%s problem=%s", stage, name, type(problem).__name__)

    def _send(self, task: str, args: list[str], queue: str) -> None:
        with self._app.producer_or_acquire() as producer:
            if backlog(producer, queue) < BACKLOG:
                self._app.send_task(
                    task,
                    args=args,
                    queue=queue,
                    producer=producer,
                    headers={WAKEUP: True},
                    retry=False,
                    ignore_result=True,
                )

    def _notify_later(self, stage: str, name: str, after: float) -> None:
        """By a timer of this process: a task with a countdown would trust the clocks of two hosts."""
        try:
            if self._intake.claim_wakeup(f"{stage}:{name}:later", timedelta(seconds=after)):
                timer = Timer(after, self.notify, (stage, name))
                timer.daemon = True  # nobody waits for it at the end
                timer.start()
        except RuntimeError as problem:  # Redis is away (IntakeError), or there is no thread to be had
            log.warning("wakeup_not_sent stage=%s name=%s problem=%s", stage, name, type(problem).__name__)

    def acknowledge(self, stage: str, name: str) -> None:
        """Called as a step begins, before it looks: what arrives from now on must send a wake-up again."""
        self._intake.acknowledge(f"{stage}:{name}")
