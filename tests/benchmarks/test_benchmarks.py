"""The benchmarks measure what they say, and how fast it is does not matter here."""

import argparse
import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks import builds, receipts
from tests.benchmarks.comparison import Comparison
from tests.benchmarks.whole import Run

AGAINST = {
    "end_to_end_ratio",
    "cpu_us_per_message",
    "cpu_ratio",
    "ledger_mb_ratio",
    "wal_mb_ratio",
    "roomy_floor_ratio",
    "held_snapshot_ratio",
    "urgent_p99_ms_under_load",
    "max_rss_mb",
}
"""What the phase `against` ends with."""


def measured(folder: Path, *options: str) -> Mapping[str, float]:
    """The last line of the benchmarks with these options; their files are in the folder meanwhile."""
    command = (sys.executable, "-m", "tests.benchmarks", *options)
    environment = {**os.environ, "TMPDIR": str(folder)}
    done = subprocess.run(
        command, env=environment, cwd=builds.ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: Mapping[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def worktrees() -> str:
    """Those that git knows."""
    asked = ("git", "worktree", "list")
    return subprocess.run(asked, cwd=builds.ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_another_build_is_run_by_turns_with_this_one(tmp_path: Path) -> None:
    found = measured(tmp_path, "--against", "HEAD", "--messages", "300", "--rounds", "1")

    assert set(found) == AGAINST
    assert [name for name, value in found.items() if not 0 < value < math.inf] == []
    assert list(tmp_path.glob("worker-bench-*")) == []
    assert str(tmp_path) not in worktrees()


@pytest.mark.slow
def test_the_books_are_counted_over_a_filled_ledger(tmp_path: Path) -> None:
    found = measured(tmp_path, "--only", "books", "--filled", "2500")

    assert found.keys() == {"messages", "books_s", "status_ms"}
    assert found["messages"] == 2500
    assert min(found.values()) > 0


def test_ratios_are_ours_over_theirs_and_medians_of_the_rounds() -> None:
    run = Run(messages=1000, seconds=2, cpu_s=0.04, ledger_mb=2, wal_mb=8, rss_mb={"bulk": 100, "poll": 120})
    slower = replace(run, seconds=4, cpu_s=0.05, ledger_mb=4, wal_mb=10)
    found = Comparison(
        "HEAD",
        ours=[run, run, slower],
        theirs=[slower, slower, slower],
        roomy_floor=[1000, 1000, 1000],
        clean=[500, 400, 100],
        held=[250, 300, 25],
    )

    assert found.figures() == {
        "end_to_end_ratio": 2,
        "cpu_ratio": 0.8,
        "ledger_mb_ratio": 0.5,
        "wal_mb_ratio": 0.8,
        "cpu_us_per_message": 40,
        "roomy_floor_ratio": 0.5,
        "held_snapshot_ratio": 0.5,
    }
    [both, alone] = found.tables()
    assert "| messages a second | 500 (250 to 500) | 250 (250 to 250) | 2.000 (1.000 to 2.000) |" in both
    assert "| while a snapshot is held, to without | 0.500 (0.250 to 0.750) |" in alone


def test_a_build_of_another_name_is_not_compared(tmp_path: Path) -> None:
    for command in (("init", "--quiet"), ("commit", "--quiet", "--allow-empty", "--message", "old")):
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(("git", *identity, *command), cwd=tmp_path, check=True)

    with pytest.raises(argparse.ArgumentTypeError, match="before the package was called bulk_dispatch"):
        builds.commit("HEAD", tmp_path)
    with pytest.raises(argparse.ArgumentTypeError, match="git knows no commit --help"):
        builds.commit("--help", tmp_path)


def test_a_door_is_found_behind_a_remark() -> None:
    remark = "worker: fsync is off in PostgreSQL at 127.0.0.1:5432\n"
    said = [remark, "Receipts are taken at http://127.0.0.1:33547/receipts/ROUTE/SECRET\n"]

    assert receipts.port_of(said) == 33547
    with pytest.raises(RuntimeError, match="ended before it listened"):
        receipts.port_of([remark])
