"""The README draws the road of a message exactly as the table has it."""

from pathlib import Path

from bulk_dispatch.domain.status import state_diagram

README = Path(__file__).parents[2] / "README.md"
BEGIN, END = "<!-- road: begin -->", "<!-- road: end -->"


def test_the_drawing_in_the_readme_is_the_table() -> None:
    drawn = README.read_text("utf-8").split(BEGIN)[1].split(END)[0]

    assert drawn.strip() == f"```mermaid\n{state_diagram()}\n```"
