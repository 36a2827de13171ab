"""Waits: doubling, bounded, never shorter for having tried more."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_dispatch.domain.backoff import Backoff

SECOND = timedelta(seconds=1)

waits = st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=90))
backoffs = st.tuples(waits, waits).map(lambda pair: Backoff(min(pair), max(pair)))
tries = st.integers(-3, 10**9)
chances = st.floats(0, 1)


@pytest.mark.parametrize(
    ("tried", "seconds"),
    [(0, 2), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30), (31, 30), (32, 30), (10**12, 30), (-5, 2)],
)
def test_the_plain_doubling(tried: int, seconds: int) -> None:
    assert Backoff(2 * SECOND, 30 * SECOND).delay(tried) == seconds * SECOND


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 9), (0.5, 10), (1.0, 11), (0.25, 9.5)])
def test_chance_spreads_it_by_a_tenth(chance: float, seconds: float) -> None:
    assert Backoff(10 * SECOND, 60 * SECOND).delay(1, chance) == seconds * SECOND


def test_a_first_wait_longer_than_the_longest_is_cut() -> None:
    assert Backoff(60 * SECOND, 10 * SECOND).delay(1) == 10 * SECOND


def test_a_first_wait_of_days_may_be_doubled_for_ever() -> None:
    assert Backoff(timedelta(days=2), timedelta(days=6)).delay(1000) == timedelta(days=6)


@given(backoffs, tries, chances)
def test_it_stays_within_its_bounds(backoff: Backoff, tried: int, chance: float) -> None:
    rounding = timedelta(microseconds=1)
    delay = backoff.delay(tried, chance)
    assert backoff.first * 0.9 - rounding <= delay <= backoff.most * 1.1 + rounding


@given(backoffs, tries, chances)
def test_more_tries_never_wait_less(backoff: Backoff, tried: int, chance: float) -> None:
    assert backoff.delay(tried, chance) <= backoff.delay(tried + 1, chance)


@given(backoffs, tries, chances, chances)
def test_more_chance_never_waits_less(backoff: Backoff, tried: int, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert backoff.delay(tried, low) <= backoff.delay(tried, high)
