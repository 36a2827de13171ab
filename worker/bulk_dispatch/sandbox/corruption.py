"""Answers made worse, whatever provider they are of: told by their first byte, `<` XML, `{` or `[` JSON."""

import gzip
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import ceil
from typing import Any

from bulk_dispatch.sandbox.provider import Reply

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


NOISES = {
    "warning": (
        b"<br />\n<b>Warning</b>:  Undefined array key in <b>/var/www/api.php</b> on line <b>12</b><br />\n",
        b"",
    ),
    "notice": (b"\nNotice: Undefined variable: x in /var/www/api.php on line 12\n", b""),
    "last words": (b"", b"\n<br />\n<b>Warning</b>:  Unknown: in <b>Unknown</b> on line <b>0</b><br />\n"),
    "comments": (b"<!-- served by web3 -->\n", b"\n<!-- 12 ms -->\n"),
    "marks": (b"\n\xef\xbb\xbf\n", b"\n\x00\x00\x1a"),
}
"""What gateways put before and after a document, by name."""


def noisy(reply: Reply, noise: str) -> Reply:
    """The whole answer, and noise about it."""
    before, after = NOISES[noise]
    return reply._replace(body=before + reply.body + after)


def _bare(body: bytes) -> bytes:
    packed = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packed.compress(body) + packed.flush()


def _brotli(body: bytes) -> bytes:
    import brotli  # late: hardly any script asks for it

    return bytes(brotli.compress(body))


def _zstd(body: bytes) -> bytes:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return bytes(zstd.compress(body))


CODINGS: Mapping[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "bare deflate": ("deflate", _bare),
    "br": ("br", _brotli),
    "zstd": ("zstd", _zstd),
    "unlabelled gzip": ("", gzip.compress),
}
"""Ways to compress an answer, with their label."""


def compressed(reply: Reply, coding: str) -> Reply:
    """The answer in a coding that nobody asked for."""
    label, pack = CODINGS[coding]
    return reply._replace(body=pack(reply.body), coding=label)


def _into_root(body: bytes, put: bytes) -> bytes:
    found = ROOT.search(body)
    assert found is not None
    start = body.index(b">", found.end()) + 1
    return body[:start] + put + body[start:]
