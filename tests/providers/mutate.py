"""Mutations that keep a good answer's form, so that what comes gets past the parser and to the reader.

Documents are changed by their elements, JSON by its values, pairs by their words; now and then bytes are
changed as bytes.
"""

import json
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from random import Random
from typing import Any

from lxml import etree

from tests.providers.bodies import SPLINTERS

LONGEST = 4096  # bytes of an input

WORDS = (
    *("", " ", "0", "1", "-1", " 1 ", "01", "1.0", "1e9", "1e-9", "NaN", "true", "²", "٣"),
    *("9" * 30, "x" * 70, "+380931110001", "UAH", "12.5", "-3.2000000001", "RUNNING", "COMPLETE", "FAILED"),
    *("100", "102", "103", "104", "106", "107", "201", "203", "206", "208", "211", "212", "999"),
    *("3", "5", "10", "50", "95", "96", "99", "116"),
    *("send", " send ", "deliver", "read", "not_deliver", "expired", "partly_deliver", "link", "delete"),
    *("not_found", "ok", "ок", "OK", "error", "authentication", "balance", "throttle", "delivered"),
    *("Phone number is on the stop list", "Out of SMS", "It will be sent once you top up", "already sent"),
    *("NOTFOUND", "undeliverable", "rejected", "enroute", "accepted", "unknown", "unsubscribe"),
    *("2031-03-04T09:31:12", "2031-11-31 09:31", "0000-00-00 00:00:00", "09:31:12", "2031-03-04 09:31:07"),
)  # fmt: skip
"""Values that mean something to one reader or another."""


def mutated(chance: Random, whole: Sequence[bytes]) -> bytes:
    """One of them, changed."""
    body = chance.choice(whole)
    for _ in range(chance.randint(1, 3)):
        kind = chance.randrange(8)
        body = as_bytes(chance, body, whole) if not kind else (_formed(chance, body) or chance.choice(whole))
    return body[:LONGEST]


def _formed(chance: Random, body: bytes) -> bytes | None:
    """Changed in its own form; None if it has lost it."""
    head = body.lstrip()[:1]
    change: Callable[[Random, bytes], bytes] = (
        _document if head == b"<" else _json if head in (b"{", b"[") else _pairs
    )
    try:
        return change(chance, body)
    except (ValueError, RecursionError, etree.LxmlError):
        return None


def _document(chance: Random, body: bytes) -> bytes:
    root = etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    elements = list(root.iter("*"))
    one, other = chance.choice(elements), chance.choice(elements)
    own = [*(element.text or "" for element in elements), *(v for e in elements for v in e.attrib.values())]
    value = str(chance.choice(own if chance.randrange(2) else WORDS))
    names = sorted({str(name) for element in elements for name in element.attrib}) or ["id"]
    match chance.randrange(7):
        case 0:
            one.text = value
        case 1 | 2:
            one.set(chance.choice(names), value)
        case 3 if one.attrib:
            del one.attrib[chance.choice(list(one.attrib))]
        case 4 if one is not root:
            one.getparent().remove(one)
        case 5:
            other.insert(chance.randint(0, len(other)), deepcopy(one))
        case _:
            one.tag = other.tag
    return etree.tostring(root, encoding="utf-8", xml_declaration=bool(chance.randrange(2)))


def _json(chance: Random, body: bytes) -> bytes:
    whole = [json.loads(body)]
    holder, key = chance.choice(_places(whole))
    value = holder[key]
    values: list[Any] = [
        chance.choice(WORDS),
        chance.randint(-2, 300),
        None,
        True,
        1.5,
        [],
        {},
        [value],
        {"id": value},
    ]
    match chance.randrange(6):
        case 0 | 1 | 2:
            holder[key] = chance.choice(values)
        case 3 if holder is not whole:
            del holder[key]
        case 4 if isinstance(holder, list):
            holder.insert(chance.randint(0, len(holder)), deepcopy(value))
        case _:
            there, place = chance.choice(_places(whole))
            there[place] = deepcopy(value)
    return json.dumps(whole[0], ensure_ascii=bool(chance.randrange(2))).encode("utf-8", "replace")


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every value within, as its holder and its key."""
    found: list[tuple[Any, Any]] = []
    if isinstance(value, list | dict):
        for key in range(len(value)) if isinstance(value, list) else list(value):
            found += [(value, key), *_places(value[key])]
    return found


def _pairs(chance: Random, body: bytes) -> bytes:
    """Words at even places, what parts them at odd ones."""
    words = re.split(rb"([ \n&=:]+)", body)
    place = chance.randrange(0, len(words), 2)
    match chance.randrange(5):
        case 0 | 1:
            words[place] = chance.choice(WORDS).encode()
        case 2:
            words[place] = chance.choice(words[::2])
        case 3:
            words[place : place + 4] = []
        case _:
            words[place:place] = [*words[place : place + 4], b"&" if b"&" in body else b" "]
    return b"".join(words)


def as_bytes(chance: Random, whole: bytes, others: Sequence[bytes]) -> bytes:
    """Overwritten, cut, repeated, or crossed with another, wherever it happens."""
    body = bytearray(whole)
    start = chance.randint(0, len(body))
    end = min(len(body), start + chance.randint(0, 40))
    match chance.randrange(6):
        case 0:
            body[start:end] = chance.choice(SPLINTERS)
        case 1:
            body[start:start] = chance.choice(SPLINTERS)
        case 2:
            body[start:end] = chance.randbytes(chance.randint(0, 8))
        case 3:
            del body[start:end]
        case 4:
            body[start:start] = body[start:end] * chance.randint(1, 3)
        case _:
            other = chance.choice(others)
            at = chance.randint(0, len(other))
            body[start:end] = other[at : at + chance.randint(0, 80)]
    return bytes(body)
