"""A representative part of the matrix, in every run of the tests.

The whole is `make faults`.
"""

from pathlib import Path

import pytest

from tests.faults import matrix
from tests.faults.cases import CASES

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


@pytest.mark.slow
@pytest.mark.xdist_group("faults")  # one installation at a time: two would wait for each other's processors
def test_a_part_of_the_matrix_loses_nothing_and_repeats_nothing(folder: Path) -> None:
    said: list[str] = []

    results = list(matrix.run([CASES[name] for name in REPRESENTATIVE], folder, said.append, lambda _: None))

    # How soon it flowed again is judged where the machine has nothing else to do: `make faults`.
    bad = {
        result.name: found for result in results if (found := [*result.tally.complaints(), *result.troubles])
    }
    assert not bad, "\n".join([str(bad), *said[-100:]])
    assert sum(result.kills for result in results) > 0
    assert [result.name for result in results] == list(REPRESENTATIVE)
