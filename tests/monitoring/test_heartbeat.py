"""What a process writes down of its work, and that Redis being away costs its steps nothing."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.intake import HEARTBEATS, Intake
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.monitoring.heartbeat import (
    HEARTBEAT_TTL,
    Heartbeat,
    read_all_heartbeats,
    read_heartbeats,
)
from bulk_dispatch.monitoring.process import PROC, Process
from bulk_dispatch.monitoring.reporter import HeartbeatReporter
from tests.waiting import eventually


@pytest.fixture
def reporter(servers: Addresses, intake: Intake) -> Iterator[HeartbeatReporter]:
    """The reporter of a worker with two slots."""
    reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url))
    reporter.introduce("bulk@here", ["bulk"], slots=2, max_step=timedelta(minutes=9))
    yield reporter
    reporter.leave()  # its thread would write into the next test


def the_heartbeat(intake: Intake) -> Heartbeat | None:
    _, heartbeats = read_heartbeats(intake)
    return next((heartbeat for heartbeat in heartbeats if heartbeat.node == "bulk@here"), None)


def worked(intake: Intake) -> Heartbeat | None:
    heartbeat = the_heartbeat(intake)
    return heartbeat if heartbeat and heartbeat.last_success_at else None


def test_a_worker_that_came_up_has_a_heartbeat_before_it_worked(
    reporter: HeartbeatReporter, intake: Intake
) -> None:
    reporter.present()

    heartbeat = eventually(lambda: the_heartbeat(intake))
    assert heartbeat
    assert (set(heartbeat.queues), heartbeat.slots, heartbeat.active, heartbeat.last_success_at) == (
        {"bulk"},
        2,
        0,
        None,
    )
    assert heartbeat.max_step == timedelta(minutes=9)


@pytest.mark.slow
def test_a_step_in_hand_and_a_step_ended_are_told_apart(reporter: HeartbeatReporter, intake: Intake) -> None:
    before, _ = read_heartbeats(intake)
    with reporter.step():
        in_hand = eventually(lambda: the_heartbeat(intake))
    ended = eventually(lambda: worked(intake))

    assert in_hand
    assert (in_hand.active, in_hand.last_success_at) == (1, None)
    assert ended
    assert ended.active == 0
    assert ended.last_success_at
    assert ended.last_success_at >= before


@pytest.mark.slow
def test_instants_are_those_of_redis_and_of_the_work_not_of_the_writing(
    servers: Addresses, intake: Intake
) -> None:
    clock = [1000.0]
    reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url), clock=lambda: clock[0])
    reporter.introduce("bulk@here", ["bulk"])
    with reporter.step():
        clock[0] += 5
    eventually(lambda: worked(intake))
    clock[0] += 300  # as after an outage of Redis: the work is old when it is told
    reporter.present()

    def told() -> timedelta | None:
        now, _ = read_heartbeats(intake)
        heartbeat = worked(intake)
        return now - heartbeat.last_success_at if heartbeat and heartbeat.last_success_at else None

    assert eventually(lambda: (told() or timedelta(0)) >= timedelta(seconds=299))
    reporter.leave()


def test_a_step_that_fails_is_no_work_and_says_no_more_than_its_kind(
    reporter: HeartbeatReporter, intake: Intake
) -> None:
    with pytest.raises(ValueError, match="380"), reporter.step():
        raise ValueError("no such number: +380931110001")

    heartbeat = eventually(
        lambda: (heartbeat := the_heartbeat(intake)) and heartbeat.last_error and heartbeat
    )
    assert heartbeat
    assert (heartbeat.last_error, heartbeat.last_success_at, heartbeat.active) == ("ValueError", None, 0)


def test_work_done_ends_the_trouble(reporter: HeartbeatReporter, intake: Intake) -> None:
    with pytest.raises(ValueError, match="no"), reporter.step():
        raise ValueError("no")
    with reporter.step():
        pass

    heartbeat = eventually(lambda: worked(intake))
    assert heartbeat
    assert heartbeat.last_error == ""


@pytest.mark.slow
def test_a_heartbeat_is_written_once_a_second_at_most(reporter: HeartbeatReporter, intake: Intake) -> None:
    written: list[str] = []
    with intake.client.monitor() as monitor:  # type: ignore[no-untyped-call]
        listening = threading.Thread(
            target=lambda: written.extend(_heartbeats_until(monitor, "the end")), daemon=True
        )
        listening.start()
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            with reporter.step():
                pass
        intake.client.echo("the end")
        listening.join(5)

    assert 2 <= len(written) <= 3


def _heartbeats_until(monitor: Any, end: str) -> list[str]:
    found: list[str] = []
    for said in monitor.listen():
        if end in said["command"]:
            return found
        if said["command"].startswith("HSET worker:heartbeats"):
            found.append(said["command"])
    return found


def test_a_step_never_waits_for_redis_and_never_fails_for_it() -> None:
    reporter = HeartbeatReporter(lambda: Intake.connect("redis://127.0.0.1:9/0", tries=0))
    reporter.introduce("bulk@here", ["bulk"])

    started = time.monotonic()
    for _ in range(100):
        with reporter.step():
            pass
    reporter.leave()

    assert time.monotonic() - started < 1


def test_who_ends_in_peace_leaves_no_heartbeat(reporter: HeartbeatReporter, intake: Intake) -> None:
    reporter.present()
    eventually(lambda: the_heartbeat(intake))

    reporter.leave()

    assert the_heartbeat(intake) is None


def test_what_was_silent_for_an_hour_is_forgotten(intake: Intake) -> None:
    intake.write_heartbeat(
        "bulk@old", {"queues": ["bulk"], "last_activity": 0, "active": 0, "slots": 1, "last_error": ""}
    )
    _, _, facts = str(intake.client.hget(HEARTBEATS, "bulk@old")).partition(" ")
    intake.client.hset(HEARTBEATS, "bulk@old", f"{time.time() - HEARTBEAT_TTL.total_seconds() - 60} {facts}")

    assert read_heartbeats(intake)[1] == []
    assert intake.heartbeats()[1] == {}


def test_what_speaks_is_kept_however_long_it_was_still(intake: Intake) -> None:
    still = HEARTBEAT_TTL.total_seconds() + 60
    intake.write_heartbeat(
        "bulk@idle", {"queues": ["bulk"], "last_activity": still, "active": 0, "slots": 1, "last_error": ""}
    )

    assert [heartbeat.node for heartbeat in read_heartbeats(intake)[1]] == ["bulk@idle"]


def told_again(intake: Intake) -> Heartbeat:
    """The second heartbeat of two in which nothing is new."""
    first = eventually(lambda: the_heartbeat(intake))
    assert first
    eventually(lambda: (heartbeat := the_heartbeat(intake)) and heartbeat.sent_at > first.sent_at, within=5)
    second = the_heartbeat(intake)
    assert second
    return second


@pytest.mark.slow
def test_a_step_in_hand_is_told_again_and_again(reporter: HeartbeatReporter, intake: Intake) -> None:
    with reporter.step():
        heartbeat = told_again(intake)

    assert heartbeat.active == 1
    assert heartbeat.sent_at - heartbeat.last_activity_at > timedelta(seconds=0.9)


@pytest.mark.slow
def test_who_has_nothing_to_do_says_so_again_but_seldom(servers: Addresses, intake: Intake) -> None:
    class Chatty(HeartbeatReporter):
        idle = 0.1

    reporter = Chatty(lambda: Intake.connect(servers.redis_url))
    reporter.introduce("bulk@here", ["bulk"])
    reporter.present()

    assert told_again(intake).active == 0
    reporter.leave()
    assert timedelta(minutes=5) < timedelta(seconds=HeartbeatReporter.idle) < HEARTBEAT_TTL / 2


def test_a_heartbeat_says_how_far_the_clock_of_its_process_is_off(servers: Addresses, intake: Intake) -> None:
    reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url), wall=lambda: time.time() - 4000)
    reporter.introduce("bulk@here", ["bulk"])
    reporter.present()

    heartbeat = eventually(lambda: the_heartbeat(intake))
    assert heartbeat
    assert heartbeat.clock_skew.total_seconds() == pytest.approx(-4000, abs=10)
    reporter.leave()


def test_beat_tells_since_when_it_schedules_without_a_gap(servers: Addresses, intake: Intake) -> None:
    clock = [1000.0]
    reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url), clock=lambda: clock[0])
    reporter.introduce("beat@here", ["bulk"])
    for second in (0, 1, 2, 60, 61, 65):
        clock[0] = 1000.0 + second
        reporter.ticked()

    def unbroken() -> float | None:
        _, heartbeats = read_heartbeats(intake)
        heartbeat = next(iter(heartbeats), None)
        if heartbeat is None or heartbeat.last_success_at is None or heartbeat.ticking_since is None:
            return None
        return (heartbeat.last_success_at - heartbeat.ticking_since).total_seconds()

    assert eventually(lambda: unbroken() == pytest.approx(5))
    reporter.leave()


def test_a_heartbeat_reads_as_it_was_sent() -> None:
    sent_at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    facts = {
        "queues": ["bulk"],
        "last_activity": 2,
        "last_success": None,
        "active": 1,
        "slots": 4,
        "last_error": "",
    }
    last_activity_at = sent_at - timedelta(seconds=2)
    heartbeat = Heartbeat("bulk@a", frozenset({"bulk"}), sent_at, last_activity_at, active=1, slots=4)

    assert Heartbeat.read("bulk@a", sent_at, facts) == heartbeat  # of a process that says no more than that
    assert Heartbeat.read(
        "bulk@a", sent_at, {**facts, "max_step": 90, "clock": sent_at.timestamp() + 70}
    ) == replace(heartbeat, max_step=timedelta(seconds=90), clock_skew=timedelta(seconds=70))


# -- several of one name


def reporter_of(servers: Addresses, node: str = "bulk@here") -> HeartbeatReporter:
    reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url))
    reporter.introduce(node, ["bulk"])
    return reporter


NAMESAKE = """
import sys
from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.reporter import HeartbeatReporter

