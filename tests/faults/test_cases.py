"""The matrix is whole: no act lies about unused, no name stands twice, and the issue's forty are there."""

import re
from pathlib import Path

import pytest

from tests.faults.cases import CASES
from tests.faults.cases.doubles import DOUBLES
from tests.faults.cases.doubt import DOUBT
from tests.faults.cases.infrastructure import INFRASTRUCTURE
from tests.faults.cases.kills import KILLS
from tests.faults.cases.provider import PROVIDER

ROOMS = sorted(Path(__file__).with_name("cases").glob("[a-z]*.py"))


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) == sum(map(len, (DOUBLES, DOUBT, INFRASTRUCTURE, KILLS, PROVIDER)))
    assert len(CASES) >= 40


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_every_act_is_played(room: Path) -> None:
    text = room.read_text("utf-8")
    acts = re.findall(r"^def (\w+)\(world: World, batch: Batch", text, re.MULTILINE)

    assert [act for act in acts if len(re.findall(rf"\b{act}\b", text)) < 2] == []
