"""Which messages leave together."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bulk_dispatch.domain.content import Sms
from bulk_dispatch.domain.package import OVERHEAD, Limits, OutboundMessage, PackageState, fitting


def items(*lengths: int) -> list[OutboundMessage]:
    return [
        OutboundMessage(n, 100 + n, "+380931110001", "ShopNews", Sms("a" * length))
        for n, length in enumerate(lengths)
    ]


ROOM = OVERHEAD + 4 * 10  # what a text of ten characters is reckoned at


@pytest.mark.parametrize(
    ("lengths", "limits", "count"),
    [
        ([10, 10, 10], Limits(items=3, octets=10_000), 3),
        ([10, 10, 10], Limits(items=2, octets=10_000), 2),
        ([10, 10, 10], Limits(items=1, octets=10_000), 1),
        ([10, 10, 10], Limits(items=9, octets=3 * ROOM), 3),
        ([10, 10, 10], Limits(items=9, octets=3 * ROOM - 1), 2),
        ([10, 10, 10], Limits(items=9, octets=ROOM), 1),
        ([10, 10, 10], Limits(items=9, octets=ROOM - 1), 1),  # alone it always fits
        ([2000, 10], Limits(items=9, octets=1), 1),
        ([10, 2000, 10], Limits(items=9, octets=3 * ROOM), 1),  # a head, not a choice: order is kept
        ([], Limits(items=9, octets=1000), 0),
    ],
)
def test_fitting(lengths: list[int], limits: Limits, count: int) -> None:
    given_items = items(*lengths)
    assert list(fitting(given_items, limits)) == given_items[:count]


@given(
    st.lists(st.integers(1, 2000), min_size=1, max_size=40),
    st.integers(1, 50),
    st.integers(1, 100_000),
)
def test_a_package_is_a_head_within_the_limits_and_never_empty(
    lengths: list[int], most: int, octets: int
) -> None:
    given_items = items(*lengths)
    package = fitting(given_items, Limits(most, octets))
    assert list(package) == given_items[: len(package)]
    assert 1 <= len(package) <= most
    reckoned = [OVERHEAD + 4 * item.content.size for item in given_items]
    assert len(package) == 1 or sum(reckoned[: len(package)]) <= octets
    longer = len(package) + 1
    assert longer > min(most, len(given_items)) or sum(reckoned[:longer]) > octets, "the longest head"


@given(st.lists(st.integers(1, 500), max_size=60), st.integers(1, 9), st.integers(1, 5000))
def test_packing_on_and_on_takes_every_message_once(lengths: list[int], most: int, octets: int) -> None:
    left = items(*lengths)
    packed: list[OutboundMessage] = []
    while left:
        package = fitting(left, Limits(most, octets))
        packed += package
        left = left[len(package) :]
    assert packed == items(*lengths)


@pytest.mark.parametrize(
    ("texts", "count"),
    [("aaaa", 4), ("abab", 4), ("aabc", 4), ("abca", 4), ("abcd", 3)],
)
def test_where_equal_contents_stand_once_they_are_reckoned_once(texts: str, count: int) -> None:
    given_items = [
        OutboundMessage(n, 100 + n, "+380931110001", "ShopNews", Sms(letter * 100))
        for n, letter in enumerate(texts)
    ]
    limits = Limits(items=9, octets=4 * OVERHEAD + 3 * 400, once=True)
    assert len(fitting(given_items, limits)) == count
    assert len(fitting(given_items, limits)) >= len(fitting(given_items, Limits(9, limits.octets)))


def test_equal_contents_of_two_campaigns_are_reckoned_twice() -> None:
    """A provider that is told the campaign gets the text once for each."""
    texts = [item._replace(campaign=name) for item, name in zip(items(100, 100, 100), "aba", strict=True)]
    limits = Limits(items=9, octets=3 * OVERHEAD + 2 * 400, once=True)
    assert len(fitting(texts, limits)) == 3
    assert len(fitting(texts, replace(limits, octets=limits.octets - 1))) == 2


def test_where_each_message_is_a_request_only_their_number_counts() -> None:
    given_items = items(*[1000] * 9)
    assert len(fitting(given_items, Limits(items=5, octets=1, call=1, in_flight=2))) == 5


def test_an_item_shows_neither_text_nor_number() -> None:
    shown = repr(OutboundMessage(1, 101, "+380931110001", "ShopNews", Sms("the code is 4711")))
    assert "4711" not in shown
    assert "+380931110001" not in shown
    assert "101" in shown


def test_package_states_are_words_of_their_own() -> None:
    assert len({state.value for state in PackageState}) == len(PackageState)
