"""Fields: what a value of a message must look like, and the error that names the field and the value."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from bulk_dispatch.domain.instants import InstantError, read_instant
from bulk_dispatch.domain.segments import character_name

TEXT_LIMIT = 2000  # characters; what a provider carries is less, and checked by its dialect
URL_LIMIT = 1000

INSTANTS = frozenset({"send_at", "valid_until", "viber_valid_until"})
"""Fields whose value is shown as it was given, if it looks like a date."""

TEXTS = frozenset({"text", "sms_text", "name", "additional"})
"""Fields that people read: nothing of what stands in them is shown."""


class MessageError(ValueError):
    """A message that cannot be sent as it is. Names the `field`, what is wrong with it (`problem`), and its
    value as it may be `shown`: masked if it is personal."""

    def __init__(self, field: str, value: object, problem: str) -> None:
        self.field = field
        self.shown = shown(field, value)
        self.problem = problem
        super().__init__(f"{field}: {problem}, got {self.shown}")

    def about(self, given: Mapping[str, Any]) -> "MessageError":
        """The same error, showing the value as it was given and not what had been made of it."""
        return MessageError(self.field, given[self.field], self.problem) if self.field in given else self


def shown(field: str, value: object) -> str:
    """A value as it may be seen. Where columns are mixed up, any field may hold a text or a number."""
    if not isinstance(value, str):
        small = isinstance(value, int | float) and abs(value) < 10**6  # a larger one may be somebody's number
        return repr(value) if value is None or small else type(value).__name__
    if field in INSTANTS and _DATE.match(value) and len(value) < 60:  # nobody's secret
        return repr(value)
    hidden = (field in TEXTS and value) or (field == "recipient" and len(value) > 6)
    number = sum(map(str.isdigit, value)) >= 7 and field != "client_id"
    if hidden or number or len(value) > 40 or value.count(" ") > 2:
        return f"<{len(value)} characters>"
    return repr(value)


_DATE = re.compile(r"\s*\d{1,4}([-./])\d{1,2}\1\d{1,4}(?!\d)", re.ASCII)


def mask(number: str) -> str:
    """A number that may be shown: who carries it, not whose it is.

    >>> mask("+380931110001")
    '+38093…01'
    """
    head = min(6, len(number) - 6)  # a number may be as short as seven digits; four at least stay hidden
    return f"{number[:head]}…{number[-2:]}" if head > 0 else number


# -- what is plainly not meant

_OF_SOFTWARE = frozenset({
    "nan", "none", "null", "nil", "nat", "<na>", "undefined", "[object object]",
    "n/a", "#n/a", "#ref!", "#value!", "#name?", "#null!", "#num!", "#div/0!", "#spill!", "#calc!",
    "#н/д", "#ссылка!", "#знач!", "#имя?", "#число!", "#пусто!", "#дел/0!",
    "#посилання!", "#ім'я?", "#діл/0!",
})  # fmt: skip
"""What pandas, JavaScript and spreadsheets (in English, Russian, Ukrainian) write where there is nothing."""

BEGINNINGS = frozenset({word[0] for word in _OF_SOFTWARE} | {"N", "U", " ", "\t", "\n", "\u00a0"})
"""First characters of these, so that most values are told from them at once."""

_LEFT_OVER = re.compile(
    r"""
    \{\{[^{}]{1,60}\}\}                # {{ name }}, {{1}}, {{#if x}}
    | \{\s*[$@.%\#]?\s*["']?[^\W\d][^{}]{0,60}\}  # {name}, ${name}, {$name}, {% if x %}
    | \*\|[^|]{1,60}\|\*               # *|NAME|*
    | <%.{1,60}?%>                     # <%= name %>
    | %\(\w{1,60}\)[sd]                # %(name)s
    | \#(?:N/A|REF!|VALUE!|NAME\?|NULL!|NUM!|DIV/0!)
    | \#(?:Н/Д|ССЫЛКА!|ПОСИЛАННЯ!|ЗНАЧ!|ИМЯ\?|ІМ'Я\?|ЧИСЛО!|ДЕЛ/0!|ДІЛ/0!)
    | _x[0-9A-Fa-f]{4}_                # _x000D_: a control character, as a spreadsheet keeps it
    | \[object\ Object\]
    | (?<!\w)(?:nan(?=[,.!?;:]|$)|NaN|NaT|undefined)(?!\w)  # a missing value, written into the text
    | <NA> | Invalid\ Date
    | \#(?:SPILL!|CALC!|FIELD!|GETTING_DATA|ERROR!|BEZUG!|WERT!|NV(?!\w))
    | ｛[^｛｝]{1,60}｝ | %7[Bb]\w{1,60}%7[Dd] | \[\[[^\[\]]{1,60}\]\] | <<[^<>]{1,60}>> | \$\(\w{1,60}\)
    | \#\#\w{1,60}\#\# | (?<!\w)%\w*[^\W\d]\w*%(?!\w)
    | \ufffd                           # a letter that was lost in another encoding
    """,
    re.VERBOSE,
)


def is_word_of_software(value: str) -> bool:
    """Whether a whole value is what software writes where there is none: nan, None, #N/A."""
    return value[:1] in BEGINNINGS and len(value) < 20 and value.strip().casefold() in _OF_SOFTWARE


def left_over(text: str) -> str:
    """What stands in a text that nobody meant to send, such as a placeholder that was not filled in; empty if
    there is no such thing."""
    # One of these stands in whatever is found: to look for them first takes a tenth of the time.
    if not (
        "{" in text or "#" in text or "_" in text or "[" in text or "*" in text or "<" in text or "%" in text
        or ("n" in text and ("nan" in text or "undefined" in text)) or ("N" in text and "Na" in text)
        or "$(" in text or "\ufffd" in text or "｛" in text or "Invalid Date" in text
    ):  # fmt: skip
        return ""
    found = _LEFT_OVER.search(text)
    return found.group() if found else ""


_NAME_ALONE = re.compile(r"[^\w\s]{0,4}\s?[\w.'/]{1,30}\s?[^\w\s]{0,4}s?")
"""What is left over and may be shown: one word. Anything longer in braces may be somebody's text."""


def check_no_word_of_software(field: str, value: str) -> None:
    """Raise MessageError for a value that says there is none."""
    if is_word_of_software(value):
        raise MessageError(
            field, value, f"is {value.strip()!r}, as software writes it where there is nothing"
        )


def check_meant(field: str, value: str) -> None:
    """Raise MessageError for a text that is plainly not meant as it stands."""
    if value[:1] in BEGINNINGS:
        check_no_word_of_software(field, value)
    if found := left_over(value):
        shows = _NAME_ALONE.fullmatch(found) and sum(map(str.isdigit, found)) < 4
        told = repr(found) if shows else f"a placeholder of {len(found)} characters"
        raise MessageError(field, value, f"holds {told}, which was not filled in or is no text")


# Characters XML 1.0 cannot carry, lone surrogates among them; lxml and Postgres would refuse them later,
# where one message could spoil a whole package.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def check_name(field: str, value: object, least: int, most: int) -> None:
    """A short text in one line, of `least` to `most` characters."""
    if isinstance(value, str) and least <= len(value) <= most and value.isprintable() and not value.isspace():
        return  # nothing can be wrong with it: true of nearly all there are, and soon told
    if not isinstance(value, str):
        raise MessageError(field, value, "must be text")
    if len(value) < least or value.isspace():
        raise MessageError(field, value, "must not be empty")
    if len(value) > most:
        raise MessageError(field, value, f"must be at most {most} characters, not {len(value)}")
    if bad := _CONTROL.search(value):
        raise MessageError(field, value, f"must hold no control characters: {_placed(bad)}")


def check_sender(field: str, value: object) -> None:
    """A sender: a short text with no blanks at its ends and nothing in it that cannot be seen."""
    check_name(field, value, 1, SENDER_MOST)
    assert isinstance(value, str)
    if value.strip() != value:
        raise MessageError(field, value, "must have no blanks at its ends")
    if not value.isprintable():
        unseen = next(character for character in value if not character.isprintable())
        raise MessageError(field, value, f"holds what cannot be seen: {character_name(unseen)}")
    check_meant(field, value)


SENDER_MOST = 15  # characters; of one that is a number, a name is shorter

_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)


def client_id_of(value: Any) -> Any:
    """A client id as it is kept: two that look the same are one.

    Blanks at the ends and marks that nobody sees are dropped, and letters are composed (NFC). What is no text
    stays what it is.
    """
    if not isinstance(value, str):
        return value
    if value.isascii():
        return value.strip()
    return unicodedata.normalize("NFC", visible(value)).strip()


def visible(text: str) -> str:
    """A text without the marks that nobody sees."""
    return text if text.isascii() else _UNSEEN.sub("", text)


def check_text(field: str, text: object, most: int = TEXT_LIMIT) -> None:
    """What a person reads: not empty, at most `most` characters, nothing that XML cannot carry."""
    if isinstance(text, str) and 0 < len(text) <= most and text.isprintable() and not text.isspace():
        return  # as in `check_name`
    if not isinstance(text, str):
        raise MessageError(field, text, "must be text")
    if not visible(text).strip():
        raise MessageError(field, text, "must not be empty")
    if len(text) > most:
        raise MessageError(field, text, f"must be at most {most} characters")
    if bad := _UNPRINTABLE.search(text):
        raise MessageError(field, text, f"must hold no control characters: {_placed(bad)}")


def _placed(bad: "re.Match[str]") -> str:
    return f"U+{ord(bad.group()):04X} at {bad.start()}"


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
        raise MessageError(field, value, "must be an http or https address")


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


def truth(field: str, value: object) -> bool:
    """True or false, in words too, as a table has them; false if it is empty."""
    if isinstance(value, bool):
        return value
    found = _TRUTHS.get(value.casefold()) if isinstance(value, str) else None
    if found is None:
        raise MessageError(field, value, "must be true or false")
    return found


_TRUTHS = {"": False, "0": False, "false": False, "1": True, "true": True}


def instant(field: str, value: object) -> datetime | None:
    """An instant in UTC, from an aware datetime or from text (see `domain.instants`); None for none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str | datetime):
        raise MessageError(field, value, "must be a date and time")
    try:
        return read_instant(value)
    except InstantError as problem:
        raise MessageError(field, str(value), str(problem)) from None
