"""deploy/Dockerfile builds a small image, from the lock alone; and what runs in it finds all it loads."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import packages_distributions, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.guards.repository import ROOT, pyproject, text

LINES = [line for line in text("deploy/Dockerfile").replace("\\\n", " ").splitlines() if line[:1].isupper()]
DEFAULTS = dict(line.removeprefix("ARG ").split("=", 1) for line in LINES if line.startswith("ARG "))
STAGES = [at for at, line in enumerate(LINES) if line.startswith("FROM ")]
LAST = LINES[STAGES[-1] :]
RUNS = [line for line in LINES if line.startswith("RUN ")]


# -- the Dockerfile


def test_it_has_a_stage_that_builds_and_one_that_runs() -> None:
    assert len(STAGES) == 2
    assert LINES[STAGES[0]].endswith(" AS build")


@pytest.mark.parametrize("at", STAGES)
def test_its_bases_are_slim_and_named_by_version(at: int) -> None:
    image = re.sub(r"\$\{(\w+)\}", lambda use: DEFAULTS[use[1]], LINES[at].split()[1])
    assert re.fullmatch(r"python:3\.\d+-slim", image)
    least = pyproject()["project"]["requires-python"].removeprefix(">=")
    assert tuple(map(int, image[7:-5].split("."))) >= tuple(map(int, least.split(".")))


def test_what_is_fetched_is_fetched_once_and_checked_by_hash() -> None:
    fetching = [line for line in RUNS if re.search(r"pip.* (download|install|wheel)", line)]
    checked = [line for line in fetching if "--require-hashes" in line and "-r image.lock" in line]
    offline = [line for line in fetching if "--no-index" in line]
    assert len(checked) == 1
    assert fetching == checked + offline
    assert "--only-binary :all:" in checked[0]
    assert not [line for line in LINES if line.startswith("ADD ") or re.search(r"\b(curl|wget|git)\b", line)]


def test_its_lock_is_ours_without_the_embedded_servers() -> None:
    (program,) = re.findall(r"RUN awk '([^']+)' requirements\.lock > image\.lock", "\n".join(RUNS))
    done = subprocess.run(
        ["awk", program, "requirements.lock"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept, lock = set(done.stdout.splitlines()), text("requirements.lock").splitlines()
    embedded = map(Requirement, pyproject()["project"]["optional-dependencies"]["embedded"])
    left_out = {line.partition("==")[0] for line in lock if "==" in line and line not in kept}
    assert left_out == {requirement.name for requirement in embedded}
    assert done.stdout.count("--hash") > done.stdout.count("==") > 0


def test_what_runs_has_only_what_was_installed() -> None:
    assert [line for line in LAST if line.startswith("COPY ")] == [
        "COPY --from=build /opt/worker /opt/worker"
    ]


def test_it_does_not_run_as_root() -> None:
    (user,) = (line for line in LAST if line.startswith("USER "))
    assert re.fullmatch(r"USER [1-9]\d{3,}:[1-9]\d{3,}", user)  # by number: Kubernetes asks for it


def test_only_what_it_copies_reaches_the_builder() -> None:
    """.dockerignore leaves everything out, but for what the Dockerfile names."""
    first, *others = [line for line in text(".dockerignore").splitlines() if line[:1] not in ("", "#")]
    allowed = {line.removeprefix("!") for line in others if line.startswith("!")}
    copied = {
        name
        for line in LINES
        if line.startswith("COPY ") and "--from" not in line
        for name in line.split()[1:-1]
    }
    assert first == "*"
    assert allowed == copied


# -- what it holds

RUN_EVERYTHING = """
import importlib.abc, json, sys

class NotInTheImage(importlib.abc.MetaPathFinder):
    absent = set(json.loads(sys.argv[1]))

    def find_spec(self, name, path=None, target=None):
        if name in self.absent:
            raise ModuleNotFoundError(f"{name} is not in the image", name=name)

sys.meta_path.insert(0, NotInTheImage())

import celery.apps.beat, celery.apps.worker, celery.bin.celery, celery.concurrency.thread, flower.command
import bulk_dispatch.tasks
from bulk_dispatch.messaging.celery_app import celery_app
from bulk_dispatch.cli import application
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.migrate import head

application()
head()
celery_app("redis://localhost/1").connection_for_write().transport
Ledger.connect("postgresql+psycopg://localhost/any")
"""


def needed(wanted: Iterable[Requirement]) -> set[str]:
    """The distributions that pip installs for these requirements, by the metadata of those installed here."""
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(one, extra) for one in wanted for extra in ("", *one.extras)]
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        found.add(name)
        for below in map(Requirement, requires(name) or ()):
            if below.marker is None or below.marker.evaluate({"extra": extra}):
                waiting += [(below, one) for one in ("", *below.extras)]
    return found


@pytest.mark.slow
def test_what_we_depend_on_is_all_that_running_loads() -> None:
    """A module that is here because of a development tool only would be missing in production."""
    held = needed(map(Requirement, pyproject()["project"]["dependencies"])) | {"bulk-dispatch-worker"}
    absent = [
        module
        for module, distributions in packages_distributions().items()
        if module != "bulk_dispatch" and not held & {canonicalize_name(name) for name in distributions}
    ]
    assert "pytest" in absent
    done = subprocess.run(
        [sys.executable, "-c", RUN_EVERYTHING, json.dumps(absent)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "worker")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
