"""Answers made worse, whatever provider they are of: told by their first byte, `<` XML, `{` or `[` JSON."""

import re
from collections.abc import Iterator, Sequence
from math import ceil
from typing import Any

from worker.sandbox.provider import Reply

PAGE = b"<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
ROOT = re.compile(rb"(?<=<)([A-Za-z][\w-]*)")
LAUGHS = b'<!ENTITY a "ha">' + b"".join(
    b'<!ENTITY %s "%s">' % (bytes([name]), b"&%s;" % bytes([name - 1]) * 100) for name in b"bcdefghi"
)


def picked(count: int, share: float) -> Iterator[bool]:
    """Which of so many items are meant: evenly spread, always the same, at least one unless share is 0."""
    return (ceil((place + 1) * share) > ceil(place * share) for place in range(count))


def without(items: Sequence[Any], share: float) -> list[Any]:
    """The others of them."""
    return [item for item, gone in zip(items, picked(len(items), share), strict=True) if not gone]


def half(reply: Reply) -> Reply:
    """Well announced, and yet only the first half."""
    return reply._replace(body=reply.body[: len(reply.body) // 2])


def of_other_shape(reply: Reply) -> Reply:
    """XML under another root, JSON inside a list, text inside JSON."""
    body = reply.body
    if body.startswith(b"<"):
        found = ROOT.search(body)
        assert found is not None
        other = b"package" if found[0] == b"response" else b"response"
        renamed = re.sub(rb"(</?)%s\b" % found[0], rb"\1" + other, body)
        return reply._replace(body=renamed)
    if body.startswith((b"{", b"[")):
        return reply._replace(body=b"[%s]" % body)
    return reply._replace(body=b'{"result": "%s"}' % body.replace(b'"', b'\\"').replace(b"\n", b"\\n"))


def in_other_encoding(reply: Reply) -> Reply:
    """UTF-16, whatever it says of itself; the last byte is lost, so that nobody can guess it right."""
    return reply._replace(body=reply.body.decode().encode("utf-16")[:-1])


def deep(reply: Reply, levels: int) -> Reply:
    """The answer inside so many elements or lists."""
    if reply.body.startswith(b"<"):
        return reply._replace(body=_into_root(reply.body, b"<a>" * levels + b"</a>" * levels))
    return reply._replace(body=b"[" * levels + reply.body + b"]" * levels)


def with_doctype(reply: Reply) -> Reply:
    """A document type with entities that grow a hundredfold eight times, and one of them in the root."""
    found = ROOT.search(reply.body)
    assert found is not None
    start = found.start() - 1
    body = _into_root(reply.body, b"&i;")
    doctype = b"<!DOCTYPE %s [%s]>" % (found[0], LAUGHS)
    return reply._replace(body=body[:start] + doctype + body[start:])


def _into_root(body: bytes, put: bytes) -> bytes:
    found = ROOT.search(body)
    assert found is not None
    start = body.index(b">", found.end()) + 1
    return body[:start] + put + body[start:]
