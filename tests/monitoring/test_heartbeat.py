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
from typing import Any

import pytest

from bulk_dispatch.intake import MARKS, Intake
from bulk_dispatch.local.servers.server_pair import Addresses
from bulk_dispatch.monitoring.heartbeat import KEPT, Crew, Mark, Process, read_all_marks, read_marks
from tests.waiting import eventually


@pytest.fixture
def crew(servers: Addresses, intake: Intake) -> Iterator[Crew]:
    """The crew of a worker of two hands."""
    crew = Crew(lambda: Intake.connect(servers.redis_url))
    crew.introduce("bulk@here", ["bulk"], hands=2, longest=timedelta(minutes=9))
    yield crew
    crew.leave()  # its thread would write into the next test


def the_mark(intake: Intake) -> Mark | None:
    _, marks = read_marks(intake)
    return next((mark for mark in marks if mark.node == "bulk@here"), None)


def worked(intake: Intake) -> Mark | None:
    mark = the_mark(intake)
    return mark if mark and mark.worked_at else None


def test_a_worker_that_came_up_is_marked_before_it_worked(crew: Crew, intake: Intake) -> None:
    crew.present()

    mark = eventually(lambda: the_mark(intake))
    assert mark
    assert (set(mark.queues), mark.hands, mark.busy, mark.worked_at) == ({"bulk"}, 2, 0, None)
    assert mark.longest == timedelta(minutes=9)


def test_a_step_in_hand_and_a_step_ended_are_told_apart(crew: Crew, intake: Intake) -> None:
    before, _ = read_marks(intake)
    with crew.step():
        in_hand = eventually(lambda: the_mark(intake))
    ended = eventually(lambda: worked(intake))

    assert in_hand
    assert (in_hand.busy, in_hand.worked_at) == (1, None)
    assert ended
    assert ended.busy == 0
    assert ended.worked_at
    assert ended.worked_at >= before


def test_instants_are_those_of_redis_and_of_the_work_not_of_the_writing(
    servers: Addresses, intake: Intake
) -> None:
    clock = [1000.0]
    crew = Crew(lambda: Intake.connect(servers.redis_url), clock=lambda: clock[0])
    crew.introduce("bulk@here", ["bulk"])
    with crew.step():
        clock[0] += 5
    eventually(lambda: worked(intake))
    clock[0] += 300  # as after an outage of Redis: the work is old when it is told
    crew.present()

    def told() -> timedelta | None:
        now, _ = read_marks(intake)
        mark = worked(intake)
        return now - mark.worked_at if mark and mark.worked_at else None

    assert eventually(lambda: (told() or timedelta(0)) >= timedelta(seconds=299))
    crew.leave()


def test_a_step_that_fails_is_no_work_and_says_no_more_than_its_kind(crew: Crew, intake: Intake) -> None:
    with pytest.raises(ValueError, match="380"), crew.step():
        raise ValueError("no such number: +380931110001")

    mark = eventually(lambda: (mark := the_mark(intake)) and mark.trouble and mark)
    assert mark
    assert (mark.trouble, mark.worked_at, mark.busy) == ("ValueError", None, 0)


def test_work_done_ends_the_trouble(crew: Crew, intake: Intake) -> None:
    with pytest.raises(ValueError, match="no"), crew.step():
        raise ValueError("no")
    with crew.step():
        pass

    mark = eventually(lambda: worked(intake))
    assert mark
    assert mark.trouble == ""


def test_a_mark_is_written_once_a_second_at_most(crew: Crew, intake: Intake) -> None:
    written: list[str] = []
    with intake.client.monitor() as monitor:  # type: ignore[no-untyped-call]
        listening = threading.Thread(
            target=lambda: written.extend(_marks_until(monitor, "the end")), daemon=True
        )
        listening.start()
        until = time.monotonic() + 2.2
        while time.monotonic() < until:
            with crew.step():
                pass
        intake.client.echo("the end")
        listening.join(5)

    assert 2 <= len(written) <= 3


