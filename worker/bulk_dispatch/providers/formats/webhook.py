"""Pushes as flat records, whatever form they come in: a form, JSON, or the query of the address.

Where a provider publishes no format of its pushes, any of these may come; the body tells which it is.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias
from urllib.parse import parse_qsl

from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.formats import json_api
from bulk_dispatch.providers.interface import Push

Record: TypeAlias = Mapping[str, str]
"""Texts and whole numbers by name; what else JSON may hold is left out."""

LARGEST = json_api.LARGEST
"""Bytes of a push we are willing to read."""

FIELDS = 1_000  # names a form may have


def records(push: Push) -> Sequence[Record]:
    """What was pushed, in its order; nothing if it cannot be read."""
    if len(push.body) > LARGEST or len(push.query) > LARGEST:
        return []
    body = push.body.strip(b"\xef\xbb\xbf \t\r\n")
    read = _of_json(body) if body.startswith((b"{", b"[")) else [_of_form(body.decode("utf-8", "replace"))]
    return [record for record in (*read, _of_form(push.query)) if record]


def _of_json(body: bytes) -> list[Record]:
    found = json_api.load(body)
    return [] if isinstance(found, Failure) else [_words(element) for element in json_api.objects(found)]


def _words(element: json_api.Object) -> Record:
    return {name: word for name, value in element.items() if (word := json_api.word(value))}


def _of_form(text: str) -> Record:
    """A name that stands twice with two values contradicts itself: such a form says nothing."""
    try:
        pairs = parse_qsl(text, max_num_fields=FIELDS)
    except ValueError:
        return {}
    return dict(pairs) if len(dict(pairs)) == len(set(pairs)) else {}
