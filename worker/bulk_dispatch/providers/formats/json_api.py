"""JSON as providers send it, and the JSON:API document (jsonapi.org): distrust of whatever comes in.

As with XML, the content-type header is not looked at, and whatever cannot be read is UNREADABLE, with a
detail that quotes nothing of it.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import noise

LARGEST = 1024 * 1024
"""Bytes we are willing to parse; fifty reports take ten thousand."""

Object = Mapping[str, Any]
"""An object that was read. Its values may be anything."""


class Document(NamedTuple):
    """What an answer holds: `data` or `errors`, never both. What is no object in them is an empty one."""

    data: list[Object]
    errors: list[Object]

    def __repr__(self) -> str:
        return f"Document(<{len(self.data)} objects, {len(self.errors)} errors>)"


def read(body: bytes) -> Document | Failure:
    """The document in an answer. Its `data` is an object for one thing and an array for several."""
    found = load(body)
    if isinstance(found, Failure):
        return found
    if not isinstance(found, Mapping):
        return UNREADABLE.because(detail="JSON that is no object")
    data, errors = found.get("data"), found.get("errors")
    if not isinstance(data, dict | list) and not errors:
        return UNREADABLE.because(detail="JSON with neither data nor errors")
    if data is not None and errors:
        return UNREADABLE.because(detail="JSON with both data and errors")
    return Document(objects(data or []), objects(errors or []))


def load(body: bytes) -> object:
    """The value in a JSON text, or the one object in it among noise; else UNREADABLE.

    A name that stands twice in an object contradicts itself, and NaN is no JSON: neither is read. Depth is
    bounded by the interpreter, which raises rather than overflows.
    """
    if len(body) > LARGEST:
        return UNREADABLE.because(detail=f"{len(body)} bytes are too many")
    if not body.strip():
        return UNREADABLE.because(detail=f"{len(body)} bytes of blanks" if body else "empty")
    found = _loaded(body)
    if isinstance(found, Failure) and (inner := noise.json_object(body)):
        again = _loaded(inner)
        return found if isinstance(again, Failure) else again
    return found


def _loaded(text: bytes) -> object:
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_refuse)
    except (ValueError, RecursionError) as problem:  # among them: no UTF-8, a number of too many digits
        return UNREADABLE.because(detail=f"no JSON in {len(text)} bytes, {type(problem).__name__}")


def objects(value: object) -> list[Object]:
    """The members of an array, or a thing alone as an array of one."""
    members = value if isinstance(value, list) else [value]
    return [member if isinstance(member, Mapping) else {} for member in members]


def part(whole: Object, name: str) -> Object:
    """The object of that name in an object; an empty one if it is not there."""
    found = whole.get(name)
    return found if isinstance(found, Mapping) else {}


def word(value: object) -> str:
    """A text, or a whole number that should have been one; else nothing."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**64 else ""
    return value.strip() if isinstance(value, str) else ""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice")
    return found


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")
