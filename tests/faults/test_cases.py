"""The matrix is whole: no act lies about unused, no name stands twice, and there are no fewer than forty."""

import re
from pathlib import Path

import pytest

from tests.faults import cases
from tests.faults.cases import CASES

ROOMS = sorted(Path(__file__).with_name("cases").glob("[a-z]*.py"))


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) == sum(map(len, cases.ROOMS))
    assert len(CASES) >= 40


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_every_act_is_played(room: Path) -> None:
    text = room.read_text("utf-8")
    acts = re.findall(r"^def (\w+)\(world: World, batch: Batch", text, re.MULTILINE)

    assert [act for act in acts if len(re.findall(rf"\b{act}\b", text)) < 2] == []
