"""Content codings (RFC 9110, section 8.4.1): an answer that came compressed, unasked, made plain.

An answer is untrusted bytes: what comes out is of bounded size while it is made, however little came in.
"""

import re
import sys
import zlib
from collections.abc import Callable, Mapping
from typing import TypeAlias

Decoder: TypeAlias = Callable[[bytes, int], tuple[bytes, bytes]]
"""Makes the beginning of a body plain, at most so many bytes and one more, and gives what follows it."""

CODINGS_MOST = 3  # one over another
PIECE = 65536  # bytes that brotli makes at once: of a bound, it may make twice as much
WINDOW_MOST = 23  # a power of two: what a browser lends to zstd [RFC 9659]

MEMBERS_MOST = 64  # one after another

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
BEGINNINGS = {GZIP: "gzip", ZSTD: "zstd"}
"""Of what is compressed without a label. No answer of a provider begins so."""

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")


class CodingError(ValueError):
    """An answer that cannot be made plain. The sentence quotes nothing of it."""


def plain(body: bytes, label: str, most: int) -> bytes:
    """A body without its codings, as Content-Encoding lists them, in the order in which they were applied.

    What is labelled so and is a plain text all the same is left as it is, and what is compressed without a
    label is known by its beginning. Raises CodingError for a coding that we do not know, for what ends too
    soon, and for more than `most` bytes.
    """
    for coding in reversed(_codings(body, label)):
        body = _decoded(body, coding, most)
    return body


def _codings(body: bytes, label: str) -> list[str]:
    named = [name for one in label.lower().split(",") if (name := one.strip()) not in ("", "identity")]
    if len(named) > CODINGS_MOST:
        raise CodingError("came in too many codings at once")
    return named or [name for start, name in BEGINNINGS.items() if body.startswith(start)]


def _decoded(body: bytes, coding: str, most: int) -> bytes:
    decode = DECODERS.get(coding)
    if not body or (decode is None and _is_text(body)):
        return body
    if decode is None:
        raise CodingError("came in a coding we cannot read, and did not ask for")
    try:
        found, rest = decode(body, most)
    except _Broken:
        if _is_text(body):  # wrongly labelled
            return body
        raise CodingError(f"is labelled {coding}, which it is not, or came damaged") from None
    if len(found) + len(rest) > most:
        raise CodingError(f"is longer than {most} bytes once it is made plain")
    return found + rest


def _is_text(body: bytes) -> bool:
    """Whether a body may be one of those that providers send: it begins as a text does."""
    return not _CONTROL.search(body[:64]) and _decodes(body)


def _decodes(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


# -- the codings -------------------------------------------------------------------------------------


class _Broken(Exception):
    """Not in this coding, or not whole."""


def _in_members(start: bytes, decode: Decoder) -> Decoder:
    """One after another, as gzip and zstd allow; each begins with `start`."""

    def decoded(body: bytes, most: int) -> tuple[bytes, bytes]:
        found, rest = decode(body, most)
        for _ in range(MEMBERS_MOST):
            if len(found) > most or not rest.startswith(start):
                return found, rest
            part, rest = decode(rest, most - len(found))
            found += part
        raise _Broken

    return decoded


def _gzip(body: bytes, most: int) -> tuple[bytes, bytes]:
    return _inflated(body, most, 16 + zlib.MAX_WBITS)


def _deflate(body: bytes, most: int) -> tuple[bytes, bytes]:
    """As zlib wraps it, which the standard means, or bare, which some servers take it for."""
    try:
        return _inflated(body, most, zlib.MAX_WBITS)
    except _Broken:
        return _inflated(body, most, -zlib.MAX_WBITS)


def _inflated(body: bytes, most: int, window: int) -> tuple[bytes, bytes]:
    decoder = zlib.decompressobj(window)
    try:
        found = decoder.decompress(body, most + 1)
    except zlib.error:
        raise _Broken from None
    if not decoder.eof and len(found) <= most:
        raise _Broken
    return found, decoder.unused_data


def _brotli(body: bytes, most: int) -> tuple[bytes, bytes]:
    import brotli  # late: hardly anybody sends it

    decoder = brotli.Decompressor()
    found = bytearray()
    given = body
    try:
        while not decoder.is_finished() and len(found) <= most:
            made = decoder.process(given, output_buffer_limit=PIECE)
            if not (made or given):
                raise _Broken  # all is read, and it wants more
            given = b""
            found += made
    except brotli.error:
        raise _Broken from None
    return bytes(found), b""


def _zstd(body: bytes, most: int) -> tuple[bytes, bytes]:
    if sys.version_info >= (3, 14):  # late: hardly anybody sends it
        from compression import zstd
    else:
        from backports import zstd

    decoder = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_MOST})
    try:
        found = decoder.decompress(body, most + 1)
    except zstd.ZstdError:
        raise _Broken from None
    if not decoder.eof and len(found) <= most:
        raise _Broken
    return found, decoder.unused_data


DECODERS: Mapping[str, Decoder] = {
    "gzip": _in_members(GZIP, _gzip),
    "x-gzip": _in_members(GZIP, _gzip),
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _in_members(ZSTD, _zstd),
}
