"""What comes by the broker and is no task of ours is kept with its reason, and no worker ends by it."""

import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
from celery import Celery

from bulk_dispatch.config.settings import child_environment
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.messaging.celery_app import DEFAULT_QUEUE
from tests.conftest import Setup
from tests.waiting import eventually

pytestmark = pytest.mark.slow

TEXT = "Ваш код 739154"
MESSAGE = {"client_id": "a", "recipient": "+380931110001", "sender": "Shop", "text": TEXT}

Envelope = dict[str, Any]


def body(of: object) -> Callable[[Envelope], Envelope]:
    """A task whose body is this."""
    return lambda task: {**task, "body": b64encode(json.dumps(of).encode()).decode()}


def head(**changes: object) -> Callable[[Envelope], Envelope]:
    """A task whose head is changed so."""
    return lambda task: {**task, "headers": {**task["headers"], **changes}}


def without(part: str) -> Callable[[Envelope], Envelope]:
    return lambda task: {name: value for name, value in task.items() if name != part}


SPOILT: list[tuple[Callable[[Envelope], Envelope], str]] = [
    (head(task="bulk_dispatch.enqeue"), "there is no task of that name"),
    (head(task="shop.nightly", celery_beat_task=True), "there is no task of that name"),
    (head(wakeup=True, celery_beat_task=True, timelimit=7), "its parts are none of a task"),
    (head(task=["bulk_dispatch.enqueue"]), "it is no task"),
    (head(id=None), "it is no task"),
    (head(eta="tomorrow"), "it is no valid task: InvalidTaskError"),
    (head(expires="tomorrow"), "it is no valid task: InvalidTaskError"),
    (head(expires="2020-01-01T00:00:00+00:00"), "it expired before a worker came to it, or was revoked"),
    (head(timelimit=7), "its parts are none of a task"),
    (head(compression="none of these"), "it cannot be read: KeyError"),
    (body({"a": 1}), "its parts are none of a task"),
    (body([[], {}]), "its parts are none of a task"),
    (body(None), "its parts are none of a task"),
    (lambda task: {**task, "body": "a"}, "it is no task"),
    (
        lambda task: {**task, "content-type": "application/x-python-serialize"},
        "it cannot be read: ContentDisallowed",
    ),
    (lambda task: {**task, "headers": {}}, "it is no task"),
    (without("properties"), "it is no task"),
]
WAKEUPS = [
    head(task="bulk_dispatch.newer", wakeup=True),
    head(task="bulk_dispatch.newer", wakeup=True, celery_beat_task=True),
]
RAW = [b"\xff\xfe" + TEXT.encode("utf-16"), b"[1, 2]", b"7", b"not JSON: " + TEXT.encode()]


def test_what_is_no_task_is_kept_with_its_reason_and_the_worker_goes_on(setup: Setup, intake: Intake) -> None:
    settings = setup.routes(alpha={"url": "http://127.0.0.1:9"})
    broker = Intake.connect(settings.redis_url.replace("db=0", "db=1")).client
    app = Celery(broker=settings.broker_url, set_as_current=False)
    app.send_task("bulk_dispatch.enqueue", kwargs=MESSAGE)
    [good] = broker.lrange(DEFAULT_QUEUE, 0, -1)
    items = [json.dumps(spoil(json.loads(good))) for spoil in [*(one for one, _ in SPOILT), *WAKEUPS]]
    broker.lpush(DEFAULT_QUEUE, *items, *RAW)
    app.send_task("bulk_dispatch.enqueue", args=[[{**MESSAGE, "client_id": "b"}] * 10_001])
    app.send_task(
        "bulk_dispatch.enqueue", args=[[{**MESSAGE, "client_id": str(n)} for n in range(50)], MESSAGE]
    )
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == "urgent"]
    log: list[str] = []

    with Supervisor([child], log.append) as supervisor:
        eventually(supervisor.pids)
        first_life = supervisor.pids()
        eventually(lambda: intake.waiting()[Lane.BULK] == 1 + 51, within=60)
        expected = [reason for _, reason in SPOILT] + ["it is no task"] * len(RAW)
        expected.append("it has 10001 messages; 10000 at most")
        eventually(lambda: intake.dead_letters() == len(expected), within=30)
        eventually(lambda: not broker.hlen("unacked"))
        assert supervisor.pids() == first_life

    letters = [letter for _, letter in intake.read_dead()]
    assert sorted(letter["reason"] for letter in letters) == sorted(f"task: {one}" for one in expected)
    assert sum(TEXT in json.dumps(json.loads(one["content"]), ensure_ascii=False) for one in letters) >= 8
    said = "\n".join(log)
    assert said.count("dead_letter lane=bulk reason='there is no task of that name'") == 2
    assert not any(secret in said for secret in ("739154", "38093111", "Traceback"))
    broker.close()
