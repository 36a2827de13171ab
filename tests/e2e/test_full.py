"""Redis is filled by applications that do not import us: all that it has taken is sent, and nobody helps."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake
from tests.conftest import Setup
from tests.e2e.conftest import Install
from tests.factories import message

pytestmark = pytest.mark.slow

ROOM = 2 * 2**20  # bytes that are free at first


@contextmanager
def limited(intake: Intake) -> Iterator[None]:
    """A Redis with little memory left."""
    used = int(intake.client.info("memory")["used_memory"])
    intake.client.config_set("maxmemory", used + ROOM)
    try:
        yield
    finally:
        intake.client.config_set("maxmemory", 0)


APPLICATION = """
import sys
from celery import Celery
from kombu.exceptions import OperationalError

app = Celery(broker=sys.argv[1])
sent = 0
try:
    while True:
        message = {"client_id": f"o-{sent}", "recipient": f"+38093{sent:07d}", "sender": "Shop", "text": "Hi"}
        app.send_task("bulk_dispatch.enqueue", kwargs=message, retry=False)
        sent += 1
except OperationalError as problem:
    print(sent, problem)
"""


def filled(settings: Settings) -> int:
    """How many messages an application hands over by `send_task` until Redis is full."""
    command = [sys.executable, "-c", APPLICATION, settings.broker_url]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert "maxmemory" in said
    return int(said.split()[0])


@pytest.mark.parametrize("running", [False, True], ids=["before they start", "while they run"])
def test_given_a_redis_filled_by_send_task_then_the_workers_drain_it_and_nobody_helps(
    install: Install, intake: Intake, setup: Setup, running: bool
) -> None:
    with limited(intake):
        installation = install(alpha={}) if running else None
        count = filled(setup.settings)
        installation = installation or install(alpha={})
        processes = installation.supervisor.pids()

        assert installation.await_final(count, within=240).balanced

        assert installation.supervisor.pids() == processes  # no worker ended by it
        installation.dispatcher.enqueue(message(10**6, lane=Lane.URGENT))  # there is room again
        installation.await_final(count + 1)
    assert count > 100
    assert (installation.counts()["taken"], installation.counts()["twice"]) == (count + 1, 0)
