"""The heading of a table: which column is which field, however people write that."""

import csv
import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as default

from bulk_dispatch.campaign.source import UnreadableError
from bulk_dispatch.domain.validation import visible

DELIMITERS = (",", ";", "\t", "|")
_SEP = re.compile(r'"?sep *=(.)"?[\s;,]*', re.IGNORECASE)
"""A first line by which Excel is told the delimiter."""


@dataclass(frozen=True, slots=True)
class Heading:
    """The columns of a table, in order: a field, or empty for a column that is left out."""

    delimiter: str
    fields: tuple[str, ...]
    left_out: tuple[str, ...]  # names of columns that nobody asked for
    spaced: bool = False  # a blank follows each delimiter
    nameless: tuple[int, ...] = ()  # columns without a name: nothing may stand there

    def place(self, name: str) -> int:
        """Which column holds a field."""
        return self.fields.index(name)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What may stand in a file: fields by their own names, `others` beside them where rows tell their kind,
    and the names that people gave instead."""

    fields: Collection[str]
    required: Collection[str] = ()
    others: Collection[str] = ()
    named: Mapping[str, str] = default(default_factory=dict)  # a column's name, as `plain` has it → its field

    def field(self, name: str, *, kinds: bool) -> str:
        """The field of a column, among others that tell `kinds` or do not; empty for none."""
        own = plain(name)
        known = own in self.fields or (kinds and own in self.others)
        if own in self.named:
            return self.named[own]
        return own if known and own not in self.named.values() else ""  # what people name comes first

    def fields_of(self, names: Iterable[str]) -> tuple[str, ...]:
        """The fields of columns, in order."""
        kinds = any(plain(name) == "kind" for name in names)
        return tuple(self.field(name, kinds=kinds) for name in names)


def plain(name: str) -> str:
    """A name as names are compared: "Client ID" is client_id."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", visible(name).strip())  # clientId
    return re.sub(r"[\s\-_]+", "_", words).casefold()


def told_delimiter(line: str) -> str:
    """The delimiter that a line `sep=;` tells; empty for any other line."""
    found = _SEP.fullmatch(line.strip("\r\n"))
    return found.group(1) if found else ""


def read_heading(line: str, delimiter: str, wanted: Wanted) -> Heading:
    """The heading in a line, parted by `delimiter`; if that is not told, by the one that finds most fields.

    Raises UnreadableError, naming what is strange or missing.
    """
    if line.count('"') % 2:
        raise UnreadableError("the heading must stand on one line: a quote is open at its end")
    candidates = [_split(line, one) for one in ((delimiter,) if delimiter else DELIMITERS)]
    parted = max(candidates, key=lambda names: sum(map(bool, wanted.fields_of(names))))
    delimiter = delimiter or DELIMITERS[candidates.index(parted)]
    fields = wanted.fields_of(parted)
    _check(parted, fields, wanted)
    left_out = tuple(
        shown(name) for name, own in zip(parted, fields, strict=True) if name.strip() and not own
    )
    spaced = len(parted) > 1 and all(name[:1] == " " for name in parted[1:])
    nameless = tuple(place for place, name in enumerate(parted) if not name.strip())
    return Heading(delimiter, fields, left_out, spaced, nameless)


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


def _check(names: Sequence[str], fields: Sequence[str], wanted: Wanted) -> None:
    if len(names) == 1 and len(wanted.required) > 1 and re.search(r"\w\W+\w", names[0]):
        raise UnreadableError("the heading is one column: neither comma, semicolon, tab nor | parts it")
    there = set(map(plain, names))
    if absent := [field for name, field in wanted.named.items() if name not in there]:
        raise UnreadableError(f"--column {min(absent)}: there is no column of the name given")
    for required in wanted.required:
        if required not in fields:
            told = ", ".join(shown(name) for name in names if name.strip())
            hint = f"--column {required}={_likely(required, names)}"
            raise UnreadableError(
                f"no column is called {required}, there are: {told}. Say which it is: {hint}"
            )
    if twice := next((own for own in fields if own and fields.count(own) > 1), ""):
        raise UnreadableError(f"two columns are {twice}")


_HINTS = {
    "recipient": ("phone", "mobile", "msisdn", "number", "tel", "телефон", "номер"),
    "client_id": ("id", "order", "key", "код", "ид"),
}


def _likely(required: str, names: Sequence[str]) -> str:
    """The column that is probably meant, to be shown in a hint."""
    for hint in _HINTS.get(required, ()):
        for name in names:
            if hint in plain(name):
                return shown(name)
    near = difflib.get_close_matches(required, names, 1)
    return shown(near[0]) if near else "NAME"


def shown(name: str) -> str:
    """A column's name. In a file that lacks its heading it is somebody's number, or a text."""
    name = name.strip()
    digits = sum(map(str.isdigit, name))
    return "…" if digits > 4 or len(name) > 40 or name.count(" ") > 3 else name
