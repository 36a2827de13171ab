"""docs/reference/glossary.md names what is there, and each word once."""

import ast
from collections import Counter

import pytest

from bulk_dispatch.cli import COMMANDS
from bulk_dispatch.ledger.schema import metadata
from tests.guards.page import rows
from tests.guards.repository import ROOT, text

PACKAGE = ROOT / "worker" / "bulk_dispatch"
ROWS = rows(text("docs/reference/glossary.md"))
NAMED = sorted({name.strip("` ") for _, _, code in ROWS for name in code.split(",") if name})


def defined() -> set[str]:
    """The classes, constants, modules and folders of the package, as the page may write them."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("")
        found |= {".".join(module.parts), ".".join(module.parts[:-1])}
        for node in ast.parse(path.read_text("utf-8")).body:
            match node:
                case ast.ClassDef(name=name):
                    found.add(name)
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(name)
    return found


TABLES = {name for table in metadata.tables.values() for name in (table.name, *map(str, table.columns))}
NAMES = defined() | TABLES | {f"worker {name}" for name in COMMANDS}


@pytest.mark.parametrize("name", NAMED)
def test_what_the_glossary_names_is_in_the_code(name: str) -> None:
    assert name in NAMES


def test_the_glossary_has_each_word_once() -> None:
    words = Counter(word.strip() for row in ROWS for word in row[0].split(","))

    assert len(words) > 60
    assert [word for word, times in words.items() if times > 1] == []
