"""Children that are kept running, heard, stopped in order, and never left behind."""

import os
import signal
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from bulk_dispatch.local.processes.spec import Child, ExitRecord, Restarts, StopPhase, described
from bulk_dispatch.local.processes.supervisor import Supervisor
from bulk_dispatch.local.wait import wait_until
from tests.local.world import PATIENCE, eventually, processes_in, python

SOON = Restarts(timedelta(milliseconds=10), timedelta(milliseconds=40), timedelta(seconds=30))

# Says it is ready, and on TERM what it was asked to say.
POLITE = """
import signal, sys, threading
over = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: over.set())
print("ready", flush=True)
over.wait()
print(sys.argv[1], flush=True)
"""
# Has a child of its own; neither listens to TERM. Both say so, in lines of their own.
STUBBORN = """
import os, signal, threading
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.write(1, b"ready\\n" if os.fork() else b"grandchild ready\\n")
threading.Event().wait()
"""
DYING = "import sys; print('alive'); print('to stderr', file=sys.stderr); sys.exit(3)"


class Heard:
    """A sink that remembers, and lets others wait for a line."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, line: str) -> None:
        self.lines.append(line)

    def await_line(self, part: str, times: int = 1) -> None:
        assert wait_until(lambda: self.count(part) >= times, PATIENCE), self.lines

    def count(self, part: str) -> int:
        return sum(part in line for line in self.lines)

    def order(self, *parts: str) -> list[str]:
        """Those of `parts` that were heard, as they came."""
        return [part for line in self.lines for part in parts if part in line]


def child(name: str, script: str, *arguments: str, **more: object) -> Child:
    return Child(name, (sys.executable, "-u", "-c", script, *arguments), {}, **more)  # type: ignore[arg-type]


def test_lines_of_all_children_come_whole_with_their_names_in_front() -> None:
    heard = Heard()
    with Supervisor([child("a", POLITE, "bye"), child("longer", POLITE, "bye")], heard) as supervisor:
        heard.await_line("ready", 2)
        assert set(supervisor.pids()) == {"a", "longer"}
    assert sorted(heard.lines) == ["a      | bye", "a      | ready", "longer | bye", "longer | ready"]


def test_names_may_be_coloured_each_in_its_own() -> None:
    heard = Heard()
    with Supervisor([child("a", POLITE, "bye"), child("b", POLITE, "bye")], heard, colour=True):
        heard.await_line("ready", 2)
    assert len({line.partition("m")[0] for line in heard.lines if line.endswith("\x1b[0mready")}) == 2


def test_a_dying_child_is_started_again_with_growing_delay_and_says_so() -> None:
    heard = Heard()
    with Supervisor([child("frail", DYING)], heard, restarts=SOON):
        heard.await_line("starts again in 0.04 s", 2)
    said = [line for line in heard.lines if "--" in line]
    assert said[:4] == [
        f"frail | -- ended with exit code 3; starts again in {seconds} s"
        for seconds in (0.01, 0.02, 0.04, 0.04)
    ]
    assert heard.count("to stderr") >= 4


def test_a_command_that_is_not_there_is_said_and_tried_again() -> None:
    heard = Heard()
    with Supervisor([Child("lost", ("/no/such/program",), {})], heard, restarts=SOON):
        heard.await_line("exit code 127", 2)
    assert heard.lines[0] == "lost | cannot run /no/such/program: No such file or directory"


def test_workers_finish_before_the_rest_is_asked() -> None:
    heard = Heard()
    children = [
        child("beat", POLITE, "beat is over"),
        child("worker", POLITE, "worker is over", stop_phase=StopPhase.FIRST),
    ]
    with Supervisor(children, heard) as supervisor:
        heard.await_line("ready", 2)
        endings = supervisor.stop()
    assert heard.order("worker is over", "beat is over") == ["worker is over", "beat is over"]
    assert endings == (ExitRecord("beat", 0, False), ExitRecord("worker", 0, False))
    assert supervisor.stop() is endings


def test_who_ignores_term_is_killed_with_all_it_has_started(tmp_path: Path) -> None:
    heard = Heard()
    stubborn = child("stubborn", STUBBORN, f"{tmp_path}/", grace=timedelta(milliseconds=100))
    with Supervisor([stubborn], heard) as supervisor:
        heard.await_line("ready", 2)
        assert len(processes_in(tmp_path)) == 2
        endings = supervisor.stop()
    assert endings == (ExitRecord("stubborn", -signal.SIGKILL, True),)
    assert heard.count("did not end within 0.1 s: killed, with all it had started") == 1
    eventually(lambda: not processes_in(tmp_path))


def test_whoever_asks_twice_does_not_wait_for_the_grace() -> None:
    heard = Heard()
    with Supervisor([child("stubborn", STUBBORN, grace=timedelta(minutes=1))], heard) as supervisor:
        heard.await_line("ready", 2)
        supervisor.request_stop()
        endings = supervisor.stop()
    assert endings[0].killed
    assert heard.count("asked twice") == 1


def test_what_a_dead_child_left_behind_is_ended_before_its_successor_starts(tmp_path: Path) -> None:
    heard = Heard()
    script = "import os, threading; os.fork() or threading.Event().wait(); os._exit(1)"
    slow = Restarts(timedelta(hours=1), timedelta(hours=1), timedelta(hours=1))
    with Supervisor([child("parent", script, f"{tmp_path}/")], heard, restarts=slow):
        heard.await_line("starts again")
        eventually(lambda: not processes_in(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_wait_ends_with_a_stop_signal_and_puts_the_old_handlers_back(number: signal.Signals) -> None:
    def ours(*_: object) -> None: ...

    found = signal.signal(number, ours)  # whoever runs the tests may have it ignored, and then it stays so
    try:
        heard = Heard()
        with Supervisor([child("a", POLITE, "bye")], heard) as supervisor:
            heard.await_line("ready")
            threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
            supervisor.wait()
        assert signal.getsignal(number) is ours
        assert heard.lines[-1] == "a | bye"
    finally:
        signal.signal(number, found)


def test_a_sink_that_is_gone_ends_the_wait_and_blocks_nobody() -> None:
    def gone(line: str) -> None:
        raise BrokenPipeError(line)

    chatty = "while True: print('x' * 1000)"
    with Supervisor([child("chatty", chatty)], gone) as supervisor:
        supervisor.wait()
        assert supervisor.stop()[0].code == -signal.SIGTERM


@pytest.mark.slow
def test_a_killed_supervisor_leaves_no_child_and_its_last_wish_is_done(tmp_path: Path) -> None:
    supervise = """
