"""Rows of a file: of a table (CSV and its kin), of JSON lines, or of a JSON array, each with its line."""

import csv
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from typing import Any, NamedTuple, TypeAlias

from bulk_dispatch.campaign.heading import Heading, Wanted, plain, read_heading, shown, told_delimiter
from bulk_dispatch.campaign.source import NOT_UTF8, UnreadableError
from bulk_dispatch.domain.validation import MessageError

Values: TypeAlias = Mapping[str, Any] | MessageError
"""What stands in a row by the names of fields, or why that cannot be told."""

LARGEST = 2**20  # characters of an object in a JSON array
_ROW = "row"


class Row(NamedTuple):
    """A row and the line it begins at, counted from one."""

    line: int
    values: Values


class Rows:
    """The rows of a file, read once from front to back. Numbers in JSON become text, as they are written."""

    def __init__(
        self, lines: Iterator[str], wanted: Wanted, *, utf8: bool = True, literal: bool = False
    ) -> None:
        """`utf8`: all of it is; `literal`: what looks like swallowed rows in a cell is its text."""
        self._lines = lines
        self._wanted = wanted
        self._utf8 = utf8
        self._literal = literal
        self.left_out: Counter[str] = Counter()
        """Columns that nobody asked for; of JSON, in how many objects."""

    def __iter__(self) -> Iterator[Row]:
        """Raises UnreadableError where the file cannot be read on."""
        number, first = self._first(0)
        if not first:
            return
        begins = first.lstrip()[0]
        if begins == "[":
            yield from self._array(number, first)
        elif begins == "{":
            yield from self._objects(number, first)
        else:
            yield from self._table(number, first)

    def _first(self, number: int) -> tuple[int, str]:
        """The next line that holds more than blanks and delimiters, and its number."""
        for line in self._lines:
            number += 1
            if line.strip().strip("\ufeff,;|").strip():
                return number, line.lstrip("\ufeff")
        return number, ""

    # -- tables

    def _table(self, number: int, line: str) -> Iterator[Row]:
        if delimiter := told_delimiter(line):
            number, line = self._first(number)
        try:
            heading = read_heading(line, delimiter, self._wanted)
        except UnreadableError as problem:
            raise UnreadableError(f"line {number}: {problem}") from None
        self.left_out.update(heading.left_out)
        table = iter(_Table(heading, number, self._lines, literal=self._literal))
        yield from table if self._utf8 else map(_readable, table)

    # -- JSON

    def _objects(self, number: int, first: str) -> Iterator[Row]:
        for line, text in enumerate(chain([first], self._lines), number):
            if text.strip():
                yield Row(line, self._object(text))

    def _array(self, number: int, first: str) -> Iterator[Row]:
        """One object after another: a list of a million is never whole in memory."""
        text = _Ahead(chain([first], self._lines), number)
        text.skip("[")
        while text.peek() != "]":
            line = text.line
            yield Row(line, self._chosen(text.value()))
            if text.peek() != ",":
                break
            text.skip(",")
        if text.peek() != "]":
            raise UnreadableError(
                f"line {text.line}: the JSON array is cut off, or goes on otherwise than JSON"
            )
        text.skip("]")
        if text.peek():
            raise UnreadableError(f"line {text.line}: something follows the JSON array")

    def _object(self, text: str) -> Values:
        try:
            return self._chosen(_JSON.decode(text.strip()))
        except (ValueError, RecursionError):
            return MessageError(_ROW, "…", "must be JSON")

    def _chosen(self, found: object) -> Values:
        """The fields of an object, by our names."""
        if isinstance(found, MessageError):
            return found
        if not isinstance(found, dict):
            return MessageError(_ROW, type(found).__name__, "must be a JSON object")
        chosen: dict[str, Any] = {}
        kinds = any(plain(name) == "kind" for name in found)
        for name, value in found.items():
            if field := self._wanted.field(name, kinds=kinds):
                if field in chosen:
                    return MessageError(_ROW, "…", f"names {field} twice")
                chosen[field] = value
            elif value not in ("", None):
                self.left_out[shown(name)] += 1
        if not self._utf8 and NOT_UTF8.search(json.dumps(chosen, ensure_ascii=False)):
            return _not_utf8()
        return chosen


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any] | MessageError:
    """An object, if each of its keys stands there once: else nobody can tell which is meant."""
    found = dict(pairs)
    return found if len(found) == len(pairs) else MessageError(_ROW, "…", "names a key twice")


_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str, object_pairs_hook=_once)
"""Numbers as they are written: of 380931110003.0 nobody may make a whole one."""


