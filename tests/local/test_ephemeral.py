"""Servers whose folder goes with them."""

from pathlib import Path

import pytest

from bulk_dispatch.local.servers.ephemeral import throwaway
from tests.local.world import PATIENCE, processes_in, python, sql

HOLD = """
import sys
from pathlib import Path
from bulk_dispatch.local.servers.ephemeral import throwaway
with throwaway(Path(sys.argv[1])) as (folder, addresses):
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_a_throwaway_works_and_is_gone_afterwards(folder: Path) -> None:
    with throwaway(folder) as (data_dir, addresses):
        assert sql(addresses, "select 1") == 1
        assert sql(addresses, "show fsync") == "off"
        assert data_dir.parent == folder
    assert not data_dir.exists()
    assert not processes_in(folder)


@pytest.mark.slow
def test_what_a_killed_run_left_is_cleared_away_by_the_next_but_not_what_is_in_use(folder: Path) -> None:
    killed, alive = python(HOLD, str(folder)), python(HOLD, str(folder))
    assert killed.stdout is not None
    assert alive.stdout is not None
    left, kept = Path(killed.stdout.readline().strip()), Path(alive.stdout.readline().strip())
    killed.kill()
    killed.communicate(timeout=PATIENCE.total_seconds())
    assert processes_in(left)

    with throwaway(folder):
        assert not left.exists()
        assert not processes_in(left)
        assert processes_in(kept)

    alive.communicate(timeout=PATIENCE.total_seconds())
    assert not kept.exists()
