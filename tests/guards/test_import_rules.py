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

PACKAGE = "bulk_dispatch"

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
    importer = f"{PACKAGE}/{path}".removesuffix(".py").replace("/", ".")
    return Breach(contract, path, f"import {imported}", shown or f"{importer} -> {imported}")


BREACHES = (
    # a place for everything, and the direction
    Breach("layers", "newcomer.py", "", "newcomer"),
    Breach("layers", "helpers/__init__.py", "", "helpers"),
    importing("layers", "ledger/queries.py", "bulk_dispatch.runtime"),
    importing("layers", "stages/rescue.py", "bulk_dispatch.monitoring.heartbeat"),
    importing("layers", "intake/ingesting.py", "bulk_dispatch.ledger"),
    importing("layers", "http_client.py", "bulk_dispatch.config.settings"),
    importing("layers", "domain/message.py", "bulk_dispatch.providers.interface"),
    importing("layers", "cli/routes.py", "bulk_dispatch.tasks"),
    importing("layers", "sandbox/alphasms/codes.py", "bulk_dispatch.domain.status"),
    importing("layers", "local/servers/paths.py", "bulk_dispatch.domain.status"),
    importing("layers", "http_server.py", "bulk_dispatch.domain.status"),
    importing(
        "layers",
        "ledger/schema.py",
        "bulk_dispatch",
        "bulk_dispatch.ledger.schema -> bulk_dispatch",
    ),
    importing("stages", "stages/poll.py", "bulk_dispatch.stages.rescue"),
    importing("stages", "stages/outcomes.py", "bulk_dispatch.stages.dispatch"),
    Breach("stages", "stages/archive.py", "", "archive"),
    importing("config", "config/settings.py", "bulk_dispatch.config.routes_file"),
    Breach("config", "config/profiles.py", "", "profiles"),
    importing("intake", "intake/producing.py", "bulk_dispatch.intake.ingesting"),
    importing("intake", "intake/keys.py", "bulk_dispatch.intake.entries"),
    Breach("intake", "intake/rates.py", "", "rates"),
    importing("monitoring", "monitoring/heartbeat.py", "bulk_dispatch.monitoring.liveness"),
    importing("monitoring", "monitoring/reporter.py", "bulk_dispatch.monitoring.liveness"),
    importing("monitoring", "monitoring/liveness.py", "bulk_dispatch.monitoring.readiness"),
    Breach("monitoring", "monitoring/metrics.py", "", "metrics"),
    # fences
    importing("health", "monitoring/heartbeat.py", "bulk_dispatch.messaging.celery_app"),
    importing("health", "monitoring/readiness.py", "bulk_dispatch.ledger"),
    importing("health", "monitoring/liveness.py", "bulk_dispatch.stages.time_limits"),
    importing("strangers", "ledger/transitions/settle.py", "bulk_dispatch.providers.interface"),
    importing("strangers", "intake/entries.py", "bulk_dispatch.providers"),
    importing("readings", "sandbox/alphasms/reading.py", "bulk_dispatch.providers.formats.xml"),
    importing("readings", "providers/interface.py", "bulk_dispatch.sandbox.alphasms.codes"),
    importing("pure", "domain/segments.py", "os"),
    importing("pure", "domain/backoff.py", "random"),
    importing("pure", "providers/formats/xml.py", "socket"),
    importing("pure", "providers/alphasms/xml.py", "httpx"),
    importing("bystanders", "stages/ingest.py", "bulk_dispatch.local.servers.shared"),
    importing("bystanders", "tasks.py", "bulk_dispatch.sandbox.options"),
    importing("bystanders", "tasks.py", "bulk_dispatch.webhooks.server"),
    importing("layers", "webhooks/app.py", "bulk_dispatch.client"),
    importing("face", "tasks.py", "bulk_dispatch.client"),
    # a place for each library
    importing("httpx", "stages/dispatch.py", "httpx"),
    importing("httpx", "runtime.py", "httpcore"),
    importing("codings", "http_client.py", "zlib"),
    importing("codings", "providers/formats/xml.py", "brotli"),
    importing("lxml", "providers/alphasms/xml.py", "lxml"),
    importing("sqlalchemy", "cli/books.py", "sqlalchemy"),
    importing("sqlalchemy", "cli/db.py", "alembic"),
    importing("psycopg", "ledger/__init__.py", "psycopg", "bulk_dispatch.ledger -> psycopg"),
    importing("redis", "messaging/wakeup.py", "redis"),
    importing("redis", "intake/producing.py", "redis"),
    importing("orjson", "client.py", "orjson"),
    importing("orjson", "intake/connection.py", "orjson"),
    importing("phonenumbers", "domain/message.py", "phonenumbers"),
    importing("tzdata", "domain/instants.py", "tzdata"),
    importing("charset_normalizer", "campaign/rows.py", "charset_normalizer"),
    importing("layers", "campaign/check.py", "bulk_dispatch.client"),
    importing("celery", "local/processes/process_set.py", "celery"),
    importing("celery", "runtime.py", "kombu"),
    importing("terminal", "client.py", "rich"),
    importing("terminal", "sandbox/options.py", "typer"),
    importing("asgi", "cli/demo.py", "uvicorn"),
    importing("asgi", "tasks.py", "starlette"),
    importing("asgi", "local/servers/paths.py", "bulk_dispatch.http_server"),
)


def lint(folder: Path, cache: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """import-linter over a checkout."""
    program = "from importlinter.cli import lint_imports_command as main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "--no-logo", "--cache-dir", str(cache), *options],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "worker"), "COLUMNS": "200"},
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
    path = checkout / "worker" / PACKAGE / breach.path
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
@pytest.mark.slow
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


def test_every_library_has_its_place() -> None:
    """A library that is new here must be given one, by a contract of its own or a place in one."""
    places = {
        library
        for contract in CONTRACTS.values()
        if contract["id"] != "pure"
        for library in contract.get("protected_modules", []) + contract.get("forbidden_modules", [])
    }
    sources = [path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py")]
    used = {name for source in sources for name in _imported(source)}
    assert used - set(sys.stdlib_module_names) - {"bulk_dispatch"} <= places


def _imported(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.split(".")[0]


def test_one_place_computes_instants() -> None:
    """In Python, by the zone data that we ship: those of PostgreSQL and of the host are others."""
    pages = {path: path.read_text("utf-8") for path in (ROOT / "worker").rglob("*.py")}
    of_our_own = {ROOT / "worker" / PACKAGE / "timezones.py"}
    sandbox = {path for path in pages if "sandbox" in path.parts}  # the providers' clocks are theirs
    for path, page in pages.items():
        assert "AT TIME ZONE" not in page.upper().replace("`AT TIME ZONE`", ""), path
        if path not in of_our_own | sandbox:
            assert not re.search(r"\bZoneInfo\(", page), path


def test_applications_import_us_quickly() -> None:
    """`import bulk_dispatch` loads none of the heavy libraries; each is loaded when first needed."""
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
    program = "import sys, bulk_dispatch; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "worker")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert not heavy & set(done.stdout.split())
