"""docs/how-to/health-checks.md explains each thing that is said of a process."""

import pytest

from bulk_dispatch.monitoring.liveness import RULES, Liveness
from tests.guards.page import rows
from tests.guards.repository import text

MEANINGS, ORDER = text("docs/how-to/health-checks.md").split("## How the state of a worker is found")
SAID = "\n".join(row[0] for row in rows(MEANINGS))


@pytest.mark.parametrize("state", Liveness)
def test_what_is_said_of_a_process_is_explained(state: Liveness) -> None:
    assert state.value in SAID


def test_the_page_has_the_rules_in_their_order() -> None:
    assert [tuple(row) for row in rows(ORDER)] == [(rule.condition, rule.state.value) for rule in RULES]
