"""docs/reference/statuses.md draws the transitions as the table has them, and explains each name."""

from bulk_dispatch.domain.status import Status, Verb, state_diagram
from tests.guards.page import rows
from tests.guards.repository import text

PAGE = text("docs/reference/statuses.md")
BEGIN, END = "<!-- transitions: begin -->", "<!-- transitions: end -->"


def test_the_drawing_is_the_table() -> None:
    drawn = PAGE.split(BEGIN)[1].split(END)[0]

    assert drawn.strip() == f"```mermaid\n{state_diagram()}\n```"


def test_every_status_and_every_event_is_explained() -> None:
    names = [row[0].strip("`*") for row in rows(PAGE)]

    assert names == [*(status.value for status in Status), *(verb.value for verb in Verb)]
