"""JSON that is untrusted: what is read of it, and what is not."""

import pytest

from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.formats import json_api
from bulk_dispatch.providers.formats.json_api import Document


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b' {"a": [1, "2", null]} \n', {"a": [1, "2", None]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        ('"ок"'.encode(), "ок"),
        (b"[" * 50 + b"]" * 50, None),
    ],
)
def test_what_is_read(body: bytes, value: object) -> None:
    read = json_api.load(body)
    assert not isinstance(read, Failure)
    assert value is None or read == value


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "empty"),
        (b" \n\t", "3 bytes of blanks"),
        (b'"' + b"a" * json_api.LARGEST + b'"', "1048578 bytes are too many"),
        (b"[" * 200_000, "no JSON in 200000 bytes, RecursionError"),
        (b'{"a":' * 200_000, "no JSON in 1000000 bytes, RecursionError"),
        (b'{"secret": 1', "no JSON in 12 bytes, JSONDecodeError"),
        (b'{"a": 1, "a": 1}', "no JSON in 16 bytes, ValueError"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "no JSON in 31 bytes, ValueError"),
        (b"NaN", "no JSON in 3 bytes, ValueError"),
        (b"[-Infinity]", "no JSON in 11 bytes, ValueError"),
        (b"9" * 5_000, "no JSON in 5000 bytes, ValueError"),
        (b'"\xff"', "no JSON in 3 bytes, UnicodeDecodeError"),
        ('{"a": 1}'.encode("utf-16"), "no JSON in 18 bytes, UnicodeDecodeError"),
        (b"{} {}", "no JSON in 5 bytes, JSONDecodeError"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else "",
)
def test_what_is_not_read_is_not_quoted(body: bytes, detail: str) -> None:
    read = json_api.load(body)
    assert isinstance(read, Failure)
    assert (read.name, read.detail) == ("unreadable", detail)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'{"data": {"id": "7"}}', Document([{"id": "7"}], [])),
        (b'{"data": [{"id": "7"}, null, "x"]}', Document([{"id": "7"}, {}, {}], [])),
        (b'{"data": [], "errors": []}', Document([], [])),
        (b'{"errors": [{"code": "x"}], "data": null}', Document([], [{"code": "x"}])),
        (b'{"errors": {"code": "x"}}', Document([], [{"code": "x"}])),
    ],
)
def test_a_document_holds_data_or_errors(body: bytes, document: Document) -> None:
    assert json_api.read(body) == document


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"[]", "JSON that is no object"),
        (b"{}", "JSON with neither data nor errors"),
        (b'{"data": null, "errors": []}', "JSON with neither data nor errors"),
        (b'{"data": {"id": "7"}, "errors": [{}]}', "JSON with both data and errors"),
        (b'{"data": [], "errors": [{}]}', "JSON with both data and errors"),
    ],
)
def test_what_is_no_document(body: bytes, detail: str) -> None:
    read = json_api.read(body)
    assert isinstance(read, Failure)
    assert (read.name, read.detail) == ("unreadable", detail)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (" ok ", "ok"),
        (1930011223301, "1930011223301"),
        (0, "0"),
        (True, ""),
        (1.0, ""),
        (None, ""),
        ([], ""),
        ({}, ""),
        (10**4_400, ""),
    ],
    ids=lambda value: str(value)[:20] if not isinstance(value, int) else "",
)
def test_a_word(value: object, word: str) -> None:
    assert json_api.word(value) == word
