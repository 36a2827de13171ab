"""The keys of a route that a dialect alone knows, read strictly."""

import re
from collections.abc import Callable, Iterable, Mapping

PLUS, DIGITS = "plus", "digits"


class Options:
    """What a route says under a dialect's own keys: texts, as the routes file has them.

    A key that is missing or empty is as in `defaults`, where every key stands. Each reader raises ValueError,
    naming key and value, for what it cannot use.
    """

    def __init__(self, defaults: Mapping[str, str], given: Mapping[str, str]) -> None:
        self._defaults = defaults
        self._values = {**defaults, **{name: value for name, value in given.items() if value}}

    def number(self, name: str) -> int:
        """A positive whole number; 0 means the default, too."""
        value = self._values[name]
        if not (value.isascii() and value.isdigit() and len(value) < 10):
            raise ValueError(f"{name} must be a whole number, got {value!r}")
        return int(value) or int(self._defaults[name])

    def choice(self, name: str, allowed: Iterable[str]) -> str:
        """One of these words."""
        value = self._values[name]
        if value not in (words := tuple(allowed)):
            raise ValueError(f"{name} must be one of {', '.join(words)}, got {value!r}")
        return value

    def truth(self, name: str) -> bool:
        """True or false, in words or as 1 and 0."""
        value = self._values[name]
        if value not in _TRUTHS:
            raise ValueError(f"{name} must be true or false, got {value!r}")
        return _TRUTHS[value]

    def text(self, name: str, most: int) -> str:
        """A text in one line, of at most so many characters. It may hold anything, so an error shows none."""
        value = self._values[name]
        if len(value) > most or not value.isprintable() or value.isspace():
            raise ValueError(f"{name} must be printable text of at most {most} characters")
        return value

    def field_name(self, name: str) -> str:
        """What a field of a form, or of JSON, may be called."""
        value = self._values[name]
        if not _FIELD.fullmatch(value):
            raise ValueError(f"{name} must be the name of a field, got {value!r}")
        return value

    def number_format(self) -> Callable[[str], str]:
        """How phone numbers are written: makes it of E.164, by `number_format` (plus or digits)."""
        return as_it_is if self.choice("number_format", (PLUS, DIGITS)) == PLUS else without_plus


def as_it_is(number: str) -> str:
    """E.164 as it stands."""
    return number


def without_plus(number: str) -> str:
    """E.164 in digits alone."""
    return number.removeprefix("+")


_TRUTHS = {"0": False, "false": False, "1": True, "true": True}
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}")
