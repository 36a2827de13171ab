"""`worker demo` and `worker up`, as somebody at a terminal runs them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.waiting import eventually
from worker.settings import inherited_environment

ROOT = Path(__file__).parents[2]


@pytest.fixture
def env(folder: Path) -> dict[str, str]:
    """No servers given, so the embedded ones are meant; a data directory of this test's own."""
    given = {name: value for name, value in inherited_environment().items() if not name.startswith("WORKER_")}
    return {**given, "WORKER_DATA_DIR": str(folder / "data"), "PYTHONPATH": str(ROOT)}


def worker(env: dict[str, str], folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "worker", *words],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def still_running(folder: Path) -> list[str]:
    """Processes that this test started, whoever their parent is by now: all of them know its folder."""
    found = []
    for process in psutil.process_iter():
        try:
            knows = [*process.cmdline(), *process.environ().values()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in knows):
            found.append(" ".join(process.cmdline()))
    return found


def test_the_demo_ends_with_balanced_books_and_leaves_nothing(env: dict[str, str], folder: Path) -> None:
    ran = worker(env, folder, "demo", "--messages", "1500", "--json")

    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["messages"] == result["books"]["total"] == result["sandbox"]["taken"] == 1500
    assert (result["books"]["balanced"], result["sandbox"]["twice"], result["exactly_once"]) == (
        True,
        0,
        True,
    )
    assert result["per_second"] == pytest.approx(1500 / result["seconds"], rel=0.05)
    assert still_running(folder) == []
    assert not list((folder / "data").glob("throwaway-*"))


# Whoever starts the tests may have told them to ignore Ctrl-C, as a shell does with what it runs in the
# background; then `worker up` would rightly ignore it too.
AT_A_TERMINAL = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@contextmanager
def up(env: dict[str, str], folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """`worker up`, once it works."""
    with (folder / "up.log").open("wb") as log:
        words = ["-m", "worker", "up", "--sandbox-port", "0", "--flower-port", "0"]
        process = subprocess.Popen(
            [sys.executable, "-c", AT_A_TERMINAL, *words], env=env, cwd=folder, stdout=log, stderr=log
        )
        try:
            eventually(lambda: (folder / "up.log").read_text().count(" ready.") == 3)
            yield process
        finally:
            process.kill()
            process.wait()
            eventually(lambda: not still_running(folder), within=30)


def test_up_serves_a_developer_and_ctrl_c_leaves_nothing(env: dict[str, str], folder: Path) -> None:
    with up(env, folder) as process:
        words = ("--to", "+380931110001", "--sender", "Shop", "--text", "Hi", "--client-id", "x")
        assert worker(env, folder, "send", *words, "--route", "sandbox-async").returncode == 0
        eventually(lambda: '"delivered"' in worker(env, folder, "books", "--json").stdout, every=0.5)

        second = worker(env, folder, "up")
        assert second.returncode == 1
        assert f"process {process.pid}" in second.stderr

        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert still_running(folder) == []


def test_up_that_was_killed_leaves_nothing_and_is_taken_over(env: dict[str, str], folder: Path) -> None:
    with up(env, folder) as process:
        process.kill()
        process.wait()
        eventually(lambda: not still_running(folder), within=60)

    with up(env, folder) as process:
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


def test_up_with_a_routes_file_that_is_none_says_so_and_starts_nothing(
    env: dict[str, str], folder: Path
) -> None:
    (folder / "routes.toml").write_text(
        '[routes.alpha]\nprovider = "alphasms-xml"\nurl = "https://a.example"\nkey = "k"\nspeed = 1\n'
    )

    ran = worker(env, folder, "up")

    assert ran.returncode == 1
    assert "speed" in ran.stderr
    assert still_running(folder) == []


def test_a_command_that_is_told_to_end_takes_its_servers_with_it(env: dict[str, str], folder: Path) -> None:
    os.mkfifo(folder / "nothing comes")
    command = [sys.executable, "-m", "worker", "send", "nothing comes", "--sender", "Shop"]
    process = subprocess.Popen(
        command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: any("postgres" in line for line in still_running(folder)))

    process.terminate()

    assert process.wait(timeout=30) != 0
    eventually(lambda: not still_running(folder), within=10)
