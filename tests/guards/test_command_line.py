"""Every command, option and argument says what it is for, and the pages name commands as they are."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import pytest
import typer

from bulk_dispatch.cli import COMMANDS, application
from tests.guards.page import commands, inline_commands
from tests.guards.repository import ROOT, pages, services, text

PAGES = pages()
TYPED = [words for page in PAGES.values() for words in commands(page)]
NAMED = [words for page in PAGES.values() for words in inline_commands(page, "worker")]
WORKER: Any = typer.main.get_command(application())
"""The command tree. Any: whose Click Typer builds on is its own affair."""


def tree(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """A command and all that lies below it, by its whole name."""
    yield " ".join(("worker", *path)), command
    for name, below in getattr(command, "commands", {}).items():
        yield from tree(below, *path, name)


def called(words: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The command that words call, and what is left for it."""
    command = WORKER
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


# -- files

SHARED = {"__init__", "arguments", "context", "known_names", "output"}
"""Modules of the command line that serve several commands."""


def test_each_command_has_a_file_of_its_name() -> None:
    files = {name: name.replace("-", "_") for name in COMMANDS}

    assert {name: place.partition(":")[0] for name, place in COMMANDS.items()} == files


def test_every_other_file_serves_one_command_and_begins_with_its_name() -> None:
    commands = tuple(name.replace("-", "_") for name in COMMANDS)
    files = {path.stem for path in (ROOT / "worker/bulk_dispatch/cli").glob("*.py")}

    assert {name for name in files - SHARED if not name.startswith(commands)} == set()
    assert files >= SHARED


# -- help


@pytest.mark.parametrize(("name", "command"), [pytest.param(*found, id=found[0]) for found in tree(WORKER)])
def test_everything_has_help(name: str, command: Any) -> None:
    assert command.help, name
    for parameter in command.params:
        assert parameter.help, f"{name}: {parameter.name}"


@pytest.mark.parametrize(("name", "command"), [pytest.param(*found, id=found[0]) for found in tree(WORKER)])
def test_given_80_columns_when_help_is_asked_for_then_each_line_is_whole(name: str, command: Any) -> None:
    options = {"resilient_parsing": True, "terminal_width": 80, "max_content_width": 80}
    _, *lines = command.get_help(command.make_context(name, [], **options)).splitlines()

    assert [line for line in lines if len(line) > 80 or line.endswith("...")] == []
    shown = " ".join(" ".join(lines).split())
    for below in getattr(command, "commands", {}).values():
        first = " ".join(below.help.split("\n\n")[0].split()).partition(". ")[0]
        assert first.rstrip(".") in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_has_every_command(name: str) -> None:
    assert f"`worker {name}" in text("docs/reference/command-line.md")


# -- the pages


def test_the_readme_and_the_pages_tell_what_to_type() -> None:
    assert commands(PAGES["README.md"])
    assert commands(PAGES["docs/how-to/settle-doubt.md"])


@pytest.mark.parametrize("words", [c for c in TYPED if c[0] == "worker"], ids=" ".join)
def test_a_command_of_a_page_parses(words: list[str]) -> None:
    command, left = called(words[1:])
    if not {"--help", "--version"} & set(left):
        assert not hasattr(command, "commands"), "no such command"
        command.make_context(" ".join(words), list(left))


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
def test_a_command_named_in_a_page_exists(words: list[str]) -> None:
    command, left = called(words[1:])
    assert command is not WORKER
    assert not hasattr(command, "commands")
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word.partition("=")[0] for word in left if word.startswith("--")} <= known


@pytest.mark.parametrize("words", [c for c in TYPED if c[0] == "cp"], ids=" ".join)
def test_what_a_page_copies_is_there(words: list[str]) -> None:
    assert (ROOT / words[-2]).is_file()


@pytest.mark.parametrize("words", [c for c in TYPED if c[:2] == ["docker", "compose"]], ids=" ".join)
def test_docker_compose_is_asked_for_what_there_is(words: list[str]) -> None:
    profiles = {profile for service in services().values() for profile in service.get("profiles", [])}
    for name, value in pairwise(words):
        if name == "--profile":
            assert value in profiles
        if name == "--scale":
            assert value.partition("=")[0] in services()
        if name == "exec":
            assert [word for word in words[words.index("exec") + 1 :] if word in services()]
