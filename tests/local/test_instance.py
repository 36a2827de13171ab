"""One `worker up` a data directory."""

import json
from pathlib import Path

import pytest

from bulk_dispatch.local.processes.instance import AlreadyRunningError, only_one
from tests.local.world import PATIENCE, python

UP = """
import sys
from pathlib import Path
from bulk_dispatch.local.processes.instance import only_one
with only_one(Path(sys.argv[1]), {"flower": 5555}):
    print(flush=True)
    sys.stdin.read()
"""


def test_the_second_learns_about_the_first_and_comes_in_when_it_has_left(data_dir: Path) -> None:
    first = python(UP, str(data_dir))
    assert first.stdout is not None
    first.stdout.readline()

    with pytest.raises(AlreadyRunningError, match=str(first.pid)) as refused, only_one(data_dir, {}):
        pass
    assert refused.value.info == {"pid": first.pid, "flower": 5555}

    first.communicate(timeout=PATIENCE.total_seconds())
    with only_one(data_dir, {}):
        pass
    assert json.loads((data_dir / "up.lock").read_text()) == {}


def test_the_lock_of_a_killed_run_is_taken_over(data_dir: Path) -> None:
    killed = python(UP, str(data_dir))
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.kill()
    killed.communicate(timeout=PATIENCE.total_seconds())
    assert json.loads((data_dir / "up.lock").read_text())["pid"] == killed.pid

    with only_one(data_dir, {}):
        with pytest.raises(AlreadyRunningError) as refused, only_one(data_dir, {}):
            pass
        assert refused.value.info["pid"] != killed.pid
