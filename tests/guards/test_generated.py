"""What the pages have from the code is as the code says, and `make docs` refuses what is not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_dispatch.domain.status import EventType, Status, transitions_of
from tests.guards.page import rows
from tests.guards.repository import ROOT, text

STATUSES = text("docs/reference/statuses.md")


def check(folder: Path) -> "subprocess.CompletedProcess[str]":
    """What `make docs` does first, with these pages."""
    [script] = re.findall(r"^\t@\$\(BIN\)/python (\S+) --check$", text("Makefile"), re.MULTILINE)
    words = [sys.executable, str(ROOT / script), "--check", str(folder)]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The pages, in a folder where they may be changed."""
    return Path(shutil.copytree(ROOT / "docs", tmp_path / "docs"))


def test_the_pages_are_as_the_code_says() -> None:
    checked = check(ROOT / "docs")

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize(
    ("page", "written", "instead"),
    [
        ("reference/settings.md", "| `5000` |", "| `4000` |"),
        ("reference/settings.md", "Celery's broker.", "Celery's own broker."),
        ("reference/settings.md", "<!-- route keys: end -->", ""),
        ("reference/statuses.md", "| `sending` | *collide* | `in_doubt` |\n", ""),
        ("reference/statuses.svg", "sent → delivered: report", "sent → delivered: read"),
        ("explanation/way.svg", "Redis streams", "Redis lists"),
    ],
)
def test_a_page_that_differs_from_the_code_is_refused_by_its_name(
    copied: Path, page: str, written: str, instead: str
) -> None:
    changed = (copied / page).read_text("utf-8").replace(written, instead)
    assert changed != (copied / page).read_text("utf-8")
    (copied / page).write_text(changed, "utf-8")

    checked = check(copied)

    assert checked.returncode == 1
    assert Path(page).name in checked.stderr


def test_a_drawing_that_is_missing_is_refused_by_its_name(copied: Path) -> None:
    (copied / "reference/statuses.svg").unlink()

    assert "reference/statuses.svg" in check(copied).stderr


def test_the_drawing_has_every_transition_and_no_other() -> None:
    drawn = re.findall(r"<title>(.+ → .+)</title>", text("docs/reference/statuses.svg"))

    assert sorted(drawn) == sorted(
        f"{source or 'start'} → {target}: {event_type}"
        for event_type in EventType
        for source, target in transitions_of(event_type)
    )


def test_every_status_and_every_event_is_explained() -> None:
    explained = STATUSES.split("<!-- transitions: end -->")[1]
    names = [row[0].strip("`*") for row in rows(explained)]

    assert names == [*(status.value for status in Status), *(event_type.value for event_type in EventType)]
