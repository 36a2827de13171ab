"""Reading a Markdown page: its tables, its code blocks, and the commands it tells people to run."""

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

_BLOCK = re.compile(r"^```(?P<kind>\w*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
SHELLS = ("console", "sh", "bash", "shell")
_BETWEEN = ("|", "||", "&&", ";", "&")
_REDIRECTIONS = (">", ">>", "<")


class Block(NamedTuple):
    """A code block: the word behind its fence, and what is in it."""

    kind: str
    body: str


def blocks(page: str) -> list[Block]:
    """Every code block of the page, in order."""
    return [Block(found["kind"], found["body"]) for found in _BLOCK.finditer(page)]


def first_cells(page: str) -> set[str]:
    """The `names` in the first cells of the page's tables."""
    rows = re.findall(r"^\|([^|]*)\|", page, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


def rows(page: str) -> list[list[str]]:
    """The rows of the page's tables, heads left out: the text of each cell."""
    lines = [line.strip() for line in page.splitlines()]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line, before in zip(lines, ["", *lines], strict=False)
        if line.startswith("|") and before.startswith("|") and not re.fullmatch(r"[|:\- ]+", line)
    ]


def links(page: str) -> list[str]:
    """Where the page's links and images lead, code left out."""
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`\n]*`", "`", _BLOCK.sub("", page)))


def anchors(page: str) -> set[str]:
    """What a link may name behind its #: the page's headings, as code hosts and MyST write them."""
    headings = re.findall(r"^#+ (.*)$", _BLOCK.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(page: str) -> list[list[str]]:
    """Every command in the page's shell blocks, in words."""
    return [
        command
        for block in blocks(page)
        if block.kind in SHELLS
        for line in typed(block.body)
        for command in _split(line)
    ]


def inline_commands(page: str, program: str) -> list[list[str]]:
    """Every `program …` in the page's running text and tables, in words."""
    spans = re.findall(rf"`({program}\s[^`]+)`", _BLOCK.sub("", page))
    return [shlex.split(span) for span in spans]


def typed(block: str) -> list[str]:
    """What is typed: all lines; or those with a prompt, if there is one, for the others are output."""
    lines = block.replace("\\\n", " ").splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return prompted or lines


def _split(line: str) -> Iterator[list[str]]:
    """The commands of a line, without what is assigned before them and where their output goes."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if word not in _BETWEEN:
            command.append(word)
        elif plain := _plain(command):
            yield plain
            command = []
        else:
            command = []


def _plain(command: list[str]) -> list[str]:
    for at, word in enumerate(command):
        if word in _REDIRECTIONS:
            command = command[:at] + command[at + 2 :]
            break
    while command and re.match(r"[A-Za-z_]\w*=", command[0]):
        command = command[1:]
    return command