class _Table:
    """The rows below a heading."""

    def __init__(self, heading: Heading, number: int, lines: Iterator[str], *, literal: bool) -> None:
        self._heading = heading
        self._literal = literal
        self._above = number  # lines up to the heading
        self._known = [bool(field) for field in heading.fields]
        self._names = [field for field in heading.fields if field]
        self._nameless = heading.nameless
        self._read = 0  # lines, below the heading
        self._table = csv.reader(
            lines, delimiter=heading.delimiter, strict=True, skipinitialspace=heading.spaced
        )

    def __iter__(self) -> Iterator[Row]:
        while True:
            try:
                yield from self._readable()
            except csv.Error as problem:
                line = self._above + self._read + 1
                if "field limit" in str(problem):
                    most = f"{csv.field_size_limit():,} characters"
                    raise UnreadableError(f"line {line}: a cell holds more than {most}") from None
                if self._table.line_num - self._read > 1 or "end of data" in str(problem):
                    raise _swallowed(line) from None
                self._read = self._table.line_num
                yield Row(line, _stray_quote())
            else:
                return

    def _readable(self) -> Iterator[Row]:
        """The rows up to the next one that is no CSV."""
        table, names, above, row = self._table, self._names, self._above, tuple.__new__  # half of Row's time
        plain = len(names) if all(self._known) else -1  # cells of a row that is taken as it stands
        for cells in table:
            before, read = self._read, table.line_num
            if read - before > 1 and not self._literal and any(map(self._holds_a_row, cells)):
                raise _swallowed(above + before + 1)
            self._read = read
            if cells and (cells[0].strip() or "".join(cells).strip()):  # rows of delimiters alone are none
                values = dict(zip(names, cells)) if len(cells) == plain else self._named(cells)  # noqa: B905
                yield row(Row, (above + before + 1, values))

    def _named(self, cells: Sequence[str]) -> Values:
        """A row by the names in the heading. Cells may be missing at its end, or be there and empty."""
        if len(cells) > len(self._known) and any(cell.strip() for cell in cells[len(self._known) :]):
            return MessageError(_ROW, len(cells), f"must have at most {len(self._known)} cells")
        if self._nameless and any(cells[place].strip() for place in self._nameless if place < len(cells)):
            # Mostly a comma in a text that lacks its quotes: all that follows has moved.
            return MessageError(_ROW, "…", "has a cell in a column without a name: is a quote missing?")
        return dict(zip(self._names, compress(cells, self._known), strict=False))

    def _holds_a_row(self, cell: str) -> bool:
        """Whether a cell of several lines has swallowed rows: one of its lines is a row, with a number where
        recipients stand."""
        return any(map(self._is_a_row, cell.splitlines()[1:]))

    def _is_a_row(self, line: str) -> bool:
        cells = [cell.strip(" '\"") for cell in line.split(self._heading.delimiter)]
        if len(cells) != len(self._known):
            return False
        client_id, recipient = (cells[self._heading.place(field)] for field in ("client_id", "recipient"))
        looks_like_a_number = sum(map(str.isdigit, recipient)) >= 7 and not any(map(str.isalpha, recipient))
        return looks_like_a_number and bool(client_id) and " " not in client_id


def _swallowed(line: int) -> UnreadableError:
    return UnreadableError(
        f"line {line}: a quote opens a cell there and is never closed, or swallows the rows that follow. "
        "Nothing can be told of these: mend that line (a quote within a cell is written twice)"
    )


def _stray_quote() -> MessageError:
    return MessageError(
        _ROW, "…", 'must be CSV: a cell in quotes ends with its quote, and a quote within is ""'
    )


def _readable(row: Row) -> Row:
    """The row, or that it is no UTF-8."""
    if isinstance(row.values, MessageError):
        return row
    bad = any(NOT_UTF8.search(cell) for cell in row.values.values())
    return Row(row.line, _not_utf8()) if bad else row


def _not_utf8() -> MessageError:
    return MessageError(_ROW, "…", "is not UTF-8")


class _Ahead:
    """JSON text that is read piece by piece."""

    def __init__(self, lines: Iterator[str], line: int) -> None:
        self._lines = lines
        self._text = ""
        self._place = 0
        self.line = line  # of the place

    def peek(self) -> str:
        """The next character that is no blank; empty at the end."""
        while True:
            while self._place < len(self._text) and self._text[self._place] in " \t\r\n":
                self._pass(1)
            if self._place < len(self._text):
                return self._text[self._place]
            if not self._more():
                return ""

    def skip(self, sign: str) -> None:
        """Go over a sign that `peek` has shown."""
        assert self.peek() == sign
        self._pass(1)

    def value(self) -> object:
        """The next value. Raises UnreadableError if there is none."""
        self.peek()
        while True:
            try:
                found, end = _JSON.raw_decode(self._text, self._place)
            except RecursionError:
                raise UnreadableError(f"line {self.line}: is nested too deep") from None
            except ValueError:
                if len(self._text) - self._place > LARGEST or not self._more():
                    most = f"{LARGEST:,} characters"
                    raise UnreadableError(f"line {self.line}: is no JSON, or longer than {most}") from None
            else:
                self._pass(end - self._place)
                return found

    def _pass(self, count: int) -> None:
        self.line += self._text.count("\n", self._place, self._place + count)
        self._place += count

    def _more(self) -> bool:
        """Take in twice as much as is there, for what is still open is looked at anew."""
        self._text, self._place = self._text[self._place :], 0
        wanted = max(2 * len(self._text), 2**12)
        parts = [self._text]
        size = len(self._text)
        for line in self._lines:
            parts.append(line)
            size += len(line)
            if size >= wanted:
                break
        grown = size > len(self._text)
        self._text = "".join(parts)
        return grown
