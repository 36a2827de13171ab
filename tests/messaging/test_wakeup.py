"""Notifier: wake-ups that are sent once, now or later."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from celery import Celery

from bulk_dispatch.intake import Intake
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.messaging.inspection import waiting
from bulk_dispatch.messaging.wakeup import BACKLOG, Notifier
from tests.waiting import eventually


@pytest.fixture
def app(servers: Addresses) -> Iterator[Celery]:
    with celery_app(servers.broker_url) as app:
        yield app
        eventually(lambda: not timers())  # else a wake-up might be heard in another test


def timers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]


def heard(app: Celery) -> int:
    """Wake-ups for pollers that nobody has acknowledged."""
    return waiting(app)["poll"]


def test_a_wakeup_for_later_comes_later_and_once(app: Celery, intake: Intake) -> None:
    notifier = Notifier(app, intake)

    notifier.notify("poll", "alpha", after=0.3)
    notifier.notify("poll", "alpha", after=0.3)

    assert heard(app) == 0
    eventually(lambda: heard(app) == 1)
    assert not intake.claim_wakeup(
        "poll:alpha", timedelta(seconds=1)
    )  # by now it is a wake-up like any other


def test_a_wakeup_for_later_keeps_none_from_coming_now(app: Celery, intake: Intake) -> None:
    notifier = Notifier(app, intake)

    notifier.notify("poll", "alpha", after=0.3)
    notifier.notify("poll", "alpha")

    assert heard(app) == 1
    eventually(lambda: not timers())
    assert heard(app) == 1  # nobody came yet


def test_a_wakeup_for_later_is_no_trouble_where_redis_is_away(app: Celery, intake: Intake) -> None:
    away = Intake.connect("redis://127.0.0.1:1/0", tries=0)

    Notifier(app, away).notify("poll", "alpha", after=0.1)

    assert not timers()
    assert heard(app) == 0
    away.close()


def test_where_a_hundred_wakeups_wait_one_more_is_not_added(app: Celery, intake: Intake) -> None:
    notifier = Notifier(app, intake)

    for number in range(BACKLOG + 5):
        notifier.notify("poll", f"route-{number}")

    assert heard(app) == BACKLOG


def test_a_wakeup_does_not_grow_stale_by_anybodys_clock(
    app: Celery, intake: Intake, servers: Addresses
) -> None:
    Notifier(app, intake).notify("poll", "alpha")

    broker = Intake.connect(servers.redis_url.replace("db=0", "db=1")).client
    [notify] = broker.lrange("poll", 0, -1)
    broker.close()
    assert json.loads(notify)["headers"]["expires"] is None