def _marks_until(monitor: Any, end: str) -> list[str]:
    found: list[str] = []
    for said in monitor.listen():
        if end in said["command"]:
            return found
        if said["command"].startswith("HSET worker:marks"):
            found.append(said["command"])
    return found


def test_a_step_never_waits_for_redis_and_never_fails_for_it() -> None:
    crew = Crew(lambda: Intake.connect("redis://127.0.0.1:9/0", tries=0))
    crew.introduce("bulk@here", ["bulk"])

    started = time.monotonic()
    for _ in range(100):
        with crew.step():
            pass
    crew.leave()

    assert time.monotonic() - started < 1


def test_who_ends_in_peace_leaves_no_mark(crew: Crew, intake: Intake) -> None:
    crew.present()
    eventually(lambda: the_mark(intake))

    crew.leave()

    assert the_mark(intake) is None


def test_what_was_silent_for_an_hour_is_forgotten(intake: Intake) -> None:
    intake.leave_mark("bulk@old", {"queues": ["bulk"], "heard": 0, "busy": 0, "hands": 1, "trouble": ""})
    _, _, facts = str(intake.client.hget(MARKS, "bulk@old")).partition(" ")
    intake.client.hset(MARKS, "bulk@old", f"{time.time() - KEPT.total_seconds() - 60} {facts}")

    assert read_marks(intake)[1] == []
    assert intake.marks()[1] == {}


def test_what_speaks_is_kept_however_long_it_was_still(intake: Intake) -> None:
    still = KEPT.total_seconds() + 60
    intake.leave_mark("bulk@idle", {"queues": ["bulk"], "heard": still, "busy": 0, "hands": 1, "trouble": ""})

    assert [mark.node for mark in read_marks(intake)[1]] == ["bulk@idle"]


def told_again(intake: Intake) -> Mark:
    """The second mark of two in which nothing is new."""
    first = eventually(lambda: the_mark(intake))
    assert first
    eventually(lambda: (mark := the_mark(intake)) and mark.told_at > first.told_at, within=5)
    second = the_mark(intake)
    assert second
    return second


def test_a_step_in_hand_is_told_again_and_again(crew: Crew, intake: Intake) -> None:
    with crew.step():
        mark = told_again(intake)

    assert mark.busy == 1
    assert mark.told_at - mark.heard_at > timedelta(seconds=0.9)


def test_who_has_nothing_to_do_says_so_again_but_seldom(servers: Addresses, intake: Intake) -> None:
    class Chatty(Crew):
        idle = 0.1

    crew = Chatty(lambda: Intake.connect(servers.redis_url))
    crew.introduce("bulk@here", ["bulk"])
    crew.present()

    assert told_again(intake).busy == 0
    crew.leave()
    assert timedelta(minutes=5) < timedelta(seconds=Crew.idle) < KEPT / 2


def test_a_mark_says_how_far_the_clock_of_its_process_is_off(servers: Addresses, intake: Intake) -> None:
    crew = Crew(lambda: Intake.connect(servers.redis_url), wall=lambda: time.time() - 4000)
    crew.introduce("bulk@here", ["bulk"])
    crew.present()

    mark = eventually(lambda: the_mark(intake))
    assert mark
    assert mark.ahead.total_seconds() == pytest.approx(-4000, abs=10)
    crew.leave()


def test_beat_tells_since_when_it_rings_without_a_gap(servers: Addresses, intake: Intake) -> None:
    clock = [1000.0]
    crew = Crew(lambda: Intake.connect(servers.redis_url), clock=lambda: clock[0])
    crew.introduce("beat@here", ["bulk"])
    for second in (0, 1, 2, 60, 61, 65):
        clock[0] = 1000.0 + second
        crew.rang()

    def unbroken() -> float | None:
        _, marks = read_marks(intake)
        mark = next(iter(marks), None)
        if mark is None or mark.worked_at is None or mark.unbroken_since is None:
            return None
        return (mark.worked_at - mark.unbroken_since).total_seconds()

    assert eventually(lambda: unbroken() == pytest.approx(5))
    crew.leave()


