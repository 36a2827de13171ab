"""Fields: what a value of a message must look like, and the error that names the field and the value."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

TEXT_LIMIT = 2000  # characters; what a provider carries is less, and checked by its dialect
URL_LIMIT = 1000


class MessageError(ValueError):
    """A message that cannot be sent as it is. Names the `field` and its `value`, masked if it is personal."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        self.field = field
        self.value = value
        self.problem = problem
        super().__init__(f"{field}: {problem}, got {_shown(field, value)}")


def _shown(field: str, value: object) -> str:
    """A value as it may be seen. Where columns are mixed up, any field may hold a text or a number."""
    if not isinstance(value, str):
        small = isinstance(value, int | float) and abs(value) < 10**6  # a larger one may be somebody's number
        return repr(value) if value is None or small else type(value).__name__
    number = sum(map(str.isdigit, value)) >= 7 and field != "client_id"
    return f"<{len(value)} characters>" if number or len(value) > 40 or value.count(" ") > 2 else repr(value)


def mask(number: str) -> str:
    """A number that may be shown: who carries it, not whose it is.

    >>> mask("+380931110001")
    '+38093…01'
    """
    head = min(6, len(number) - 6)  # a number may be as short as seven digits; four at least stay hidden
    return f"{number[:head]}…{number[-2:]}" if head > 0 else number


# Characters XML 1.0 cannot carry, lone surrogates among them; lxml and Postgres would refuse them later,
# where one message could spoil a whole package.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]")
_SEPARATORS = str.maketrans("", "", " -().\u00a0")
_E164 = re.compile(r"\+?([1-9][0-9]{6,14})", re.ASCII)
_AS_WRITTEN = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


def phone_number(value: object, field: str = "recipient") -> str:
    """The number as we write it: a plus and 7 to 15 digits. Raises MessageError."""
    if not isinstance(value, str):
        raise MessageError(field, type(value).__name__, "must be a phone number as text")
    if _AS_WRITTEN.fullmatch(value):
        return value
    if not value or value.isspace():
        raise MessageError(field, value, "must not be empty")
    found = _E164.fullmatch(value.translate(_SEPARATORS))
    if not found:
        raise MessageError(field, mask(value[:24]), "must be an international phone number of 7 to 15 digits")
    return f"+{found.group(1)}"


def check_name(field: str, value: object, least: int, most: int) -> None:
    """A short text in one line, of `least` to `most` characters."""
    if isinstance(value, str) and least <= len(value) <= most and value.isprintable() and not value.isspace():
        return  # nothing can be wrong with it: true of nearly all there are, and soon told
    if not isinstance(value, str):
        raise MessageError(field, value, "must be text")
    if len(value) < least or value.isspace():
        raise MessageError(field, value, "must not be empty")
    if len(value) > most:
        raise MessageError(field, value[:20] + "…", f"must be at most {most} characters, not {len(value)}")
    if _CONTROL.search(value):
        raise MessageError(field, value, "must hold no control characters")


def check_text(field: str, text: object, most: int = TEXT_LIMIT) -> None:
    """What a person reads: not empty, at most `most` characters, nothing that XML cannot carry."""
    if isinstance(text, str) and 0 < len(text) <= most and text.isprintable() and not text.isspace():
        return  # as in `check_name`
    if not isinstance(text, str):
        raise MessageError(field, type(text).__name__, "must be text")
    if not text or text.isspace():
        raise MessageError(field, "", "must not be empty")
    if len(text) > most:
        raise MessageError(field, f"{len(text)} characters", f"must be at most {most} characters")
    if bad := _UNPRINTABLE.search(text):
        code = f"U+{ord(bad.group()):04X} at {bad.start()}"
        raise MessageError(field, code, "must hold no control characters")


def check_url(field: str, value: object) -> None:
    """An http or https address without blanks."""
    check_name(field, value, 1, URL_LIMIT)
    assert isinstance(value, str)
    try:
        parts = urlsplit(value)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and not re.search(r"\s", value)
    except ValueError:  # brackets that are no IPv6 address
        good = False
    if not good:
        raise MessageError(field, f"<{len(value)} characters>", "must be an http or https address")


def member(values: type[Any], field: str, value: object) -> Any:
    """The member of an enumeration, by its value."""
    if isinstance(value, values):
        return value
    try:
        if isinstance(value, str):  # of anything else the enumeration would write out the whole
            return values(value)
    except ValueError:
        pass
    raise none_of([one.value for one in values], field, value)


def none_of(allowed: Iterable[str], field: str, value: object) -> MessageError:
    """The error about a value that is none of these."""
    return MessageError(field, value, f"must be one of {', '.join(allowed)}")


def instant(field: str, value: object) -> datetime | None:
    """An instant in UTC, from an aware one or from ISO 8601; None for none."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise MessageError(field, value, "must be an ISO 8601 date and time") from None
    if not isinstance(value, datetime):
        raise MessageError(field, value, "must be a date and time")
    if value.tzinfo is None:
        raise MessageError(field, value.isoformat(), "must carry a time zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise MessageError(field, value.isoformat(), "must lie between the years 1 and 9999") from None
