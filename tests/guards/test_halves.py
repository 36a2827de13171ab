"""The tests are in two halves, and both are run: `make test` has what is quick, `make test-slow` the rest."""

import os
import re

import pytest
from hypothesis import settings

from tests.conftest import COLLECTED
from tests.guards.repository import text

SLOW = 600
"""So many tests of more than ten thousand are slow, at most."""

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


def test_the_quick_half_has_nearly_all(request: pytest.FixtureRequest) -> None:
    slow = [item for item in request.config.stash[COLLECTED] if item.get_closest_marker("slow")]
    assert len(slow) <= SLOW


def test_those_that_share_an_installation_are_kept_together(request: pytest.FixtureRequest) -> None:
    """By pytest-xdist, which writes the group into their names; each other process would start one more."""
    by_group = "PYTEST_XDIST_WORKER" in os.environ and request.config.getoption("loadgroup", default=False)
    shared = [
        item for item in request.config.stash[COLLECTED] if "_fleet" in getattr(item, "fixturenames", ())
    ]
    assert {item.nodeid.endswith("@installation") for item in shared} <= {by_group}
