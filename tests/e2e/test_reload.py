"""The routes file changes while workers and beat run: what names a new route waits, and nothing is lost."""

import os
import signal
from collections.abc import Mapping
from contextlib import closing

import pytest
from celery import Celery

from bulk_dispatch.client import Dispatcher
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.monitoring.heartbeat import Heartbeat, read_heartbeats
from tests.cli.conftest import Shell
from tests.conftest import Setup
from tests.e2e.conftest import Install, Installation, swift
from tests.factories import message, messages
from tests.waiting import eventually

pytestmark = pytest.mark.slow

ALPHA: dict[str, dict[str, object]] = {"alpha": {"mode": "sync"}}
BOTH: dict[str, dict[str, object]] = {**ALPHA, "beta": {"mode": "async"}}
NAMES = ("urgent", "bulk", "poll", "beat")


def write(installation: Installation, setup: Setup, routes: Mapping[str, Mapping[str, object]]) -> None:
    """Another routes file in the place of the old one."""
    setup.routes(**swift(installation.url, routes))


def hand_over(installation: Installation, *offered: Message) -> None:
    """By an application that began after the file was changed."""
    with closing(Dispatcher(installation.settings)) as dispatcher:
        dispatcher.enqueue_many(offered)


def heartbeats(installation: Installation) -> dict[str, Heartbeat]:
    _, found = read_heartbeats(installation.intake)
    return {heartbeat.node.partition("@")[0]: heartbeat for heartbeat in found}


def known(installation: Installation) -> dict[str, set[str]]:
    """The routes that each process says it knows."""
    return {name: set(heartbeat.routes or ()) for name, heartbeat in heartbeats(installation).items()}


def shell(installation: Installation, setup: Setup) -> Shell:
    return Shell.at(installation.settings, setup.folder)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_messages_for_a_new_route_wait_and_are_sent_once_the_routes_are_read_again(
    install: Install, setup: Setup, pool: str
) -> None:
    installation = install(pool=pool, alpha=ALPHA["alpha"])
    installation.enqueue([message(0)])
    installation.await_final(1)
    before = installation.supervisor.pids()
    write(installation, setup, BOTH)

    hand_over(installation, *(message(n, route=("alpha", "beta")[n % 2]) for n in range(1, 41)))
    Celery(broker=installation.settings.broker_url, set_as_current=False).send_task(
        "bulk_dispatch.enqueue",
        kwargs={
            "client_id": "by-task",
            "recipient": "+380931110001",
            "sender": "Shop",
            "text": "Hi",
            "route": "beta",
        },
    )
    eventually(lambda: installation.intake.set_aside() == 21, within=30)
    eventually(lambda: installation.books().total == 21, within=30)  # the lane is not held up
    waiting = shell(installation, setup).worker("books", "--json").json["waiting"]
    examined = shell(installation, setup).worker("doctor", "--json").json["findings"]

    ran = shell(installation, setup).worker("reload", "--json")

    assert ran.code == 0, ran.out + ran.err
    assert {one["node"].partition("@")[0] for one in ran.json["processes"]} == set(NAMES)
    assert all(one["routes"] == ["alpha", "beta"] for one in ran.json["processes"])
    assert waiting == 21
    said = [finding["seen"] for finding in examined if finding["result"] != "ok"]
    assert any("21 bulk messages wait for a route that no worker knew: beta" in seen for seen in said)
    assert sum("does not know beta: reload it (worker reload)" in seen for seen in said) == len(NAMES)
    assert installation.await_final(42).balanced
    assert installation.intake.set_aside() == installation.intake.dead_letters() == 0
    assert (installation.counts()["taken"], installation.counts()["twice"]) == (42, 0)
    assert installation.supervisor.pids() == before  # nobody was started anew


def test_a_worker_killed_while_messages_wait_loses_none(install: Install, setup: Setup) -> None:
    installation = install(alpha=ALPHA["alpha"])
    write(installation, setup, BOTH)
    hand_over(installation, *messages(20, route="beta"))
    eventually(lambda: installation.intake.set_aside() == 20, within=30)

    installation.kill("bulk")  # who starts anew reads the file as it is
    eventually(lambda: installation.books().total == 20, within=60)
    installation.kill("bulk")
    assert shell(installation, setup).worker("reload").code == 0

    assert installation.await_final(20).balanced
    assert installation.intake.set_aside() == 0
    assert (installation.counts()["taken"], installation.counts()["twice"]) == (20, 0)


def hang_up(installation: Installation) -> None:
    """SIGHUP to every worker and beat."""
    pids = installation.supervisor.pids()
    for name in NAMES:
        os.kill(pids[name], signal.SIGHUP)


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_hangup_makes_them_read_the_routes_and_a_broken_file_changes_nothing(
    install: Install, setup: Setup, pool: str
) -> None:
    installation = install(pool=pool, alpha=ALPHA["alpha"])
    installation.enqueue([message(0)])  # by an application that goes by the old file
    installation.await_final(1)
    eventually(lambda: set(heartbeats(installation)) == set(NAMES), within=30)
    before = installation.supervisor.pids()
    write(installation, setup, {**BOTH, "gamma": {"provider": "pigeons"}})

    hang_up(installation)
    eventually(
        lambda: all("pigeons" in heartbeat.kept for heartbeat in heartbeats(installation).values()), within=30
    )
    ran = shell(installation, setup).worker("reload")
    installation.enqueue(messages(10))

    assert installation.await_final(11).balanced
    assert set(map(frozenset, known(installation).values())) == {frozenset({"alpha"})}
    assert (ran.code, "pigeons" in ran.err) == (1, True)
    assert sum("routes_kept" in line for line in installation.log) >= len(NAMES)

    write(installation, setup, BOTH)
    hang_up(installation)
    eventually(lambda: all(routes == {"alpha", "beta"} for routes in known(installation).values()), within=30)
    hand_over(installation, message(11, route="beta", lane=Lane.URGENT), message(12, route="beta"))

    assert installation.await_final(13).balanced
    assert not any(heartbeat.kept for heartbeat in heartbeats(installation).values())
    assert installation.supervisor.pids() == before


def test_a_route_taken_out_of_the_file_is_left_alone_by_all(install: Install, setup: Setup) -> None:
    installation = install(**BOTH)
    installation.enqueue(messages(5))
    installation.await_final(5)
    write(installation, setup, ALPHA)

    assert shell(installation, setup).worker("reload").code == 0
    installation.enqueue([message(n) for n in range(6, 11)])

    assert installation.await_final(10).balanced
    assert set(map(frozenset, known(installation).values())) == {frozenset({"alpha"})}
    assert not any("Traceback" in line or "KeyError" in line for line in installation.log)
