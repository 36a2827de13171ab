"""Reading the repository: its files, and what docker-compose.yml runs."""

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]

_VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?P<rest>[^}]*)\}")


def text(path: str) -> str:
    """A file of the repository."""
    return (ROOT / path).read_text("utf-8")


def pages() -> dict[str, str]:
    """Every page that people read, by its path: README.md first, then those of docs/."""
    paths = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in paths}


def pyproject() -> dict[str, Any]:
    """The project's settings."""
    return tomllib.loads(text("pyproject.toml"))


def compose() -> dict[str, Any]:
    """docker-compose.yml, its anchors resolved."""
    found: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
    return found


def services() -> dict[str, dict[str, Any]]:
    """The services of docker-compose.yml by name."""
    found: dict[str, dict[str, Any]] = compose()["services"]
    return found


def variables(page: str) -> dict[str, set[str]]:
    """The variables that Compose fills in: name to how its uses go on (":-default", ":?complaint")."""
    found: dict[str, set[str]] = {}
    for use in _VARIABLE.finditer(page):
        found.setdefault(use["name"], set()).add(use["rest"])
    return found


def filled(value: str, given: Mapping[str, str]) -> str:
    """What Compose makes of a value."""
    whole = _VARIABLE.sub(lambda use: given.get(use["name"], use["rest"].removeprefix(":-")), value)
    return whole.replace("$$", "$")


def option(command: Sequence[str], *names: str) -> str:
    """The value of an option of a command; empty if it is not there."""
    for name, value in pairwise(command):
        if name in names:
            return value
    return ""


def celery_workers(commands: Iterable[Sequence[str]]) -> list[Sequence[str]]:
    """Those commands that start a Celery worker."""
    return [command for command in commands if "bulk_dispatch.tasks" in command and "worker" in command]


def consumed(commands: Iterable[Sequence[str]]) -> set[str]:
    """The queues that these commands consume."""
    lists = (option(command, "-Q", "--queues") for command in celery_workers(commands))
    return {queue for queues in lists for queue in queues.split(",")}
