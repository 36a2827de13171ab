"""Segments charged, by alphabet and length; and which items a share means."""

import pytest

from worker.sandbox.alphasms.rules import segments_of
from worker.sandbox.spoiling import picked


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("", 1),
        ("x" * 160, 1),
        ("x" * 161, 2),
        ("x" * 306, 2),
        ("x" * 307, 3),
        ("x" * 1530, 10),
        ("x" * 1531, 11),
        ("€" * 80, 1),  # two places each
        ("€" * 81, 2),
        ("[]" * 40, 1),
        ("[]" * 41, 2),
        ("é" * 160, 1),  # in the GSM alphabet
        ("ç" * 70, 1),  # not in it
        ("ç" * 71, 2),
        ("`" * 71, 2),  # ASCII, but not in it
        ("ж" * 70, 1),
        ("ж" * 71, 2),
        ("ж" * 134, 2),
        ("ж" * 135, 3),
        ("x" * 100 + "ж", 2),
        ("😀" * 35, 1),  # two units each
        ("😀" * 36, 2),
    ],
)
def test_segments(text: str, segments: int) -> None:
    assert segments_of(text) == segments


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
