"""The wrong clock itself: what a process under it sees, and that it works as before."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.local.servers.server_pair import Addresses
from tests.faults.clock import SHARED, Steps, offset, swept

CLOCKS = """
import json, time
from datetime import UTC, datetime

print(json.dumps({
    "time": time.time(),
    "now": datetime.now().timestamp(),
    "utc": datetime.now(UTC).timestamp(),
    "monotonic": time.monotonic(),
}))
"""

WAITS = """
import json, queue, threading, time

def measured(wait):
    before = time.monotonic()
    wait()
    return time.monotonic() - before

def starved():
    try:
        queue.Queue().get(timeout=0.2)
    except queue.Empty:
        pass

def together():
    threads = [threading.Thread(target=lambda: threading.Event().wait(0.2)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

print(json.dumps({
    "sleep": measured(lambda: time.sleep(0.2)),
    "event": measured(lambda: threading.Event().wait(0.2)),
    "queue": measured(starved),
    "threads": measured(together),
}))
"""

SERVERS = """
import json, ssl, sys, time
import redis
from sqlalchemy import create_engine, text

ssl.create_default_context()
client = redis.Redis.from_url(sys.argv[2])
client.ping()
empty = client.xread({"no such stream": "$"}, block=200)
with create_engine(sys.argv[1]).connect() as connection:
    theirs = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())::float")).scalar_one()
print(json.dumps({"ahead": time.time() - theirs, "empty": empty}))
"""

STEPS = """
import json, sys, time

for line in sys.stdin:
    print(json.dumps({"time": time.time(), "monotonic": time.monotonic()}), flush=True)
"""

HOLDS = "import sys, time; time.time(); print(flush=True); sys.stdin.read()"


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    with swept():
        yield


def ran(program: str, seconds: int, *arguments: str) -> Any:
    """What the program said, under a clock so many seconds ahead."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **offset(seconds)},
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert not ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("minutes", [5, -5, 90])
def test_the_wall_clock_is_off_and_the_other_is_not(minutes: int) -> None:
    seen = ran(CLOCKS, 60 * minutes)

    for clock in ("time", "now", "utc"):
        assert seen[clock] - time.time() == pytest.approx(60 * minutes, abs=10)
    assert 0 <= time.monotonic() - seen["monotonic"] < 10


@pytest.mark.parametrize("minutes", [5, -5])
@pytest.mark.slow
def test_waiting_takes_as_long_as_it_should(minutes: int) -> None:
    for wait, took in ran(WAITS, 60 * minutes).items():
        assert 0.19 < took < 5, wait


@pytest.mark.parametrize("minutes", [5, -5])
@pytest.mark.slow
def test_servers_are_reached_and_keep_their_own_time(servers: Addresses, minutes: int) -> None:
    seen = ran(SERVERS, 60 * minutes, servers.database_url, servers.redis_url)

    assert seen["ahead"] == pytest.approx(60 * minutes, abs=10)
    assert not seen["empty"]


def test_a_clock_is_set_while_the_process_runs(tmp_path: Path) -> None:
    steps = Steps.at(tmp_path / "clock")
    with subprocess.Popen(
        [sys.executable, "-c", STEPS],
        env={**os.environ, **steps.environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for seconds in (0, -3600, 3600):
            steps.to(seconds)
            process.stdin.write("now\n")
            process.stdin.flush()
            seen = json.loads(process.stdout.readline())

            assert seen["time"] - time.time() == pytest.approx(seconds, abs=10)
            assert 0 <= time.monotonic() - seen["monotonic"] < 10
        process.stdin.close()


def test_what_a_killed_process_leaves_is_swept_up() -> None:
    env = {**os.environ, **offset(300)}
    with (
        swept(),
        subprocess.Popen(
            [sys.executable, "-c", HOLDS], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process,
    ):
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()

    assert not list(SHARED.glob(f"*faketime_*_{process.pid}"))
