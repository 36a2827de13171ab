"""Plain text made of `key:value` pairs, parted by blanks or by lines: distrust of whatever comes in.

Values may hold colons and blanks themselves, so only the first colon of a word counts, and a word that begins
no pair goes on with the one before.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import TypeAlias

from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import noise
from bulk_dispatch.providers.interface import Reply

Pairs: TypeAlias = Mapping[str, Sequence[str]]
"""Every value of a key, in their order; keys in small letters."""

LARGEST = 16_384
"""Bytes of an answer we are willing to read; a pair takes twenty."""

NAME = re.compile(r"[a-z][a-z_]*")

HALF = re.compile(rb"[^\s:]+\Z")
"""What may have been longer, for nothing stands behind it."""


def read(reply: Reply, keys: Collection[str], spoken: Collection[str]) -> Pairs | Failure:
    """The pairs of an answer that begins with one, but for what PHP says of itself; else UNREADABLE.

    Any name may be a key, but the sentence after a `spoken` one ends only at a key we know: colons follow
    words there, too. Where only the connection says that the answer ends, its last word may be half a one:
    of a pair the key stays, with nothing behind it.
    """
    body = reply.body if reply.ended else HALF.sub(b"", reply.body)
    if len(body) > LARGEST:
        return UNREADABLE.because(detail=f"{len(body)} bytes are too many")
    found: dict[str, list[str]] = {}
    values: list[str] = []
    speaks = False
    # A sentence may be in whatever encoding; all else is ASCII.
    for word in noise.plain_text(body).split():
        key, colon, value = word.partition(":")
        key = key.lower()
        if colon and (key in keys or key in spoken or (NAME.fullmatch(key) and not speaks)):
            values = found.setdefault(key, [])
            values.append(value)
            speaks = key in spoken
        elif values:
            values[-1] = f"{values[-1]} {word}"
        else:
            return UNREADABLE.because(detail=f"{len(body)} bytes that are no pairs")
    return found or UNREADABLE.because(detail=f"{len(body)} bytes of blanks" if body else "empty")


def one(pairs: Pairs, *names: str) -> str:
    """The value that stands under these names; nothing if they disagree."""
    values = {value for name in names for value in pairs.get(name, ())}
    return values.pop() if len(values) == 1 else ""
