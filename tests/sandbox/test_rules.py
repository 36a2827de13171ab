"""Which items a share means."""

import pytest

from bulk_dispatch.sandbox.corruption import picked


@pytest.mark.parametrize(
    ("count", "share", "meant"),
    [
        (4, 0, []),
        (4, 0.5, [0, 2]),
        (4, 1, [0, 1, 2, 3]),
        (1, 0.01, [0]),
        (10, 0.3, [0, 3, 6]),
        (0, 0.5, []),
    ],
)
def test_a_share_means_the_same_items_each_time(count: int, share: float, meant: list[int]) -> None:
    assert [place for place, is_meant in enumerate(picked(count, share)) if is_meant] == meant
