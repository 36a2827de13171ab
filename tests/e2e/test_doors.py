"""What the Celery processes do when what they need is not there."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from celery import Celery

from bulk_dispatch.config.settings import child_environment
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake
from bulk_dispatch.intake.scripts import CROWDED
from bulk_dispatch.local.processes import process_set
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.messaging.wakeup import BACKLOG
from tests.conftest import Setup
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ROUTE: dict[str, object] = {"url": "http://127.0.0.1:9"}


@pytest.mark.parametrize("name", ["bulk", "beat"])
@pytest.mark.parametrize(
    ("route", "said"),
    [({"key": "k", "speed": 1}, "speed"), ({"url": "env:NO_SUCH_URL"}, "NO_SUCH_URL")],
    ids=["an unknown key", "a missing variable"],
)
def test_a_process_that_could_do_nothing_ends_and_says_why(
    setup: Setup, name: str, route: dict[str, object], said: str
) -> None:
    settings = setup.routes(alpha={**ROUTE, **route})
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == name]

    ended = subprocess.run(
        child.command, env=dict(child.env), capture_output=True, text=True, timeout=60, check=False
    )

    assert ended.returncode != 0
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_message_by_send_task_needs_no_ledger(setup: Setup, intake: Intake) -> None:
    settings = replace(setup.routes(alpha=ROUTE), database_url="postgresql+psycopg://me@127.0.0.1:9/none")
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == "urgent"]
    log: list[str] = []
    with Supervisor([child], log.append):
        Celery(broker=settings.broker_url, set_as_current=False).send_task(
            "bulk_dispatch.enqueue",
            kwargs={"client_id": "a", "recipient": "+380931110001", "sender": "Shop", "text": "Hi"},
        )

        eventually(lambda: intake.waiting()[Lane.BULK] == 1, within=40)


@pytest.mark.parametrize("expires", [None, datetime(2020, 1, 1, tzinfo=UTC)], ids=["fresh", "expired"])
def test_a_message_by_send_task_goes_back_to_its_queue_while_redis_is_away(
    setup: Setup, expires: datetime | None
) -> None:
    settings = replace(setup.routes(alpha=ROUTE), redis_url="redis://127.0.0.1:9/0")
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == "urgent"]
    log: list[str] = []
    with Supervisor([child], log.append):
        Celery(broker=settings.broker_url, set_as_current=False).send_task(
            "bulk_dispatch.enqueue",
            kwargs={"client_id": "a", "recipient": "+380931110001", "sender": "Shop", "text": "Hi"},
            expires=expires,
        )

        eventually(
            lambda: any("enqueue_postponed" in line for line in log), within=60
        )  # said once, tried often
    broker = Intake.connect(setup.settings.redis_url.replace("db=0", "db=1")).client
    assert (broker.llen("celery"), broker.hlen("unacked")) == (1, 0)
    broker.close()


def test_a_task_that_goes_round_leaves_its_dead_letters_once_it_is_taken_in(
    setup: Setup, intake: Intake
) -> None:
    settings = setup.routes(alpha=ROUTE)
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == "urgent"]
    good = {"recipient": "+380931110001", "sender": "Shop", "text": "Hi"}
    log: list[str] = []
    intake.client.set("worker:intake:urgent:waiting", CROWDED)
    with Supervisor([child], log.append):
        Celery(broker=settings.broker_url, set_as_current=False).send_task(
            "bulk_dispatch.enqueue",
            args=[[{}, {**good, "client_id": "a"}, {**good, "client_id": "b", "lane": "urgent"}]],
        )
        eventually(lambda: any("enqueue_postponed" in line for line in log), within=60)
        assert (intake.waiting()[Lane.BULK], intake.dead_letters()) == (0, 0)
        intake.client.delete("worker:intake:urgent:waiting")

        eventually(intake.dead_letters, within=20)

    assert (intake.waiting()[Lane.BULK], intake.dead_letters()) == (1, 1)


def test_beat_adds_no_tick_where_a_hundred_wait(setup: Setup) -> None:
    settings = setup.routes(alpha=ROUTE)
    broker = Intake.connect(settings.redis_url.replace("db=0", "db=1")).client
    broker.lpush("bulk", *["unheard"] * BACKLOG)
    (child,) = [one for one in process_set.workers(child_environment(settings)) if one.name == "beat"]
    log: list[str] = []
    with Supervisor([child], log.append):
        eventually(lambda: broker.llen("poll") >= 4, within=40)

        assert broker.llen("bulk") == BACKLOG
    broker.close()
