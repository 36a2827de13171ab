"""docs/how-to/add-a-provider.md does what it says: a provider is one folder, one line, and one test table."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bulk_dispatch.providers.interface import Feature
from tests.guards.repository import ROOT, text

pytestmark = pytest.mark.slow

PAGE = text("docs/how-to/add-a-provider.md")
REGISTRY = "worker/bulk_dispatch/providers/__init__.py"
FILES = dict(re.findall(r"^```py\n# (\S+\.py)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
"""The files of the page, each with its path in the first line."""
OVER_ALL = ("tests/providers", "tests/test_routing.py")
"""What runs over every provider, and needs no server."""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources with the provider of the page in it."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for part in ("worker", "tests", "docs"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for path, source in FILES.items():
        if path != REGISTRY:
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(source, "utf-8")
    (folder / REGISTRY).write_text(registered((ROOT / REGISTRY).read_text("utf-8")), "utf-8")
    return folder


def registered(source: str) -> str:
    """The registry with the two lines of the page: an import among the others, an entry after the others."""
    imported, entry = FILES[REGISTRY].splitlines()
    source = source.replace("\nfrom bulk_dispatch", f"\n{imported}\nfrom bulk_dispatch", 1)
    return source.replace("\n}\n", f"\n{entry}\n}}\n", 1)


def run(checkout: Path, *command: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(checkout / "worker"), str(checkout)])
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )


def suite(checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(checkout, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *options)


def test_the_page_has_a_folder_a_line_and_a_test_table() -> None:
    assert {str(Path(path).parent) for path in FILES} == {
        "worker/bulk_dispatch/providers/courier",
        "worker/bulk_dispatch/providers",
        "tests/providers",
    }
    assert len(FILES[REGISTRY].splitlines()) == 2


def test_all_that_runs_over_every_provider_runs_over_the_new_one(checkout: Path) -> None:
    done = suite(checkout, *OVER_ALL, "-k", "courier")

    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 80  # type: ignore[index]


def test_a_dialect_that_takes_what_it_cannot_read_for_a_refusal_is_found_out(checkout: Path) -> None:
    dialect = checkout / "worker/bulk_dispatch/providers/courier/http.py"
    source = dialect.read_text("utf-8")
    careless = source.replace("Status.IN_DOUBT", "Status.REJECTED")
    assert careless != source
    dialect.write_text(careless, "utf-8")

    done = suite(checkout, "tests/providers/test_every_provider.py", "-k", "courier and nonsense")

    dialect.write_text(source, "utf-8")
    assert done.returncode == 1, done.stdout
    assert "FAILED" in done.stdout


def test_the_code_of_the_page_is_of_our_make(checkout: Path) -> None:
    ours = [path for path in FILES if path != REGISTRY]

    assert run(checkout, "ruff", "check", *ours).stdout == "All checks passed!\n"
    assert run(checkout, "ruff", "format", "--diff", *ours).stdout == ""


def test_the_page_names_every_feature() -> None:
    assert [one.__name__ for one in Feature.__subclasses__() if f"`{one.__name__}`" not in PAGE] == []
