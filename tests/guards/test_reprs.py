"""What a value of ours shows when it is printed, wherever that is: no text, no number, no credential."""

import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, NamedTuple

import pytest

import bulk_dispatch

PERSONAL = {"recipient", "recipients", "text", "sms_text", "number", "cell", "content", "raw"}
SPOKEN = {"body", "query", "headers", "data", "defaults"}
CREDENTIALS = {"key", "login", "password", "token", "database_url", "redis_url", "broker_url", "env"}
HIDDEN = PERSONAL | SPOKEN | CREDENTIALS


def values() -> Iterator[type[Any]]:
    """Every value object, except those of the make-believe providers."""
    for module in pkgutil.walk_packages(bulk_dispatch.__path__, "bulk_dispatch."):
        if module.name.startswith("bulk_dispatch.sandbox") or module.name.endswith("__main__"):
            continue
        for made in vars(importlib.import_module(module.name)).values():
            own = isinstance(made, type) and made.__module__ == module.name
            if own and (is_dataclass(made) or hasattr(made, "_fields")):
                yield made


def printed(made: type[Any]) -> set[str]:
    """The fields that a repr shows which nobody wrote by hand."""
    if is_dataclass(made):
        generated = hasattr(made.__repr__, "__wrapped__")
        return {field.name for field in fields(made) if field.repr and generated}
    generated = made.__repr__.__module__ == "collections"
    return {name for name in getattr(made, "_fields", ()) if generated}


@pytest.mark.parametrize("made", list(values()), ids=lambda made: f"{made.__module__}.{made.__name__}")
def test_a_value_shows_nothing_that_is_not_for_logs(made: type[Any]) -> None:
    assert not printed(made) & HIDDEN


@dataclass
class Careless:
    text: str


class Loose(NamedTuple):
    recipient: str


class Careful(NamedTuple):
    recipient: str

    def __repr__(self) -> str:
        return "Careful()"


def test_this_guard_bites() -> None:
    assert [printed(made) & HIDDEN for made in (Careless, Loose, Careful)] == [{"text"}, {"recipient"}, set()]
