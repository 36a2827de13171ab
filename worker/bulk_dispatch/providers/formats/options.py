"""Options of an account, read strictly: a bad value raises ValueError naming the option.

All are texts, as the routes file gives them; an empty one means the default.
"""

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

from bulk_dispatch.timezones import NoZoneError
from bulk_dispatch.timezones import zone as zone_of


def number(options: Mapping[str, str], name: str, default: int) -> int:
    """A positive whole number; 0 means the default, too."""
    text = options.get(name, "") or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{name} must be a whole number, got {text!r}")
    return int(text) or default


def choice(options: Mapping[str, str], name: str, allowed: Iterable[str], default: str) -> str:
    """One of these words."""
    word = options.get(name, "") or default
    if word not in (words := tuple(allowed)):
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {word!r}")
    return word


def text(options: Mapping[str, str], name: str, default: str, most: int) -> str:
    """A text in one line, of at most so many characters."""
    given = options.get(name, "") or default
    if len(given) > most or not given.isprintable() or given.isspace():
        raise ValueError(f"{name} must be printable text of at most {most} characters")
    return given


PLUS, DIGITS = "plus", "digits"


def number_format(options: Mapping[str, str], default: str) -> Callable[[str], str]:
    """How phone numbers are written: makes it of E.164, by `number_format` (plus or digits)."""
    chosen = choice(options, "number_format", (PLUS, DIGITS), default)
    return as_it_is if chosen == PLUS else without_plus


def as_it_is(number: str) -> str:
    """E.164 as it stands."""
    return number


def without_plus(number: str) -> str:
    """E.164 in digits alone."""
    return number.removeprefix("+")


def truth(options: Mapping[str, str], name: str) -> bool:
    """True or false, in words or as 1 and 0; false by default."""
    text = options.get(name, "")
    if text not in _TRUTHS:
        raise ValueError(f"{name} must be true or false, got {text!r}")
    return _TRUTHS[text]


_TRUTHS = {"": False, "0": False, "false": False, "1": True, "true": True}


def zone(options: Mapping[str, str], default: str) -> ZoneInfo:
    """The time zone in `zone`, by its name in the tz database."""
    name = options.get("zone", "") or default
    try:
        return zone_of(name)
    except NoZoneError:
        raise ValueError(f"zone must be a time zone such as {default}, got {name!r}") from None
