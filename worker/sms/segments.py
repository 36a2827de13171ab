"""How many SMS segments a text takes (3GPP TS 23.038): GSM-7 if every character fits, else UCS-2."""

from math import ceil

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")  # an escape and the character: two septets each

_GSM_ALONE, _GSM_JOINED = 160, 153  # septets; a concatenation header takes seven
_UCS_ALONE, _UCS_JOINED = 70, 67  # UTF-16 units; a concatenation header takes three


def segments(text: str) -> int:
    """Segments this text is billed as; an empty text is one.

    >>> segments("a" * 160), segments("a" * 161), segments("я" * 70), segments("я" * 71)
    (1, 2, 1, 2)
    """
    if len(text) <= _UCS_ALONE and text.isascii():  # whichever alphabet it takes
        return 1
    if _BASIC.issuperset(text):  # one pass in C over nearly every text there is
        return _parts([1] * len(text) if len(text) > _GSM_ALONE else [], _GSM_ALONE, _GSM_JOINED)
    if _BASIC.issuperset(set(text) - _EXTENDED):
        return _parts([2 if c in _EXTENDED else 1 for c in text], _GSM_ALONE, _GSM_JOINED)
    return _parts([2 if ord(c) > 0xFFFF else 1 for c in text], _UCS_ALONE, _UCS_JOINED)


def _parts(widths: list[int], alone: int, joined: int) -> int:
    if sum(widths) <= alone:
        return 1
    if 2 not in widths:
        return ceil(len(widths) / joined)
    parts, room = 1, joined
    for width in widths:  # a two-unit character is never cut in half: it moves to the next part whole
        if width > room:
            parts, room = parts + 1, joined
        room -= width
    return parts
