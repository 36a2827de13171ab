"""docs/explanation/architecture.md draws what is there: layers of imports, source tree, tables."""

import re

from bulk_dispatch.ledger.schema import metadata
from tests.guards.page import blocks, rows
from tests.guards.repository import ROOT, pyproject, text

PAGE = text("docs/explanation/architecture.md")
TREE, LAYERS = [block.body.strip() for block in blocks(PAGE) if not block.kind]


def test_the_layers_are_those_of_the_import_rules() -> None:
    [contract] = [rule for rule in pyproject()["tool"]["importlinter"]["contracts"] if rule["id"] == "layers"]

    assert LAYERS.splitlines() == contract["layers"]


def test_the_tree_has_every_module_and_no_other() -> None:
    drawn = set(re.findall(r"(?:^| {2,})([\w.]+?)/? {2,}\S", TREE, re.MULTILINE)) - {"package"}
    package = ROOT / "worker" / "bulk_dispatch"
    modules = {
        path.name for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }

    assert modules - drawn == {"__main__.py", "version.py"}
    assert {name for name in drawn if name.endswith(".py")} <= modules


def test_the_tables_are_those_of_the_schema() -> None:
    named = [re.findall(r"`(\w+)`", row[0]) for row in rows(PAGE.split("## The ledger")[1].split("## ")[0])]

    assert {name for names in named for name in names} == set(metadata.tables)
