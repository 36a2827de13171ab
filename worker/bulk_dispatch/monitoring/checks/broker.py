"""Checks of the broker: does it answer, is it ours alone, is its Redis set up as it must be."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.intake import Intake, IntakeError
from bulk_dispatch.messaging.celery_app import QUEUES, Celery, celery_app
from bulk_dispatch.messaging.inspection import answers as broker_answers
from bulk_dispatch.messaging.inspection import bound_queues, sees
from bulk_dispatch.messaging.inspection import server as broker_server
from bulk_dispatch.monitoring.checks.redis_settings import (
    SEND_TASK,
    check_eviction,
    check_memory,
    check_persistence,
)
from bulk_dispatch.monitoring.checks.result import CheckResult
from bulk_dispatch.redis_server import RedisServer


def check_reachable(settings: Settings) -> Iterator[CheckResult]:
    """It answers; there is nothing more to say. Raises BrokerError."""
    broker_answers(celery_app(settings.broker_url))
    yield from ()


def check_database_apart(settings: Settings, intake: Intake) -> Iterator[CheckResult]:
    """The broker needs a database of its own: others' visibility time-outs and keys reach into it."""
    if _same_database(celery_app(settings.broker_url), intake):
        yield CheckResult("broker", "bad", "shares a Redis database with the intake; give it one of its own")


def check_foreign_queues(settings: Settings) -> Iterator[CheckResult]:
    """No other application uses it."""
    foreign = [name for name in bound_queues(celery_app(settings.broker_url)) if not _ours(name)]
    if foreign:
        yield CheckResult(
            "broker", "bad", f"is shared with another application: it holds {', '.join(foreign)}"
        )
    else:
        yield CheckResult("broker", "ok", "holds no queues but ours")


def check_own_server(settings: Settings, intakes: Callable[[], RedisServer]) -> Iterator[CheckResult]:
    """Messages by send_task lie there: it is set up like the intake's, where it is another server."""
    server = broker_server(celery_app(settings.broker_url))
    with suppress(IntakeError):  # away, it is another
        if server.identity == intakes().identity:
            return
    for found in (*check_eviction(server), *check_persistence(server), *check_memory(server, SEND_TASK)):
        yield replace(found, seen=f"the broker's Redis: {found.seen}")


def _ours(queue: str) -> bool:
    """Our queues, and those through which Celery talks to its workers."""
    return queue in QUEUES or queue.endswith("celery.pidbox") or queue.startswith("celeryev")


def _same_database(app: Celery, intake: Intake) -> bool:
    """By a key written through one address and read through the other: addresses have many spellings."""
    name = f"doctor-{uuid.uuid4().hex}"
    intake.claim_wakeup(name, timedelta(seconds=30))
    try:
        return sees(app, intake.wakeup_key(name))
    finally:
        intake.acknowledge(name)