reporter = HeartbeatReporter(lambda: Intake.connect(sys.argv[1]))
reporter.introduce("bulk@here", ["bulk"])
reporter.present()
sys.stdin.read()
"""


@contextmanager
def namesake(servers: Addresses) -> Iterator[subprocess.Popen[bytes]]:
    """Another process of that name, until it is killed."""
    command = [sys.executable, "-c", NAMESAKE, servers.redis_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def pids(intake: Intake) -> set[int]:
    return {heartbeat.process.pid for heartbeat in read_heartbeats(intake)[1] if heartbeat.process}


def test_given_two_processes_of_one_name_then_each_has_a_heartbeat_and_one_that_was_killed_has_none(
    servers: Addresses, intake: Intake
) -> None:
    reporter = reporter_of(servers)
    reporter.present()
    with namesake(servers) as other:
        eventually(lambda: pids(intake) == {os.getpid(), other.pid})
    eventually(lambda: pids(intake) == {os.getpid()})

    reporter.leave()
    assert read_heartbeats(intake)[1] == []


def test_given_a_stopped_process_when_another_takes_its_name_then_it_is_still_told(
    servers: Addresses, intake: Intake
) -> None:
    with namesake(servers) as frozen:
        eventually(lambda: pids(intake) == {frozen.pid})
        frozen.send_signal(signal.SIGSTOP)
        reporter = reporter_of(servers)
        reporter.present()
        eventually(lambda: os.getpid() in pids(intake))

        assert pids(intake) == {os.getpid(), frozen.pid}
        reporter.leave()


UNSEEN = """
import os, sys
from pathlib import Path
from bulk_dispatch.monitoring.process import started_at

