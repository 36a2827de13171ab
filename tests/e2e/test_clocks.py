"""The wall clock is set while beat or workers run: it costs a tick at most."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bulk_dispatch.domain.message import Lane
from tests.e2e.conftest import Install
from tests.factories import message
from tests.faults import clock

pytestmark = pytest.mark.slow

HOUR = 3600


@pytest.fixture(autouse=True)
def _swept() -> Iterator[None]:
    """Before `install` is asked for: in the end its processes are gone."""
    with clock.swept():
        yield


@pytest.mark.parametrize(
    "names", [("beat",), ("urgent", "bulk", "poll")], ids=["that of beat", "that of the workers"]
)
def test_given_a_clock_that_is_set_by_an_hour_when_nobody_notifies_then_beat_does(
    install: Install, tmp_path: Path, names: Sequence[str]
) -> None:
    steps = clock.Steps.at(tmp_path / "clock")
    installation = install(alpha={}, env_of=dict.fromkeys(names, steps.environment))
    installation.enqueue([message(0)])
    installation.await_final(1)

    for number, seconds in enumerate((-HOUR, HOUR, 0), 1):
        steps.to(seconds)
        installation.intake.add(Lane.BULK, [message(number)])  # without a wake-up

        assert installation.await_final(number + 1, within=30).balanced

    assert installation.counts()["twice"] == 0
