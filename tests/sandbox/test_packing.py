"""Parts charged, by alphabet and length. That every provider charges so is told in tests/stages."""

from math import ceil

import pytest

from bulk_dispatch.sandbox.packing import segments_of

CASES = [
    ("", 1),
    ("x" * 160, 1),
    ("x" * 161, 2),
    ("x" * 306, 2),
    ("x" * 307, 3),
    ("x" * 1530, 10),
    ("x" * 1531, 11),
    ("\r\n" * 80, 1),
    ("\r\n" * 80 + "x", 2),
    ("€" * 80, 1),  # two places each
    ("€" * 81, 2),
    ("[]" * 40, 1),
    ("[]" * 41, 2),
    ("é" * 160, 1),  # in the GSM alphabet
    ("ç" * 70, 1),  # not in it
    ("ç" * 71, 2),
    ("`" + "x" * 69, 1),  # ASCII, but not in it
    ("`" * 71, 2),
    ("ж" * 70, 1),
    ("ж" * 71, 2),
    ("ж" * 134, 2),
    ("ж" * 135, 3),
    ("x" * 100 + "ж", 2),
    ("😀" * 35, 1),  # two units each
    ("😀" * 36, 2),
]

# A character of two places where a part ends: it begins the next part, and leaves a place empty. To divide
# finds a part less.
PACKED = [
    ("x" * 152 + "€" + "x" * 152, 3),
    ("€" * 153, 3),
    ("x" * 152 + ("€" + "x" * 151) * 2 + "x", 4),
    ("ж" * 66 + "😀" + "ж" * 66, 3),
    ("😀" * 67, 3),
    ("😀" * 133, 5),
]


@pytest.mark.parametrize(
    ("text", "parts"), CASES + PACKED, ids=lambda v: f"{v[:2]!r}x{len(v)}" if isinstance(v, str) else ""
)
def test_a_text_is_charged_by_its_parts(text: str, parts: int) -> None:
    assert segments_of(text) == parts


@pytest.mark.parametrize(("text", "parts"), PACKED)
def test_what_takes_two_places_is_never_cut(text: str, parts: int) -> None:
    gsm = "€" in text
    places = len(text) + text.count("€") if gsm else len(text.encode("utf-16-be")) // 2
    assert ceil(places / (153 if gsm else 67)) == parts - 1
