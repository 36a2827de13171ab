"""Arrays: how a thousand rows travel to the database, column by column.

psycopg asks for every single value how it is written, and whether it must be quoted: 1.4 to 1.8 µs a text,
and a message's life has a dozen columns of them. A whole column at once takes a hundredth of that; and where
all rows say the same, as they mostly do, one value will do.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import NoneType
from typing import Any

from psycopg.abc import Buffer
from psycopg.adapt import PyFormat, RecursiveDumper


def sql_rows(columns: Mapping[str, str]) -> str:
    """The SELECT of the rows that `bound` binds: names of columns and their types, the first one the key."""
    key = next(iter(columns))
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    values = ", ".join(
        name if name == key else f"coalesce({name}, CAST(:{name}_of_all AS {kind})) AS {name}"
        for name, kind in columns.items()
    )
    return f"SELECT {values} FROM unnest({arrays}) AS c ({', '.join(columns)})"  # noqa: S608 - our own names


def bound(columns: Mapping[str, list[Any]]) -> dict[str, Any]:
    """The values of rows for `sql_rows`, in its order: a column as an array, or as one value where it is the
    same in all rows. The key is always whole, for it says how many rows there are."""
    values: dict[str, Any] = {}
    for name, column in columns.items():
        if not values:
            values[name] = column
            continue
        same = bool(column) and column.count(column[0]) == len(column)
        values[name] = None if same else column
        values[f"{name}_of_all"] = _plain_value(column[0]) if same else None
    return values


def _plain_value(value: Any) -> Any:
    """psycopg would write the name of a member of a StrEnum."""
    return str(value) if isinstance(value, str) else value


class ColumnDumper(RecursiveDumper):
    """A list as PostgreSQL's array literal: texts, whole numbers and instants at once, others one by one.

    What it is an array of is for the statement to say. Members of a StrEnum are texts. A column of nothing
    but None travels as NULL, and unnest fills it up beside longer ones. Alone, or in `= ANY`, it would match
    nothing: such a column must hold values.
    """

    def dump(self, obj: list[Any]) -> Buffer | None:
        """See psycopg."""
        types = set(map(type, obj))
        if types == {NoneType}:
            return None
        types.discard(NoneType)
        if all(issubclass(kind, str) for kind in types) and "\x00" not in (literal := _texts(obj)):
            return literal.encode()
        if types == {int}:
            return _plain("NULL" if value is None else str(value) for value in obj)
        if types == {datetime}:
            written = {value: value.isoformat() for value in set(obj) if value}  # many share one
            return _plain("NULL" if value is None else written[value] for value in obj)
        return _texts([None if value is None else self._written(value) for value in obj]).encode()

    def _written(self, value: Any) -> str:
        """As psycopg writes it; psycopg also says what is wrong with a text that cannot be written."""
        dumped = self._tx.get_dumper(value, PyFormat.TEXT).dump(value)
        return bytes(dumped or b"").decode()


def _plain(values: Iterable[str]) -> bytes:
    """What needs no quotes."""
    return f"{{{','.join(values)}}}".encode()


def _texts(values: list[str | None]) -> str:
    r"""Every text between quotes; within, a quote and a backslash have a backslash before them.

    >>> print(_texts(["plain", 'a "b" \\ c', None, "", "NULL"]))
    {"plain","a \"b\" \\ c",NULL,"","NULL"}
    """
    if not values:
        return "{}"
    whole = '","'.join(["" if value is None else value for value in values])
    if "\\" in whole or None in values or whole.count('"') != 2 * (len(values) - 1):
        return f"{{{','.join(map(_quoted, values))}}}"
    return f'{{"{whole}"}}'


def _quoted(value: str | None) -> str:
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