proc, pid = Path(sys.argv[1]), int(sys.argv[2])
started_at(os.getpid())  # all that it takes is loaded by now: nobody else may read our libraries
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(started_at(pid, proc))
except OSError:
    print("unknown")
"""


def test_given_a_proc_that_hides_others_then_nobody_says_whether_they_have_ended(folder: Path) -> None:
    own = Process.own()
    folder.chmod(0o755)
    mounting = f'mount -t proc -o hidepid=2 proc {folder} && exec "$@"'  # for this command alone
    hidden = ["unshare", "--mount", "sh", "-c", mounting, "sh"]
    if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode:
        hidden = []  # we may not mount: an empty folder shows as little of others as such a /proc does

    def seen(proc: Path, *by: str) -> str:
        look = [*by, sys.executable, "-c", UNSEEN, str(proc), str(own.pid)]
        return subprocess.run(look, capture_output=True, text=True, check=True).stdout.strip()

    assert seen(folder, *hidden) == "unknown"
    assert seen(PROC) == str(own.started)


@pytest.mark.parametrize(("began", "told"), [(5, 1), (60, 2)], ids=["in its stead", "beside it"])
def test_one_elsewhere_is_replaced_only_if_its_name_was_taken_since_it_fell_silent(
    intake: Intake, began: float, told: int
) -> None:
    facts = {"queues": ["bulk"], "last_activity": 0, "active": 1, "slots": 1, "last_error": ""}
    intake.write_heartbeat("bulk@c1", {**facts, "began": 600}, "there.7.1")
    instant, _, rest = str(intake.client.hget(HEARTBEATS, "bulk@c1#there.7.1")).partition(" ")
    intake.client.hset(HEARTBEATS, "bulk@c1#there.7.1", f"{float(instant) - 30} {rest}")
    intake.write_heartbeat("bulk@c1", {**facts, "began": began}, "elsewhere.7.1")

    _, heartbeats, replaced = read_all_heartbeats(intake)
    assert (len(heartbeats), len(replaced)) == (told, 2 - told)
    assert read_heartbeats(intake)[1] == heartbeats


def test_who_leaves_takes_nothing_from_its_namesake(servers: Addresses, intake: Intake) -> None:
    reporter = reporter_of(servers)
    reporter.present()
    eventually(lambda: read_heartbeats(intake)[1])
    facts = {"queues": ["bulk"], "last_activity": 0, "active": 0, "slots": 1, "last_error": ""}
    intake.write_heartbeat("bulk@here", facts, "there.7.1")
    intake.ask_to_reload("bulk@here")

    reporter.leave()

    assert intake.asked_to_reload("bulk@here").own == 1
    intake.forget_heartbeats("bulk@here#there.7.1")
    assert intake.asked_to_reload("bulk@here").own == 0


# -- routes to be read again


class Reader:
    """A process that counts how often it read its routes."""

    def __init__(self, servers: Addresses, node: str = "bulk@here") -> None:
        self.times = 0
        self.reporter = HeartbeatReporter(lambda: Intake.connect(servers.redis_url), read_again=self._read)
        self.reporter.introduce(node, ["bulk"])
        self.reporter.knows({"alpha": "d1"})

    def _read(self) -> None:
        self.times += 1
        self.reporter.knows({"alpha": "d1", "beta": "d2"}, timedelta(minutes=3), "half of it")


@pytest.fixture
def reader(servers: Addresses, intake: Intake) -> Iterator[Reader]:
    reader = Reader(servers)
    yield reader
    reader.reporter.leave()


def test_a_process_tells_which_routes_it_knows(reader: Reader, intake: Intake) -> None:
    reader.reporter.present()

    heartbeat = eventually(lambda: the_heartbeat(intake))
    assert heartbeat
    assert (heartbeat.routes, heartbeat.kept, heartbeat.reloads) == ({"alpha": "d1"}, "", 0)


@pytest.mark.slow
def test_a_process_with_nothing_to_do_follows_when_all_are_asked(reader: Reader, intake: Intake) -> None:
    reader.reporter.present()
    eventually(lambda: the_heartbeat(intake))

    asked = intake.ask_to_reload()

    heartbeat = eventually(
        lambda: (heartbeat := the_heartbeat(intake)) and heartbeat.reloads == asked and heartbeat, within=10
    )
    assert heartbeat
    assert (heartbeat.routes, heartbeat.kept) == ({"alpha": "d1", "beta": "d2"}, "half of it")
    assert heartbeat.max_step == timedelta(minutes=3)
    assert reader.times == 1


@pytest.mark.slow
def test_a_process_with_a_long_step_in_hand_follows_too(reader: Reader, intake: Intake) -> None:
    with reader.reporter.step():
        eventually(lambda: the_heartbeat(intake))
        intake.ask_to_reload()

        assert eventually(lambda: (heartbeat := the_heartbeat(intake)) and heartbeat.reloads == 1, within=10)


@pytest.mark.slow
def test_a_signal_reaches_all_processes_of_that_name_and_no_others(
    servers: Addresses, reader: Reader, intake: Intake
) -> None:
    twin, other = Reader(servers), Reader(servers, "poll@here")
    for one in (reader, twin, other):
        one.reporter.present()
    eventually(lambda: len(read_heartbeats(intake)[1]) == 2)

    reader.reporter.ask()

    eventually(lambda: reader.times == twin.times == 1, within=10)
    assert other.times == 0
    for one in (twin, other):
        one.reporter.leave()


def test_what_was_asked_before_a_process_began_makes_it_look_once_more(
    reader: Reader, intake: Intake
) -> None:
    """The file may have been read just before it was changed, the asking come before the first heartbeat."""
    intake.ask_to_reload()

    reader.reporter.present()

    eventually(lambda: reader.times == 1, within=10)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (None, ""),
        ({"alpha": "d1", "beta": "d2"}, ""),
        ({"alpha": "d1"}, "does not know beta"),
        ({"alpha": "d0", "beta": "d2"}, "has other settings of alpha"),
        ({"alpha": "d1", "beta": "d2", "gamma": "d3"}, "still knows gamma"),
        ({"beta": "d0"}, "does not know alpha, has other settings of beta"),
    ],
)
def test_what_sets_its_routes_apart_is_told(known: dict[str, str] | None, said: str) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    heartbeat = Heartbeat("bulk@a", frozenset({"bulk"}), now, now, routes=known)

    assert heartbeat.unlike({"alpha": "d1", "beta": "d2"}) == said
