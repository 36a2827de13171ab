"""A shell for the tests of commands: runs `worker …` as somebody at a terminal does."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bulk_dispatch.config.settings import Settings, inherited_environment
from bulk_dispatch.ledger import Ledger
from tests.conftest import Setup
from tests.forks import forks
from tests.ledger.book import Book

ROUTE: dict[str, object] = {"url": "http://127.0.0.1:9"}


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout."""
        lines = self.out.splitlines()
        assert len(lines) == 1, self.out
        found: dict[str, Any] = json.loads(lines[0])
        return found


@dataclass(frozen=True)
class Shell:
    """Runs `worker …` with an environment."""

    env: Mapping[str, str]
    folder: Path

    @classmethod
    def at(cls, settings: Settings, folder: Path) -> "Shell":
        """A shell whose commands have these settings."""
        root = str(Path(__file__).parents[2] / "worker")
        return cls({**inherited_environment(), **settings.environment(), "PYTHONPATH": root}, folder)

    def worker(self, *words: str, stdin: str = "", **env: str) -> Ran:
        """Run a command; whatever it meets, nobody sees a traceback."""
        done = forks().run(*words, env={**self.env, **env}, cwd=self.folder, stdin=stdin)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str) -> "subprocess.Popen[str]":
        """A command under way."""
        return subprocess.Popen(
            [sys.executable, "-m", "bulk_dispatch", *words],
            env=dict(self.env),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def book(ledger: Ledger) -> Book:
    """The book behind the commands, empty."""
    return Book(ledger)


@pytest.fixture
def shell(setup: Setup) -> Shell:
    """A shell on this test's own servers, with one route."""
    return Shell.at(setup.routes(alpha=ROUTE), setup.folder)
