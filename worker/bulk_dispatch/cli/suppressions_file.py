"""Files of numbers for the suppression list: CSV with a heading, or one number a line. And the list as such a
file."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TextIO

from bulk_dispatch.campaign.source import NOT_UTF8, UnreadableError
from bulk_dispatch.domain.validation import MessageError, instant
from bulk_dispatch.ledger.suppressions import Listed

FIELDS = ("recipient", "added_at", "reason")
REASON_LIMIT = 200  # characters; what is longer is cut, for a long reason is none to leave somebody out
_DELIMITERS = ",;\t|"


class RefusedEntry(NamedTuple):
    """A line that names no number, and why."""

    line: int
    problem: str


def entries(
    lines: Iterable[str],
    number: Callable[[str], str],
    reason: str = "",
    leave_out: Callable[[Sequence[str]], None] = lambda _: None,
) -> Iterator[Listed | RefusedEntry]:
    """What stands in the lines of a file, each with its end; `reason` where a line says nothing of that.

    `number` reads a number, or raises MessageError. `leave_out` is told of columns that are not read, if the
    heading has such.

    Each line is read by itself: no field of ours holds a line end, so no stray quote swallows what follows.
    Raises UnreadableError for a heading that does not name the recipient.
    """
    numbered = ((place, line.strip("\r\n")) for place, line in enumerate(lines, 1))
    filled = ((place, line) for place, line in numbered if line.strip(" \ufeff" + _DELIMITERS))
    first = next(filled, None)
    if first is None:
        return
    read = _reader(first[1].removeprefix("\ufeff"))
    if others := [name for name in read.names if name and name not in FIELDS]:
        leave_out(others)
    if not read.headed:
        yield _entry(first[0], {"recipient": first[1].removeprefix("\ufeff")}, number, reason)
    for place, line in filled:
        yield _entry(place, read.row(line), number, reason)


class _Reader(NamedTuple):
    """How lines are cut: by the columns of a heading, or not at all."""

    names: Sequence[str]
    delimiter: str

    @property
    def headed(self) -> bool:
        return bool(self.names)

    def row(self, line: str) -> Mapping[str, str]:
        """A line by the names of its fields."""
        if not self.names:
            return {"recipient": line}
        return dict(zip(self.names, _cells(line, self.delimiter), strict=False))


def _reader(first: str) -> _Reader:
    delimiter = max(_DELIMITERS, key=first.count)
    names = [name.strip().lower() for name in _cells(first, delimiter)]
    if "recipient" in names:
        return _Reader(names, delimiter)
    if len(names) > 1 and not any(map(str.isdigit, first)):
        raise UnreadableError(
            "the heading names no recipient: recipient, added_at and reason are what is read"
        )
    return _Reader((), "")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True), [])
    except csv.Error:
        return [line]  # of which its number will say what is wrong


def _entry(
    line: int, row: Mapping[str, str], number: Callable[[str], str], reason: str
) -> Listed | RefusedEntry:
    if any(map(NOT_UTF8.search, row.values())):
        return RefusedEntry(line, "is not UTF-8")
    try:
        added_at = instant("added_at", row.get("added_at", "").strip())
        return Listed(number(row.get("recipient", "")), added_at, _reason(row.get("reason", "")) or reason)
    except MessageError as problem:
        return RefusedEntry(line, str(problem))


def _reason(written: str) -> str:
    return "".join(filter(str.isprintable, " ".join(written.split())))[:REASON_LIMIT]


def write(stream: TextIO, pages: Iterable[Sequence[Listed]]) -> None:
    """The list as CSV, as `entries` reads it."""
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(FIELDS)
    for page in pages:
        table.writerows(
            (one.recipient, one.added_at and one.added_at.isoformat(), one.reason) for one in page
        )
