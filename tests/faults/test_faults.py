"""A representative part of the matrix, in every run of all tests.

The whole is `make faults`.
"""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.cases import CASES
from tests.faults.matrix import Stage

REPRESENTATIVE = (
    "ingest_killed_between_commit_and_acknowledgement",
    "dispatch_killed_with_all_taken",
    "worker_stopped_and_late_with_a_refusal",
    "celery_messages_deleted",
    "redis_connections_cut",
    "redis_killed_as_enqueue_returns",
    "redis_away_for_5_s_with_steps_in_hand",
    "redis_answers_readonly",
    "postgres_ended_at_once",
    "two_fleets",
    "provider_502_after_taking",
    "doubt_settled_by_hand",
    "pool_children_killed",
)
KILLS = {
    "ingest_killed_between_commit_and_acknowledgement",
    "dispatch_killed_with_all_taken",
    "two_fleets",
    "doubt_settled_by_hand",
    "pool_children_killed",
}
"""Those that kill a process of ours; each is to have done so."""


@dataclass(frozen=True)
class Installation:
    """What is ill-treated, and what its processes have said."""

    stage: Stage
    said: list[str]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    said: list[str] = []
    with (
        tempfile.TemporaryDirectory(prefix="worker-test-", ignore_cleanup_errors=True) as folder,
        closing(Stage(Path(folder), said.append, lambda _: None)) as stage,
    ):
        yield Installation(stage, said)


def of_one_pool(name: str) -> object:
    """Cases of one pool share an installation, so they are played by one process."""
    return pytest.param(name, marks=pytest.mark.xdist_group(f"faults of {CASES[name].pool}"))


@pytest.mark.slow
@pytest.mark.parametrize("name", [of_one_pool(name) for name in REPRESENTATIVE])
def test_given_a_fault_when_all_is_settled_then_nothing_is_lost_and_nothing_repeated(
    installation: Installation, name: str
) -> None:
    result = installation.stage.play(CASES[name])

    # How soon it flowed again is judged where the machine has nothing else to do: `make faults`.
    found = [*result.tally.complaints(), *result.troubles]
    assert not found, "\n".join([str(found), *installation.said[-100:]])
    assert result.name == name
    assert bool(result.kills) == (name in KILLS)