def test_a_mark_reads_as_it_was_told() -> None:
    told_at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    facts = {"queues": ["bulk"], "heard": 2, "worked": None, "busy": 1, "hands": 4, "trouble": ""}
    heard_at = told_at - timedelta(seconds=2)
    mark = Mark("bulk@a", frozenset({"bulk"}), told_at, heard_at, busy=1, hands=4)

    assert Mark.read("bulk@a", told_at, facts) == mark  # of a process that says no more than that
    assert Mark.read(
        "bulk@a", told_at, {**facts, "longest": 90, "clock": told_at.timestamp() + 70}
    ) == replace(mark, longest=timedelta(seconds=90), ahead=timedelta(seconds=70))


# -- several of one name


def crew_of(servers: Addresses, node: str = "bulk@here") -> Crew:
    crew = Crew(lambda: Intake.connect(servers.redis_url))
    crew.introduce(node, ["bulk"])
    return crew


NAMESAKE = """
import sys
from bulk_dispatch.intake import Intake
from bulk_dispatch.monitoring.heartbeat import Crew

crew = Crew(lambda: Intake.connect(sys.argv[1]))
crew.introduce("bulk@here", ["bulk"])
crew.present()
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
    return {mark.process.pid for mark in read_marks(intake)[1] if mark.process}


def test_given_two_processes_of_one_name_then_each_has_a_mark_and_one_that_was_killed_has_none(
    servers: Addresses, intake: Intake
) -> None:
    crew = crew_of(servers)
    crew.present()
    with namesake(servers) as other:
        eventually(lambda: pids(intake) == {os.getpid(), other.pid})
    eventually(lambda: pids(intake) == {os.getpid()})

    crew.leave()
    assert read_marks(intake)[1] == []


def test_given_a_frozen_process_when_another_takes_its_name_then_it_is_still_told(
    servers: Addresses, intake: Intake
) -> None:
    with namesake(servers) as frozen:
        eventually(lambda: pids(intake) == {frozen.pid})
        frozen.send_signal(signal.SIGSTOP)
        crew = crew_of(servers)
        crew.present()
        eventually(lambda: os.getpid() in pids(intake))

        assert pids(intake) == {os.getpid(), frozen.pid}
        crew.leave()


UNSEEN = """
import os, sys
from bulk_dispatch.monitoring.heartbeat import Process

own = Process.own()
other = Process(own.machine, int(sys.argv[1]), int(sys.argv[2]))
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
print(own.lives, other.lives)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may have a /proc of its own")
def test_given_a_proc_that_hides_others_then_nobody_says_whether_they_have_ended() -> None:
    own = Process.own()
    hide = 'mount -t proc -o hidepid=2 proc /proc && exec "$@"'  # of this command alone
    look = [sys.executable, "-c", UNSEEN, str(own.pid), str(own.started)]

    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", hide, "sh", *look], capture_output=True, text=True, check=False
    )

    if "Operation not permitted" in done.stderr or "permission denied" in done.stderr:
        pytest.skip("not allowed to mount")
    assert (done.stdout.split(), done.stderr) == (["True", "None"], "")
    assert own.lives is True


@pytest.mark.parametrize(("began", "told"), [(5, 1), (60, 2)], ids=["in its stead", "beside it"])
def test_one_elsewhere_is_replaced_only_if_its_name_was_taken_since_it_fell_silent(
    intake: Intake, began: float, told: int
) -> None:
    facts = {"queues": ["bulk"], "heard": 0, "busy": 1, "hands": 1, "trouble": ""}
    intake.leave_mark("bulk@c1", {**facts, "began": 600}, "there.7.1")
    instant, _, rest = str(intake.client.hget(MARKS, "bulk@c1#there.7.1")).partition(" ")
    intake.client.hset(MARKS, "bulk@c1#there.7.1", f"{float(instant) - 30} {rest}")
    intake.leave_mark("bulk@c1", {**facts, "began": began}, "elsewhere.7.1")

    _, marks, replaced = read_all_marks(intake)
    assert (len(marks), len(replaced)) == (told, 2 - told)
    assert read_marks(intake)[1] == marks


