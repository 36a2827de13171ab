"""The import rules hold, each of them bites, and none can be walked around by something new."""

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.guards.repository import ROOT, pyproject

CONTRACTS = {contract["id"]: contract for contract in pyproject()["tool"]["importlinter"]["contracts"]}


@dataclass(frozen=True)
class Breach:
    """One line in one file, the contract that must forbid it, and what its complaint must show."""

    contract: str
    path: str
    line: str
    shown: str


def importing(contract: str, path: str, imported: str, shown: str = "") -> Breach:
    """An import that must be refused."""
    importer = path.removesuffix(".py").replace("/", ".")
    return Breach(contract, path, f"import {imported}", shown or f"{importer} -> {imported}")


BREACHES = (
    # a place for everything, and the direction
    Breach("rooms", "worker/newcomer.py", "", "newcomer"),
    Breach("rooms", "worker/helpers/__init__.py", "", "helpers"),
    importing("rooms", "worker/ledger/queries.py", "worker.runtime"),
    importing("rooms", "worker/intake.py", "worker.ledger"),
    importing("rooms", "worker/transport.py", "worker.settings"),
    importing("rooms", "worker/sms/message.py", "worker.providers.contract"),
    importing("rooms", "worker/cli/routes.py", "worker.tasks"),
    importing("rooms", "worker/sandbox/alphasms/codes.py", "worker.sms.status"),
    importing("rooms", "worker/local/place.py", "worker.sms.status"),
    importing("rooms", "worker/serving.py", "worker.sms.status"),
    importing("rooms", "worker/ledger/schema.py", "worker", "worker.ledger.schema -> worker"),
    importing("stages", "worker/stages/poll.py", "worker.stages.rescue"),
    importing("stages", "worker/stages/verdicts.py", "worker.stages.dispatch"),
    Breach("stages", "worker/stages/archive.py", "", "archive"),
    # fences
    importing("strangers", "worker/ledger/transitions/settling.py", "worker.providers.contract"),
    importing("strangers", "worker/intake.py", "worker.providers"),
    importing("readings", "worker/sandbox/alphasms/reading.py", "worker.providers.xml"),
    importing("readings", "worker/providers/contract.py", "worker.sandbox.alphasms.codes"),
    importing("pure", "worker/sms/segments.py", "os"),
    importing("pure", "worker/sms/backoff.py", "random"),
    importing("pure", "worker/providers/xml.py", "socket"),
    importing("pure", "worker/providers/alphasms_xml.py", "httpx"),
    importing("bystanders", "worker/stages/ingest.py", "worker.local.servers"),
    importing("bystanders", "worker/tasks.py", "worker.sandbox.options"),
    importing("bystanders", "worker/tasks.py", "worker.web.server"),
    importing("rooms", "worker/web/door.py", "worker.dispatcher"),
    importing("face", "worker/tasks.py", "worker.dispatcher"),
    # a room for each library
    importing("httpx", "worker/stages/dispatch.py", "httpx"),
    importing("codings", "worker/transport.py", "zlib"),
    importing("codings", "worker/providers/xml.py", "brotli"),
    importing("lxml", "worker/providers/alphasms_xml.py", "lxml"),
    importing("sqlalchemy", "worker/cli/reports.py", "sqlalchemy"),
    importing("sqlalchemy", "worker/cli/migrations.py", "alembic"),
    importing("psycopg", "worker/ledger/__init__.py", "psycopg", "worker.ledger -> psycopg"),
    importing("redis", "worker/bell.py", "redis"),
    importing("phonenumbers", "worker/sms/message.py", "phonenumbers"),
    importing("tzdata", "worker/sms/instants.py", "tzdata"),
    importing("charset_normalizer", "worker/campaign/rows.py", "charset_normalizer"),
    importing("rooms", "worker/campaign/check.py", "worker.dispatcher"),
    importing("celery", "worker/cli/fleet.py", "celery"),
    importing("celery", "worker/runtime.py", "kombu"),
    importing("terminal", "worker/dispatcher.py", "rich"),
    importing("terminal", "worker/sandbox/options.py", "typer"),
    importing("asgi", "worker/cli/demo.py", "uvicorn"),
    importing("asgi", "worker/tasks.py", "starlette"),
    importing("asgi", "worker/local/place.py", "worker.serving"),
)


def lint(folder: Path, cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """import-linter over a checkout."""
    program = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--cache-dir", str(cache), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, to spoil."""
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "pyproject.toml", folder)
    shutil.copytree(ROOT / "worker", folder / "worker", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@contextmanager
def planted(breach: Breach, checkout: Path) -> Iterator[None]:
    """The copy with a breach in it, and as it was afterwards."""
    path = checkout / breach.path
    before = path.read_text("utf-8") if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{before or ''}\n{breach.line}\n", "utf-8")
    try:
        yield
    finally:
        if before is not None:
            path.write_text(before, "utf-8")
        elif path.name == "__init__.py":
            shutil.rmtree(path.parent)
        else:
            path.unlink()


def test_the_rules_hold(tmp_path: Path) -> None:
    linted = lint(ROOT, tmp_path)
    assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("contract", CONTRACTS)
def test_breaches_are_refused(contract: str, checkout: Path) -> None:
    """Each breach is in a file of its own, so one run tells of all."""
    breaches = [breach for breach in BREACHES if breach.contract == contract]
    with ExitStack() as stack:
        for breach in breaches:
            stack.enter_context(planted(breach, checkout))
        linted = lint(checkout, checkout / "cache", "--contract", contract)
    assert breaches, "show that it bites"
    assert linted.returncode == 1
    assert f"{CONTRACTS[contract]['name']} BROKEN" in linted.stdout
    assert not [breach for breach in breaches if breach.shown not in linted.stdout], linted.stdout


def test_every_library_has_a_room() -> None:
    """A library that is new here must be given one, by a contract of its own or a place in one."""
    rooms = {
        library
        for contract in CONTRACTS.values()
        if contract["id"] != "pure"
        for library in contract.get("protected_modules", []) + contract.get("forbidden_modules", [])
    }
    sources = [path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py")]
    used = {name for source in sources for name in _imported(source)}
    assert used - set(sys.stdlib_module_names) - {"worker"} <= rooms


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_one_place_computes_instants() -> None:
    """In Python, by the zone data that we ship: those of PostgreSQL and of the host are others."""
    pages = {path: path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py")}
    of_our_own = {ROOT / "worker/zones.py"}
    sandbox = {path for path in pages if "sandbox" in path.parts}  # the providers' clocks are theirs
    for path, page in pages.items():
        assert "AT TIME ZONE" not in page.upper().replace("`AT TIME ZONE`", ""), path
        if path not in of_our_own | sandbox:
            assert not re.search(r"\bZoneInfo\(", page), path


def test_applications_import_us_quickly() -> None:
    """`import worker` loads none of the heavy libraries; each is loaded when first needed."""
    heavy = {
        "alembic",
        "celery",
        "httpx",
        "kombu",
        "lxml",
        "phonenumbers",
        "redis",
        "rich",
        "sqlalchemy",
        "starlette",
        "typer",
    }
    program = "import sys, worker; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not heavy & set(done.stdout.split())
