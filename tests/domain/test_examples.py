"""The examples in the docstrings of the vocabulary are so, and it needs nothing but the standard library."""

import ast
import doctest
import sys
from importlib import import_module
from pathlib import Path

import pytest

import bulk_dispatch.domain

MODULES = sorted(path.stem for path in Path(bulk_dispatch.domain.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = bulk_dispatch.domain if name == "__init__" else import_module(f"bulk_dispatch.domain.{name}")
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", MODULES)
def test_it_imports_only_the_standard_library_and_what_knows_numbers_and_zones(name: str) -> None:
    tree = ast.parse((Path(bulk_dispatch.domain.__path__[0]) / f"{name}.py").read_text("utf-8"))
    imported = {
        module
        for node in ast.walk(tree)
        for module in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert {
        module
        for module in imported
        if not module.startswith(("bulk_dispatch.domain", "bulk_dispatch.timezones", "phonenumbers"))
        and module.split(".")[0] not in sys.stdlib_module_names
    } == set()
