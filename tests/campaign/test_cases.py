"""Small files as people have them: what leaves of each, and what is said of the rest.

The files lie in `cases`; each stands in the table below, and a file without a row there fails.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from bulk_dispatch.cli.send_file import Sending, Ways
from bulk_dispatch.client import Dispatcher
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.intake import Intake
from tests.conftest import Setup

CASES = Path(__file__).parent / "cases"
ROUTES: dict[str, dict[str, object]] = {"alpha": {"url": "http://127.0.0.1:9"}}


@dataclass(frozen=True)
class Right:
    """What is right: who gets something, by client id; what is said of rows, by line; what stops it all."""

    leaves: dict[str, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    stops: str = ""
    also: dict[str, Any] = field(default_factory=dict)  # in the JSON object


def to(number: int) -> str:
    return f"+38093111{number:04d}"


ORDER_READY = {"m-1": to(1), "m-2": to(2)}
DECIMAL, SCIENTIFIC = "a decimal", "a number in scientific notation: the digits are lost"
NO_COUNTRY = "has no country code"

AS_IT_STANDS: dict[str, Right] = {
    "numbers-as-decimals.csv": Right(refused={2: DECIMAL, 3: DECIMAL}),
    "trunk-zero-in-brackets.csv": Right({"t-1": to(1), "t-2": to(2), "t-3": "+4915123020001"}),
    "number-without-country.csv": Right(refused=dict.fromkeys(range(2, 6), NO_COUNTRY)),
    "national-forms.csv": Right(
        {"gb-1": "+442079460958"}, {2: NO_COUNTRY, 3: NO_COUNTRY, 5: DECIMAL, 6: NO_COUNTRY}
    ),
    "number-with-invisible-marks.csv": Right({f"i-{number}": to(number) for number in range(1, 9)}),
    "other-digits.csv": Right({"f-1": to(1), "f-2": to(2)}),
    "number-with-slash-tab-apostrophe.csv": Right({f"s-{number}": to(number) for number in range(1, 7)}),
    "number-with-leading-00.csv": Right({"z-1": to(1), "z-2": to(2)}),
    "scientific.csv": Right(refused={2: SCIENTIFIC, 3: SCIENTIFIC}),
    "same-number-twice.csv": Right({"n-1": to(1)}, also={"rows": 3, "repeats": 2}),
    "semicolons.csv": Right({"s-1": to(1)}),
    "tabs.txt": Right({"t-1": to(1)}),
    "sep-line.csv": Right({"s-1": to(1)}),
    "cr-only.csv": Right({"m-1": to(1), "m-2": to(2)}),
    "heading-in-capitals.csv": Right({"h-1": to(1)}),
    "heading-with-blanks.csv": Right({"h-1": to(1)}),
    "column-more-than-needed.csv": Right({"x-1": to(1)}, also={"left_out": ["city", "name"]}),
    "cp1251.csv": Right(stops="Windows-1251"),
    "utf-16.csv": Right(stops="UTF-16"),
    "one-line-of-another-encoding.csv": Right(
        {f"c-{number}": to(number) for number in range(1, 302) if number != 301} | {"c-302": to(302)},
        {302: "is not UTF-8"},
    ),
    "quoted-newlines.csv": Right({"q-1": to(1), "q-2": to(2)}),
    "unbalanced-quotes.csv": Right(stops="line 2: a quote opens a cell there and is never closed"),
    "quote-within-a-cell.csv": Right({f"c-{number}": to(number) for number in (1, 3, 4)}, {3: "must be CSV"}),
    "words-of-software.csv": Right(
        refused={
            2: "'nan'",
            3: "'#N/A'",
            4: "'None'",
            5: "'_x000D_'",
            7: "'#REF!'",
            8: "what software writes",
        }
    ),
    "unfilled-placeholder.csv": Right({"m-3": to(3)}, {2: "{name}", 3: "{{ name }}"}),
    "json-array.json": Right({"j-1": to(1), "j-2": to(2)}),
    "whole-numbers.jsonl": Right({"j-1": to(1), "2": to(2)}, {3: DECIMAL}),
}

IN_ANOTHER_WAY: list[tuple[str, dict[str, Any], Right]] = [
    ("numbers-as-decimals.csv", {"region": "UA"}, Right(refused={2: DECIMAL, 3: DECIMAL})),
    (
        "number-without-country.csv",
        {"region": "UA"},
        Right({"c-1": to(1), "c-3": "+380671110003", "c-4": to(4)}, {3: "too many digits"}),
    ),
    (
        "national-forms.csv",
        {"region": "US"},
        Right(
            {"us-1": "+14155550100", "gb-1": "+442079460958"},
            {3: "too many digits", 5: DECIMAL, 6: "too many digits"},
        ),
    ),
    ("same-number-twice.csv", {"allow_repeats": True}, Right({f"n-{number}": to(1) for number in (1, 2, 3)})),
    (
        "unfilled-placeholder.csv",
        {"literal": True},
        Right({f"m-{number}": to(number) for number in (1, 2, 3)}),
    ),
    ("unfilled-placeholder.csv", {"strict": True}, Right({}, {2: "{name}", 3: "{{ name }}"})),
    ("semicolons.csv", {"dry_run": True}, Right(also={"messages": 1, "new": 1})),
]


@pytest.fixture
def dispatcher(setup: Setup) -> Iterator[Dispatcher]:
    with closing(Dispatcher(setup.routes(**ROUTES))) as dispatcher:
        yield dispatcher


def sent(
    dispatcher: Dispatcher, name: str, folder: Path, capsys: pytest.CaptureFixture[str], **ways: Any
) -> dict[str, Any]:
    """Send a case; the JSON object that tells of it, and the exit code in it."""
    import json

    wanted = Ways(as_json=True, refused=str(folder / "refused.csv"), **ways)
    defaults = {"sender": "Shop", **({"literal": "true"} if wanted.literal else {})}
    code = 0
    try:
        Sending(dispatcher, str(CASES / name), defaults, wanted).run()
    except typer.Exit as end:
        code = end.exit_code
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {**told, "code": code}


def what_left(intake: Intake) -> dict[str, dict[str, str]]:
    entries = intake.read(Lane.BULK, entries=100, idle=timedelta(0))
    return {raw["client_id"]: raw for entry in entries for raw in entry.messages}  # type: ignore[index, misc]


def test_every_file_has_its_row() -> None:
    assert AS_IT_STANDS.keys() == {path.name for path in CASES.iterdir()}


@pytest.mark.parametrize(
    ("name", "ways", "right"),
    [
        *(pytest.param(name, {}, right, id=name) for name, right in AS_IT_STANDS.items()),
        *(pytest.param(*case, id=f"{case[0]} with {', '.join(case[1])}") for case in IN_ANOTHER_WAY),
    ],
)
def test_what_is_right_leaves_and_of_the_rest_the_reason_is_told(
    dispatcher: Dispatcher,
    intake: Intake,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    ways: dict[str, Any],
    right: Right,
) -> None:
    told = sent(dispatcher, name, tmp_path, capsys, **ways)

    left = what_left(intake)
    assert {client_id: raw["recipient"] for client_id, raw in left.items()} == right.leaves
    assert (told["enqueued"], told["refused"]) == (len(right.leaves), len(right.refused))
    assert told["code"] == (1 if right.refused or right.stops else 0)
    for line, said in right.refused.items():
        assert any(error.startswith(f"line {line}: ") and said in error for error in told["errors"]), told
    assert right.stops in " ".join(told["errors"])
    assert told.items() >= right.also.items()


def test_texts_leave_as_they_are_written(
    dispatcher: Dispatcher, intake: Intake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(dispatcher, "quoted-newlines.csv", tmp_path, capsys)

    left = what_left(intake)
    assert left["q-1"]["text"].split() == ["Dear", "Anna", "your", '"order"', "is", "ready,", "bye"]
    assert left["q-1"]["text"].count("\n") == 2
    assert left["q-2"]["text"] == 'Size 5" pipe'


def test_refused_rows_are_in_a_file_without_a_whole_number(
    dispatcher: Dispatcher, intake: Intake, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sent(dispatcher, "numbers-as-decimals.csv", tmp_path, capsys)

    rows = (tmp_path / "refused.csv").read_text("utf-8").splitlines()
    assert rows[0] == "line,field,shown,reason"
    assert rows[1].startswith("2,recipient,<14 characters>,is a decimal")
    assert "380931110001" not in "".join(rows)
