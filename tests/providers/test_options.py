"""Keys of a route that a dialect alone knows: read strictly, and what is wrong is named."""

from collections.abc import Callable

import pytest

from bulk_dispatch.providers.formats.options import Options

DEFAULTS = {
    "call_items": "3",
    "path": "/xml",
    "told": "0",
    "ping_text": "ping",
    "state": "message_state",
    "number_format": "digits",
}

READERS: dict[str, Callable[[Options], object]] = {
    "call_items": lambda own: own.number("call_items"),
    "path": lambda own: own.choice("path", ("/xml", "/xml/")),
    "told": lambda own: own.truth("told"),
    "ping_text": lambda own: own.text("ping_text", 8),
    "state": lambda own: own.field_name("state"),
    "number_format": lambda own: own.number_format()("+380931110001"),
}


def read(name: str, value: str) -> object:
    return READERS[name](Options(DEFAULTS, {name: value}))


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("call_items", 3),
        ("path", "/xml"),
        ("told", False),
        ("ping_text", "ping"),
        ("state", "message_state"),
        ("number_format", "380931110001"),
    ],
)
def test_what_is_missing_or_empty_is_the_default(name: str, default: object) -> None:
    assert READERS[name](Options(DEFAULTS, {})) == read(name, "") == default


@pytest.mark.parametrize(
    ("name", "value", "made"),
    [
        ("call_items", "0", 3),
        ("call_items", "50", 50),
        ("path", "/xml/", "/xml/"),
        ("told", "1", True),
        ("told", "true", True),
        ("told", "false", False),
        ("ping_text", "I see", "I see"),
        ("state", "a.b-c", "a.b-c"),
        ("number_format", "plus", "+380931110001"),
    ],
)
def test_what_is_given_counts(name: str, value: str, made: object) -> None:
    assert read(name, value) == made


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        *(("call_items", bad, "must be a whole number, got") for bad in ("-1", "many", "1.5", "²", "9" * 10)),
        ("path", "/api", "must be one of /xml, /xml/, got"),
        ("told", "2", "must be true or false, got"),
        ("told", "yes", "must be true or false, got"),
        ("state", "a b", "must be the name of a field, got"),
        ("number_format", "+", "must be one of plus, digits, got"),
    ],
)
def test_what_is_no_value_is_refused_by_name_and_shown(name: str, value: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} ") as refused:
        read(name, value)
    assert str(refused.value) == f"{name} {said} {value!r}"


@pytest.mark.parametrize("value", ["nine long", "a\tb", "   "])
def test_a_text_that_cannot_be_used_is_not_shown(value: str) -> None:
    with pytest.raises(ValueError, match=r"^ping_text must be printable text of at most 8 characters$"):
        read("ping_text", value)
