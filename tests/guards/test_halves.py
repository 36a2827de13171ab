"""The tests are in two halves, and both are run: `make test` has what is quick, `make test-slow` the rest."""

import re

import pytest
from hypothesis import settings

from tests.conftest import COLLECTED
from tests.guards.repository import ROOT, text

SLOW = {
    "tests/cli/test_whole.py": "`worker up` and `worker demo` start everything there is",
    "tests/e2e/": "installations of their own, which are killed, starved and changed; the wheel; the pages",
    "tests/faults/test_faults.py": "an installation, and what befalls it",
    "tests/ledger/test_model.py": "more lives, of the same kind",
}
"""Where slow tests are, and what they are. All others are to be quick."""

FEW = 100

MANY = "--hypothesis-profile=many"


def recipe(target: str) -> str:
    """What make does for a target."""
    (found,) = re.findall(rf"^{target}: .*\n((?:\t.*\n)+)", text("Makefile"), re.MULTILINE)
    return str(found).strip()


def test_each_test_is_in_one_of_the_halves() -> None:
    assert recipe("test") == '$(PYTEST) -m "not slow"'
    assert recipe("test-slow") == f'$(PYTEST) -m "slow or hypothesis" {MANY}'
    assert recipe("test-all") == f"$(PYTEST) {MANY}"


def test_the_slow_half_tries_a_property_on_more_examples() -> None:
    """The plugin of Hypothesis marks its tests "hypothesis"."""
    few, many = (settings.get_profile(name).max_examples for name in ("few", "many"))
    assert 10 <= few < many


def test_ci_runs_both_halves() -> None:
    (goals,) = re.findall(r"^make (.*)$", text(".ci/run"), re.MULTILINE)
    assert {"test", "test-slow"} <= set(goals.split()) or "test-all" in goals.split()


def test_a_slow_test_is_of_a_kind_that_must_be(request: pytest.FixtureRequest) -> None:
    slow = [item.nodeid for item in request.config.stash[COLLECTED] if item.get_closest_marker("slow")]
    assert [name for name in slow if not name.startswith(tuple(SLOW))] == []
    assert len(slow) <= FEW


@pytest.mark.parametrize("place", SLOW)
def test_a_place_of_slow_tests_is_there(place: str) -> None:
    assert (ROOT / place).exists()
