"""Writes what the code decides into these pages: `make reference` does it.

    python docs/generate.py [--check] [FOLDER]

A page says where with `<!-- NAME: begin -->` and `<!-- NAME: end -->`; drawings are files of their own. With
`--check`, as `make docs` calls it, nothing is written: the exit code is 1 if a page is not as the code says,
and stderr names it.
"""

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from datetime import timedelta
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import Any

import drawings

from bulk_dispatch.config.routes_file import LONGEST, MOST, RouteConfig
from bulk_dispatch.config.settings import Settings
from bulk_dispatch.domain.status import EventType, Status, transitions_of
from bulk_dispatch.providers import PROVIDERS

HERE = Path(__file__).parent
UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}
CITED = re.compile(r"\bdocs/(?P<page>[\w/-]+\.md)\b")
CHOICES: Mapping[str, Sequence[str]] = {"provider": tuple(PROVIDERS)}  # which a setting itself cannot know


# -- settings


def environment() -> str:
    """Every variable of the environment."""
    rows = _settings(Settings, lambda name: f"WORKER_{name.upper()}")
    return _table(("variable", "value", "default", "what it is for"), rows)


def route_keys() -> str:
    """Every key that each route may have."""
    rows = _settings(RouteConfig, str, left_out=("name", "options"))
    bounds = f"A number is at most {MOST:,}, and a length of time at most `{duration(LONGEST)}`."
    return f"{_table(('key', 'value', 'default', 'what it is for'), rows)}\n\n{bounds}"


def _settings(of: type, shown: Callable[[str], str], left_out: Sequence[str] = ()) -> Iterator[list[str]]:
    texts = field_texts(of)
    for setting in fields(of):
        if setting.name not in left_out:
            about = _linked(texts[setting.name], "reference")
            yield [f"`{shown(setting.name)}`", _value(setting), _default(setting.default), about]


def field_texts(of: type) -> dict[str, str]:
    """The text under each field of a class that has one, in one line, by the name of the field."""
    [cls] = ast.parse(inspect.getsource(of)).body
    assert isinstance(cls, ast.ClassDef)
    found = {}
    for statement, below in zip(cls.body, cls.body[1:], strict=False):
        match statement, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


def _value(setting: "Field[Any]") -> str:
    """What may be written: the choices, or of what kind and from where on."""
    takes = setting.metadata
    unit, choices = takes.get("unit", ""), takes.get("choices") or CHOICES.get(setting.name, ())
    if choices:
        return ", ".join(f"`{choice}`" for choice in choices if choice)
    if setting.type is bool:
        return "`true`, `false`"
    if setting.type is int:
        return f"{unit}, {0 if takes.get('may_be_zero') else 1} or more"
    if setting.type in (timedelta, timedelta | None):
        return f"a length of time, {'`0s` or more' if takes.get('may_be_zero') else 'more than `0s`'}"
    return unit or ("a path" if setting.type is Path else "a text")


def _default(value: object) -> str:
    match value:
        case bool():
            return f"`{str(value).lower()}`"
        case timedelta():
            return f"`{duration(value)}`"
        case _ if value is MISSING:
            return "required"
        case _:
            return "" if value in ("", None) else f"`{value}`"


def duration(length: timedelta) -> str:
    """A length of time as a routes file has it, in the largest unit that leaves no rest."""
    unit = next((unit for unit, one in UNITS.items() if length and not length % one), "s")
    return f"{length // UNITS[unit]}{unit}"


def _linked(text: str, folder: str) -> str:
    """With links in place of the pages that a text cites, by their titles."""

    def link(found: re.Match[str]) -> str:
        title = (HERE / found["page"]).read_text("utf-8").splitlines()[0].removeprefix("# ")
        return f"[{title}]({PurePosixPath(relpath(found['page'], folder))})"

    return CITED.sub(link, text)


# -- statuses


def transitions() -> str:
    """Every transition, a row for each status and event."""
    order: list[Status | None] = [None, *Status]
    found: dict[tuple[Status | None, EventType], list[str]] = {}
    for event_type in EventType:
        for source, target in transitions_of(event_type):
            found.setdefault((source, event_type), []).append(f"`{target}`")
    rows = [
        [f"`{source}`" if source else "(new)", f"*{event_type}*", ", ".join(targets)]
        for (source, event_type), targets in sorted(found.items(), key=lambda row: order.index(row[0][0]))
    ]
    return _table(("from", "event", "to"), rows)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# -- writing

PARTS: Mapping[str, Mapping[str, Callable[[], str]]] = {
    "reference/settings.md": {"environment": environment, "route keys": route_keys},
    "reference/statuses.md": {"transitions": transitions},
}
"""Pages to their parts, by the name between the marks."""

DRAWINGS: Mapping[str, Callable[[], str]] = {
    "reference/statuses.svg": drawings.statuses,
    "explanation/way.svg": drawings.way,
}


def generated(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file that the code has a part in, as it is to be. ValueError: a mark is missing in a page."""
    for name, parts in PARTS.items():
        page = (folder / name).read_text("utf-8")
        for part, write in parts.items():
            page = _replaced(name, page, part, write())
        yield folder / name, page
    for name, draw in DRAWINGS.items():
        yield folder / name, draw()


def _replaced(name: str, page: str, part: str, text: str) -> str:
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    if not (page.count(begin) == page.count(end) == 1):
        raise ValueError(f"{name} needs {begin} and {end}, once each")
    before, rest = page.split(begin)
    return f"{before}{begin}\n{text}\n{end}{rest.split(end)[1]}"


def main(words: Sequence[str]) -> str | None:
    """Write, or with --check compare. Gives what is wrong, if anything is."""
    check = "--check" in words
    folder = Path(next((word for word in words if word != "--check"), HERE))
    differing = [
        (path, text)
        for path, text in generated(folder)
        if not path.exists() or path.read_text("utf-8") != text
    ]
    if check:
        names = ", ".join(str(path.relative_to(folder)) for path, _ in differing)
        return f"not as the code says: {names}. Run `make reference`" if differing else None
    for path, text in differing:
        path.write_text(text, "utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