import sys
from datetime import timedelta
from tests.local.test_supervisor import POLITE, STUBBORN, child
from bulk_dispatch.local.processes.supervisor import Supervisor
mark = sys.argv[1]
children = [child("a", POLITE, f"{mark}/"), child("b", STUBBORN, f"{mark}/")]
wish = (sys.executable, "-c", "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()", f"{mark}/wish")
grace = timedelta(milliseconds=100)
show = lambda line: print(line, flush=True)
with Supervisor(children, show, orphan_grace=grace, afterwards=wish) as supervisor:
    supervisor.wait()
"""
    process = python(supervise, str(tmp_path))
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    assert all("ready" in line for line in lines), lines
    process.kill()
    process.communicate(timeout=PATIENCE.total_seconds())

    eventually(lambda: not processes_in(tmp_path))
    eventually((tmp_path / "wish").exists)


def test_after_an_orderly_end_nothing_is_left_to_wish(tmp_path: Path) -> None:
    heard = Heard()
    wish = (
        sys.executable,
        "-c",
        "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()",
        f"{tmp_path}/wish",
    )
    with Supervisor([child("a", POLITE, "bye")], heard, afterwards=wish):
        heard.await_line("ready")
    assert not processes_in(tmp_path)
    assert not (tmp_path / "wish").exists()


S = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("last", "lived", "delay"),
    [
        (None, 0 * S, S),
        (S, 0 * S, 2 * S),
        (8 * S, 29 * S, 15 * S),
        (15 * S, 29 * S, 15 * S),
        (15 * S, 30 * S, S),
    ],
)
def test_delays_double_up_to_a_bound_and_a_good_run_forgives(
    last: timedelta | None, lived: timedelta, delay: timedelta
) -> None:
    assert Restarts().delay(last, lived) == delay


@pytest.mark.parametrize(("code", "words"), [(3, "exit code 3"), (-9, "signal SIGKILL"), (-99, "signal 99")])
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert described(code) == words
