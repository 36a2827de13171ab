"""How many SMS segments a text takes (3GPP TS 23.038): GSM-7 if every character fits, else UCS-2; and which
characters make a text of Latin letters take the dearer of the two."""

import codecs
import re
import unicodedata
from collections.abc import Iterable
from enum import StrEnum
from math import ceil
from typing import NamedTuple

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = "^{}\\[~]|€\f"  # an escape and the character: two septets each

_SEVEN_BIT = frozenset(_BASIC + _EXTENDED)

_PLAIN = re.compile(f"[{re.escape(_BASIC)}]*")
_GSM = re.compile(f"[{re.escape(_BASIC + _EXTENDED)}]*")
_STRANGE = re.compile(f"[^{re.escape(_BASIC + _EXTENDED)}]")
_ESCAPED = re.compile(f"[{re.escape(_EXTENDED)}]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")  # a surrogate pair: two UTF-16 units each

_UTF_16 = codecs.getencoder("utf-16-le")  # once: `encode` looks for it each time, in thrice the time

_GSM_ALONE, _GSM_JOINED = 160, 153  # septets; a concatenation header takes seven
_UCS_ALONE, _UCS_JOINED = 70, 67  # UTF-16 units; a concatenation header takes three

HANDFUL = 8  # different characters outside GSM-7; more are an alphabet
LETTERS_A_STRANGER = 4  # of a Latin text, for each letter outside GSM-7
_GLANCE = 40  # characters that nearly always show an alphabet, in a fifth of the time

_UNNAMED = {"Cc": "CONTROL CHARACTER", "Co": "PRIVATE USE", "Cs": "LONE SURROGATE", "Cn": "UNASSIGNED"}


class Encoding(StrEnum):
    """How the characters of a text travel."""

    GSM7 = "gsm-7"  # seven bits each, of one small alphabet
    UCS2 = "ucs-2"  # sixteen bits each, whatever is written


class Dear(NamedTuple):
    """The characters that make a text take UCS-2, in the order they come, and how many segments more it takes
    because of them: none, where it is short."""

    characters: tuple[str, ...]
    segments: int


def segments(text: str) -> int:
    """Segments this text is billed as; an empty text is one.

    >>> segments("a" * 160), segments("a" * 161), segments("я" * 70), segments("я" * 71)
    (1, 2, 1, 2)
    """
    if len(text) <= _UCS_ALONE and text.isascii():  # whichever alphabet it takes
        return 1
    if text[0] in _SEVEN_BIT:  # the first character of another alphabet tells enough
        if _PLAIN.fullmatch(text):
            return 1 if len(text) <= _GSM_ALONE else ceil(len(text) / _GSM_JOINED)
        if _GSM.fullmatch(text):
            septets = len(text) + len(_ESCAPED.findall(text))
            return 1 if septets <= _GSM_ALONE else _packed(text, _ESCAPED, _GSM_JOINED)
    units = len(_UTF_16(text, "surrogatepass")[0]) // 2
    if units <= _UCS_ALONE:
        return 1
    return ceil(units / _UCS_JOINED) if units == len(text) else _packed(text, _ASTRAL, _UCS_JOINED)


def fits(text: str, most: int) -> bool:
    """Whether a text takes at most so many segments. Of nearly every text that is told without counting.

    >>> fits("я" * 670, 10), fits("я" * 671, 10)
    (True, False)
    """
    # A character takes two units at the most, and a part that is followed by another is full but for one.
    return 2 * len(text) <= (_UCS_JOINED - 1) * most or segments(text) <= most


def encoding(text: str) -> Encoding:
    """The encoding a text takes.

    >>> encoding("Price: 5 €").value, encoding("It’s ready").value
    ('gsm-7', 'ucs-2')
    """
    return Encoding.GSM7 if _GSM.fullmatch(text) else Encoding.UCS2


def dear_characters(text: str) -> Dear | None:
    """The characters that make a Latin text take UCS-2; None if it takes GSM-7, or is not Latin.

    Latin is a text in which no more than a handful of different characters are outside GSM-7, and no more
    than one letter in four. So a quote, a dash, a blank, an emoji, an accent or a look-alike from another
    alphabet is named, and a text that is written in another alphabet is left in peace.

    >>> dear_characters("It’s ready" + " at the shop" * 6)
    Dear(characters=('’',), segments=1)
    """
    if _GSM.fullmatch(text) or _is_an_alphabet(text[:_GLANCE]):
        return None
    strange = _STRANGE.findall(text)
    if _is_an_alphabet(strange) or _are_many(_letters(strange), text):
        return None
    cheap = segments(_STRANGE.sub("x", text))
    return Dear(tuple(dict.fromkeys(strange)), segments(text) - cheap)


def _is_an_alphabet(characters: Iterable[str]) -> bool:
    return len(set(characters) - _SEVEN_BIT) > HANDFUL


def _are_many(letters: int, text: str) -> bool:
    return letters > 0 and letters * LETTERS_A_STRANGER > _letters(text)


def _letters(characters: Iterable[str]) -> int:
    return sum(map(str.isalpha, characters))


def character_name(character: str) -> str:
    """A character as people can look it up.

    >>> character_name("’"), character_name("\\t")
    ('U+2019 RIGHT SINGLE QUOTATION MARK', 'U+0009 CONTROL CHARACTER')
    """
    unnamed = _UNNAMED.get(unicodedata.category(character), "UNNAMED")
    return f"U+{ord(character):04X} {unicodedata.name(character, unnamed)}"


def _packed(text: str, wide: re.Pattern[str], joined: int) -> int:
    """Parts of a text in which `wide` characters take two units. Such a one is never cut in half (3GPP TS
    23.040, 9.2.3.24.1): where it would be, a unit stays empty and it begins the next part."""
    more = 0  # units beyond one a character
    for found in wide.finditer(text):
        cut = (found.start() + more) % joined == joined - 1
        more += 2 if cut else 1
    return ceil((len(text) + more) / joined)
