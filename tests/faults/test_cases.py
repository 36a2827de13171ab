"""The matrix is whole: no act lies about unused, no name stands twice, and there are no fewer than forty."""

import re
from pathlib import Path

import pytest

from tests.faults import cases, chaos
from tests.faults.cases import CASES
from tests.faults.report import HEADS
from tests.guards.page import rows
from tests.guards.repository import text

ROOMS = sorted(Path(__file__).with_name("cases").glob("[a-z]*.py"))


def test_every_case_has_a_name_of_its_own() -> None:
    assert len(CASES) == sum(map(len, cases.ROOMS))
    assert len(CASES) >= 40


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.stem)
def test_every_act_is_played(room: Path) -> None:
    text = room.read_text("utf-8")
    acts = re.findall(r"^def (\w+)\(world: World, batch: Batch", text, re.MULTILINE)

    assert [act for act in acts if len(re.findall(rf"\b{act}\b", text)) < 2] == []


def test_the_table_of_the_page_is_one_of_ours() -> None:
    """It is that of a whole run, as `make faults` writes it to faults.md."""
    table = (
        text("docs/explanation/guarantees.md")
        .split("<!-- faults: begin -->")[1]
        .split("<!-- faults: end -->")[0]
    )
    names = [row[0].replace(" ", "_") for row in rows(table)]

    assert table.strip().splitlines()[0] == f"| {' | '.join(HEADS)} |"
    assert names == sorted(set(names))
    assert {*names} - {*CASES, chaos.NAME} == set()
    assert len(names) >= 100
