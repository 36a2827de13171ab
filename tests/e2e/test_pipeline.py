"""From enqueue to final states, with real Celery workers and beat, and with what befalls them in life."""

import os
import signal
import socket

import pytest
import redis
from celery import Celery

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import FINAL, Status
from tests.e2e.conftest import Install, Installation
from tests.factories import message, messages
from tests.waiting import eventually


def split(count: int) -> list[Message]:
    """Messages 1 to count, half on a synchronous route, half on an asynchronous one."""
    return [message(n, route=("alpha", "async")[n % 2]) for n in range(1, count + 1)]


def assert_once_each(installation: Installation, total: int) -> None:
    counts = installation.counts()
    assert (counts["taken"], counts["twice"]) == (total, 0)


def in_flight(installation: Installation) -> bool:
    """Whether a request is on the wire."""
    return installation.books().by_status.get(Status.SENDING, 0) > 0


@pytest.mark.slow
def test_two_thousand_messages_over_two_routes_are_each_taken_once_and_final(
    installation: Installation,
) -> None:
    installation.enqueue(split(2000))

    found = installation.await_final(2000)
    assert found.balanced
    assert set(found.by_status) <= FINAL
    assert found.by_status[Status.DELIVERED] > 1700
    assert_once_each(installation, 2000)


def test_a_lone_message_leaves_without_waiting_for_beat(install: Install) -> None:
    installation = install(alpha={}, without=("beat",))

    installation.dispatcher.enqueue(message(1, lane=Lane.URGENT))

    eventually(lambda: installation.books().by_status == {Status.SENT: 1}, within=15)
    assert_once_each(installation, 1)


def test_lost_wakeups_cost_only_the_wait_for_beat(installation: Installation) -> None:
    installation.intake.add(Lane.BULK, messages(50))  # straight into the stream: nobody notifies

    assert installation.await_final(50).balanced


def test_the_same_messages_again_send_nobody_a_second_one(installation: Installation) -> None:
    installation.enqueue(messages(300))
    installation.await_final(300)

    installation.enqueue(messages(300))
    eventually(lambda: installation.books().duplicates == 300)

    found = installation.await_final(300)
    assert found.balanced
    assert_once_each(installation, 300)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("fault", ["slow_before", "slow"], ids=["before taking", "after taking"])
def test_a_worker_killed_in_mid_package_loses_nothing_and_repeats_nothing(
    install: Install, mode: str, fault: str
) -> None:
    installation = install(alpha={"mode": mode})
    command = {"sync": "message", "async": "message-async"}[mode]
    installation.script({"when": {"command": command}, "times": 1, "do": fault, "seconds": 3})
    installation.enqueue(messages(600))
    eventually(lambda: in_flight(installation), every=0.01)

    installation.kill("bulk")

    found = installation.await_final(600, within=90)
    assert found.balanced
    assert_once_each(installation, 600)


def test_the_broker_database_wiped_in_mid_campaign_loses_nothing(installation: Installation) -> None:
    installation.enqueue(split(1000))
    broker = _broker(installation)

    broker.flushdb()
    installation.enqueue(split(2000)[1000:])
    broker.flushdb()
    broker.close()

    found = installation.await_final(2000)
    assert found.balanced
    assert_once_each(installation, 2000)


def _broker(installation: Installation) -> "redis.Redis":
    options = {**installation.intake.client.connection_pool.connection_kwargs, "db": 1}
    return redis.Redis(unix_socket_path=options["path"], db=1)


@pytest.mark.slow
def test_a_job_that_fails_in_part_is_asked_message_by_message(installation: Installation) -> None:
    installation.script({"when": {"command": "message-async"}, "times": 2, "do": "job_failed", "share": 0.5})

    installation.enqueue(messages(1000, route="async"))

    found = installation.await_final(1000)
    assert found.balanced
    assert_once_each(installation, 1000)


def test_a_stopped_fleet_finishes_what_is_in_flight(install: Install) -> None:
    installation = install(alpha={})
    installation.script({"when": {"command": "message"}, "do": "slow", "seconds": 1})
    installation.enqueue(messages(400))
    eventually(lambda: in_flight(installation), every=0.01)

    os.kill(installation.supervisor.pids()["bulk"], signal.SIGTERM)
    endings = {ending.name: ending for ending in installation.supervisor.stop()}

    assert not endings["bulk"].killed
    found = installation.books()
    assert found.balanced
    assert Status.SENDING not in found.by_status
    assert Status.IN_DOUBT not in found.by_status


def test_an_application_that_does_not_import_us_sends_a_task(installation: Installation) -> None:
    app = Celery(broker=installation.settings.broker_url, set_as_current=False)
    plain = {"client_id": "plain-1", "recipient": "+380931110001", "sender": "Shop", "text": "secret text"}

    app.send_task("bulk_dispatch.enqueue", args=[plain])
    app.send_task(
        "bulk_dispatch.enqueue", args=[[{**plain, "client_id": "plain-2"}, {"client_id": "no number"}]]
    )
    app.send_task("bulk_dispatch.enqueue", kwargs={**plain, "client_id": "plain-3"})
    app.send_task("bulk_dispatch.enqueue", args=["order-18", "+380931110001", "Shop", "secret text"])

    found = installation.await_final(3)
    assert found.balanced
    assert eventually(lambda: installation.intake.dead_letters() == 1 + 4)
    said = "\n".join(installation.log)
    assert "secret text" not in said
    assert "380931110001" not in said


@pytest.mark.parametrize("silent_first", [True, False])
def test_an_urgent_message_waits_for_no_other_route(install: Install, silent_first: bool) -> None:
    """Who enters urgent messages sends those of one route himself; no beat is there to mend the rest."""
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and never says a word
        slow = {"url": f"http://127.0.0.1:{silent.getsockname()[1]}", "timeout": "20s", "lease": "60s"}
        installation = install(without=("beat",), slow=slow, quick={})
        offered = [
            message(number, route=name, lane=Lane.URGENT) for number, name in enumerate(("slow", "quick"))
        ]
        installation.enqueue(offered if silent_first else offered[::-1])

        def stand() -> list[Status]:
            found = (installation.dispatcher.status(f"client-{number}") for number in (0, 1))
            return [one.status for one in found if one]

        eventually(lambda: stand() == [Status.SENDING, Status.SENT])  # the quick one while the slow one waits
