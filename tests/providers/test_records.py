"""What a dialect has read is written down by name: two texts in each other's place are of the right type."""

import ast
from collections.abc import Iterator

import pytest

from bulk_dispatch.providers.interface import StatusReport
from tests.guards.repository import ROOT

PROVIDERS = ROOT / "worker/bulk_dispatch/providers"
RECORDS = ("OutboundMessage", "Receipt", "Scheduled", "State", "StatusReport")
AT_MOST = 2  # values by position: of a report, the reference and the status
HOT = [("alphasms/xml.py", "StatusReport")]
"""Written by position, for time's sake: what stands where is held by a test below."""


def by_position(source: str) -> Iterator[str]:
    """The records that a source builds by position."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(ast.Name(name), args) if name in RECORDS:
                if len(args) > AT_MOST or any(isinstance(one, ast.Starred) for one in args):
                    yield name


@pytest.mark.parametrize(
    "source", ["StatusReport(1, None, '102')", "Receipt(*parts)", "State(a, b, c, sms=d)"]
)
def test_what_is_written_by_position_is_seen(source: str) -> None:
    assert list(by_position(source))


def test_records_are_written_by_name() -> None:
    found = [
        (path.relative_to(PROVIDERS).as_posix(), record)
        for path in sorted(PROVIDERS.rglob("*.py"))
        for record in by_position(path.read_text("utf-8"))
    ]

    assert found == HOT


def test_the_columns_of_a_report_stand_where_they_are_written() -> None:
    assert StatusReport._fields[:9] == (
        "reference",
        "status",
        "code",
        "provider_message_id",
        "segments",
        "happened_at",
        "known",
        "strange",
        "failure",
    )
