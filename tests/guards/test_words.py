"""One word for one thing: class names are unique in the package, and words that were replaced stay away."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guards.repository import ROOT, pages

PACKAGE = ROOT / "worker" / "bulk_dispatch"
SANDBOX = PACKAGE / "sandbox"  # independent of the package, so it may have the same words for its own things

BANNED = {
    "bell": "wakeup",
    "bells": "wakeups",
    "blind": "unresolvable",
    "crew": "reporter",
    "deaf": "stalled",
    "deafness": "stalled",
    "doorbell": "wakeup",
    "doorbells": "wakeups",
    "hearing": "liveness",
    "mute": "not scheduling",
    "rang": "notified",
    "ring": "wakeup, notify",
    "ringing": "notifying",
    "rings": "wakeups, notifies",
    "road": "transition",
    "roads": "transitions",
    "rung": "notified",
    "stoplist": "suppressions",
    "unrung": "idle",
    "verb": "event type",
    "verbs": "event types",
    "verdict": "result, status report",
    "verdicts": "results, status reports",
}
"""Words that no identifier has, and the one that is said instead (docs: glossary)."""

IN_PROSE = {
    **BANNED,
    "all hands": "saturated",
    "stop list": "suppression list",
    "stop lists": "suppression lists",
}
"""Words that no page has, and the one that is said instead."""

PAGES = {
    **pages(),
    **{
        str(path.relative_to(ROOT)): path.read_text("utf-8")
        for path in [
            *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
            *(ROOT / "examples").rglob("*.md"),
        ]
    },
}

FILES = [
    str(path.relative_to(ROOT))
    for top in ("worker", "migrations", "examples", "deploy", "findings")
    for path in sorted((ROOT / top).rglob("*"))
    if path.suffix in {".py", ".toml", ".example", ".html"} or path.name == "Dockerfile"
]
"""Sources and examples of settings, read as text: comments, docstrings and messages too."""

OF_PROVIDERS = {
    "docs/protocols/alphasms.md", "docs/protocols/webcom.md", "docs/protocols/smartswitch.md",
    "docs/protocols/README.md", "docs/reference/answers.md",
}  # fmt: skip
"""Pages that cite providers, which have stop lists: elsewhere it is "a provider's own stop list"."""

CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
OLD_COLUMNS = {"blind", "road", "verb"}
"""What columns and CHECKs were called: migrations name them."""

PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def sources(folder: Path) -> Iterator[tuple[str, ast.Module]]:
    """The Python files of a folder but the sandbox's, by their path, parsed."""
    for path in sorted(folder.rglob("*.py")):
        if SANDBOX not in path.parents:
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text("utf-8"))


def identifiers(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What a module gives a name to, with the line: functions, classes, parameters, variables, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
            case ast.Name(ctx=ast.Store()):
                yield node.lineno, node.id
            case ast.Attribute(ctx=ast.Store()):
                yield node.lineno, node.attr
            case ast.alias(asname=str(name)):
                yield node.lineno, name


def banned(name: str) -> set[str]:
    """The banned words that an identifier is made of."""
    return {part.lower() for part in PART.findall(name)} & BANNED.keys()


def shared() -> dict[str, list[str]]:
    """The class names that several modules of the package have, with those modules."""
    found = defaultdict(list)
    for path, tree in sources(PACKAGE):
        for name in {node.name for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}:
            found[name].append(path)
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def test_a_class_has_its_name_to_itself() -> None:
    assert shared() == {}


@pytest.mark.parametrize("top", ["worker", "tests", "migrations", "examples"])
def test_no_identifier_has_a_word_that_was_replaced(top: str) -> None:
    found = [
        f"{path}:{line} {name}: {', '.join(BANNED[word] for word in banned(name))}"
        for path, tree in sources(ROOT / top)
        for line, name in [(0, Path(path).stem), *identifiers(tree)]
        if banned(name)
    ]

    assert found == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def ring_later(): ...", {"ring"}),
        ("class DoorBell: ...", {"bell"}),
        ("def f(*, crew): ...", {"crew"}),
        ("self.is_deaf = True", {"deaf"}),
        ("import x as bell", {"bell"}),
        ("CREW, string, during, bring_back, spring = ''", {"crew"}),
    ],
)
def test_a_banned_word_is_found_in_every_kind_of_name(source: str, words: set[str]) -> None:
    found = [word for _, name in identifiers(ast.parse(source)) for word in banned(name)]

    assert set(found) == words


# -- the pages


def banned_in(path: str, page: str) -> set[str]:
    """The banned words of a page. A name in backticks may have one: that of a class, or one of before."""
    prose = CODE.sub("", page).lower()
    if path in OF_PROVIDERS:
        prose = prose.replace("stop list", "")
    prose = prose.replace("provider's own stop list", "")
    return {word for word in IN_PROSE if re.search(rf"\b{word}\b", prose)}


@pytest.mark.parametrize("path", FILES)
def test_no_comment_or_sentence_has_a_word_that_was_replaced(path: str) -> None:
    words = set(re.findall(r"[a-z]+", (ROOT / path).read_text("utf-8").lower()))

    assert words & BANNED.keys() - (OLD_COLUMNS if path.startswith("migrations/") else set()) == set()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_has_a_word_that_was_replaced(path: str) -> None:
    assert {word: IN_PROSE[word] for word in banned_in(path, PAGES[path])} == {}


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("The worker is Deaf.", {"deaf"}),
        ("It is rung\nfor all hands.", {"rung", "all hands"}),
        ("Its stop list, and the provider's own stop list", {"stop list"}),
        ("during `ring()`, it brings\n```\nbell\n```\n", set()),
    ],
)
def test_a_banned_word_is_found_in_a_page(page: str, words: set[str]) -> None:
    assert banned_in("README.md", page) == words
