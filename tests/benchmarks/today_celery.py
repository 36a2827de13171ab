"""A task a message, with Celery: python -m tests.benchmarks.today_celery FILE puts a task for each row."""

import os
import sys
from pathlib import Path

from celery import Celery, signals

from tests.benchmarks import today

app = Celery("today", broker=os.environ["TODAY_BROKER"])
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=4,
    broker_connection_retry_on_startup=True,
    worker_enable_remote_control=False,
)


@signals.worker_ready.connect
def _say_so(**_: object) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


@app.task
def send(client_id: str, recipient: str, sender: str, words: str) -> None:
    """Send one message, and ask for it later."""
    row = today.send(client_id, recipient, sender, words)
    if row is not None:
        check.apply_async((row,), countdown=today.ASK_AFTER)


@app.task
def check(row: int) -> None:
    """Ask for one message; again, if it has no end yet."""
    if not today.check(row):
        check.apply_async((row,), countdown=today.ASK_AFTER)


if __name__ == "__main__":
    from tests.benchmarks.today_celery import send as task  # by the name that the workers know

    today.produce(Path(sys.argv[1]), task.delay)
