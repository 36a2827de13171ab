"""`worker demo` and `worker up`, as somebody at a terminal runs them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import bare_environment, still_running, up
from tests.waiting import eventually

pytestmark = pytest.mark.slow


@pytest.fixture
def env(folder: Path) -> dict[str, str]:
    """No servers given, so the embedded ones are meant; a data directory of this test's own."""
    return {**bare_environment(), "WORKER_DATA_DIR": str(folder / "data")}


def worker(env: dict[str, str], folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "bulk_dispatch", *words],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


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
    command = [sys.executable, "-m", "bulk_dispatch", "send", "nothing comes", "--sender", "Shop"]
    process = subprocess.Popen(
        command, env=env, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    eventually(lambda: any("postgres" in line for line in still_running(folder)))

    process.terminate()

    assert process.wait(timeout=30) != 0
    eventually(lambda: not still_running(folder), within=10)