def test_who_leaves_takes_nothing_from_its_namesake(servers: Addresses, intake: Intake) -> None:
    crew = crew_of(servers)
    crew.present()
    eventually(lambda: read_marks(intake)[1])
    facts = {"queues": ["bulk"], "heard": 0, "busy": 0, "hands": 1, "trouble": ""}
    intake.leave_mark("bulk@here", facts, "there.7.1")
    intake.ask_to_reload("bulk@here")

    crew.leave()

    assert intake.asked_to_reload("bulk@here").own == 1
    intake.forget_marks("bulk@here#there.7.1")
    assert intake.asked_to_reload("bulk@here").own == 0


# -- routes to be read again


class Reader:
    """A process that counts how often it read its routes."""

    def __init__(self, servers: Addresses, node: str = "bulk@here") -> None:
        self.times = 0
        self.crew = Crew(lambda: Intake.connect(servers.redis_url), read_again=self._read)
        self.crew.introduce(node, ["bulk"])
        self.crew.knows({"alpha": "d1"})

    def _read(self) -> None:
        self.times += 1
        self.crew.knows({"alpha": "d1", "beta": "d2"}, timedelta(minutes=3), "half of it")


@pytest.fixture
def reader(servers: Addresses, intake: Intake) -> Iterator[Reader]:
    reader = Reader(servers)
    yield reader
    reader.crew.leave()


def test_a_process_tells_which_routes_it_knows(reader: Reader, intake: Intake) -> None:
    reader.crew.present()

    mark = eventually(lambda: the_mark(intake))
    assert mark
    assert (mark.routes, mark.kept, mark.reloads) == ({"alpha": "d1"}, "", 0)


def test_a_process_with_nothing_to_do_follows_when_all_are_asked(reader: Reader, intake: Intake) -> None:
    reader.crew.present()
    eventually(lambda: the_mark(intake))

    asked = intake.ask_to_reload()

    mark = eventually(lambda: (mark := the_mark(intake)) and mark.reloads == asked and mark, within=10)
    assert mark
    assert (mark.routes, mark.kept) == ({"alpha": "d1", "beta": "d2"}, "half of it")
    assert mark.longest == timedelta(minutes=3)
    assert reader.times == 1


def test_a_process_with_a_long_step_in_hand_follows_too(reader: Reader, intake: Intake) -> None:
    with reader.crew.step():
        eventually(lambda: the_mark(intake))
        intake.ask_to_reload()

        assert eventually(lambda: (mark := the_mark(intake)) and mark.reloads == 1, within=10)


def test_a_signal_reaches_all_processes_of_that_name_and_no_others(
    servers: Addresses, reader: Reader, intake: Intake
) -> None:
    twin, other = Reader(servers), Reader(servers, "poll@here")
    for one in (reader, twin, other):
        one.crew.present()
    eventually(lambda: len(read_marks(intake)[1]) == 2)

    reader.crew.ask()

    eventually(lambda: reader.times == twin.times == 1, within=10)
    assert other.times == 0
    for one in (twin, other):
        one.crew.leave()


def test_what_was_asked_before_a_process_began_makes_it_look_once_more(
    reader: Reader, intake: Intake
) -> None:
    """The file may have been read just before it was changed, and the asking come before the first mark."""
    intake.ask_to_reload()

    reader.crew.present()

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
    mark = Mark("bulk@a", frozenset({"bulk"}), now, now, routes=known)

    assert mark.unlike({"alpha": "d1", "beta": "d2"}) == said
