"""docs/how-to/health-checks.md explains each thing that is said of a process."""

import pytest

from bulk_dispatch.monitoring.liveness import Liveness
from tests.guards.page import rows
from tests.guards.repository import text

SAID = "\n".join(row[0] for row in rows(text("docs/how-to/health-checks.md")))


@pytest.mark.parametrize("state", Liveness)
def test_what_is_said_of_a_process_is_explained(state: Liveness) -> None:
    assert state.value in SAID
