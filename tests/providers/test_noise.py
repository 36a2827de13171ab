"""Noise about an answer: what is read all the same, and what stays unreadable, for every shape of answer."""

from collections.abc import Iterator

import pytest

from bulk_dispatch.providers.alphasms.http import KEYS, SPOKEN
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.formats import json_api, xml
from bulk_dispatch.providers.formats.key_value import read as read_pairs
from bulk_dispatch.providers.interface import Reply
from tests.providers.questions import Question, questions
from tests.providers.rules import decides_nothing
from tests.providers.test_every_provider import every_provider, of

WARNING = b"<br />\n<b>Warning</b>:  Undefined index: x in <b>/var/www/api.php</b> on line <b>7</b><br />\n"
NOTICE = b"\nNotice: Undefined variable: x in /var/www/api.php on line 12\n"
FATAL = (
    b"\nFatal error: Uncaught Exception: id:7 in /x.php:12\nStack trace:\n"
    b"#0 /x.php(9): {closure}()\n#1 {main}\n  thrown in /x.php on line 12\n"
)
NOISES = {
    "how PHP died": (b"", FATAL),
    "a warning of PHP": (WARNING, b""),
    "its last words": (b"", b"\n" + WARNING),
    "several, as text": (NOTICE + b"PHP Deprecated:  Old in C:\\www\\x.php on line 3\n", NOTICE),
    "comments": (b"<!-- web3, <3 -->\n", b"<!-- 12 ms --><!-- <p> -->"),
    "byte order marks": (b"\n\xef\xbb\xbf\r\n\xef\xbb\xbf", b"\xef\xbb\xbf"),
    "control characters": (b"\x00\x0b\x1f", b"\n\x00\x00\x1a\x7f"),
    "all of it": (b"\xef\xbb\xbf" + WARNING + b"<!-- x -->" + NOTICE + b"\x0c", b"\x00" + WARNING),
}
"""What may stand about any answer."""

PAGES = {
    "a page": (b"<!DOCTYPE html><html><body class='x'><p>Slow today</p></body></html>\n", b""),
    "words": (b"connected; 3 < 4\n", b"\nbye (0.2 s)"),
    "a table of xdebug": (
        b"<br />\n<font size='1'><table class='xdebug-error'>\n<tr><th>Notice</th></tr></table></font>\n",
        b"",
    ),
    "in another encoding": (b"\xcf\xf0\xe8\xe2\xe5\xf2\n", b"\xff"),
}
"""What may stand about a document that shows where it begins and ends."""


def good(provider: str) -> Iterator[tuple[str, Question]]:
    sample, _, speaker = of(provider)
    yield from questions(sample, speaker).items()


def is_document(question: Question) -> bool:
    return question.good.startswith((b"<", b"{"))


@every_provider
@pytest.mark.parametrize("noise", [*NOISES, *PAGES])
def test_given_noise_about_a_whole_answer_then_it_says_what_it_said(provider: str, noise: str) -> None:
    before, after = {**NOISES, **PAGES}[noise]
    for name, question in good(provider):
        if noise in NOISES or is_document(question):
            heard = question.read(Reply(200, before + question.good + after))
            assert heard == question.read(Reply(200, question.good)), name


@every_provider
def test_given_noise_about_less_or_more_than_one_document_then_it_decides_nothing(provider: str) -> None:
    for name, question in good(provider):
        whole = question.good
        if not is_document(question):
            continue
        bodies = (
            WARNING + whole[: len(whole) * 3 // 4] + WARNING,
            WARNING + whole[:-1],
            WARNING + whole + whole,
            whole + WARNING + whole,
            WARNING + whole + whole[: len(whole) // 2],
            WARNING + whole[len(whole) // 2 :] + whole,
            b"<!-- " + whole + b" -->" + WARNING,
            b"<html><body>" + WARNING + whole + b"</body></html>",
            WARNING + b"<pre>" + whole,
            WARNING + b"<envelope/>" + whole,
            b'<?xml version="1.0"?><response><a>1</a></response>' + WARNING + whole,
            b'<?xml version="1.0"?>' + WARNING + whole,
            WARNING + b"<![CDATA[" + whole + b"]]>",
            WARNING + b"<?php echo ?>" + whole,
            b"<!-- " + whole,
        )
        for place, body in enumerate(bodies):
            assert decides_nothing(question.read(Reply(200, body))), (name, place)


SPOILT_XML = {
    "a second root, in a comment": b"x<package>1</package><!-- <package> -->",
    "a second root, of its own": b"x<package/><package>1</package>",
    "a root within a root": b"x<package><package>1</package></package>",
    "an end too many": b"x<package>1</package></package>",
    "an end before its beginning": b"x</package><package>",
    "no end": b"x<package>1",
    "a doctype": b"x<!DOCTYPE package><package>1</package>",
    "a doctype of entities": b'x<!DOCTYPE html [<!ENTITY a "1">]><package>1</package>',
    "a request of ours": b"x<request><token value='1'/></request><package>1</package>",
    "a tag that is cut": b"x<package>1</package><p",
    "an element that begins in front": b"<b>x<package>1</package></b>",
    "an element that ends behind": b"x<package>1</package></p>",
    "elements that overlap": b"<b><i>x</b></i><package>1</package>",
    "a control character within": b"x<package>1\x00</package>",
    "another name that begins so": b"x<package-old>1</package-old>",
    "noise beyond all bounds": b"x" * 70_000 + b"<package>1</package>",
    "comments without an end": b"<!--" * 100_000 + b"<package>1</package>",
}


@pytest.mark.parametrize("body", SPOILT_XML.values(), ids=SPOILT_XML)
def test_given_anything_else_about_a_document_then_it_stays_unreadable(body: bytes) -> None:
    assert isinstance(xml.read(body, "package"), Failure)


@pytest.mark.parametrize(
    "body",
    [
        b"x <package>1</package>",
        b"<package>1</package> x",
        b'x <?xml version="1.0" encoding="windows-1251"?>\n<!-- y --><package a="\xbf">1</package >\nz',
        b"<hr/><h1>Slow</h1> 3 < 4 <package\n>1</package\n>",
    ],
)
def test_a_document_among_noise_is_read(body: bytes) -> None:
    root = xml.read(body, "package")
    assert not isinstance(root, Failure)
    assert root.text == "1"
    assert root.get("a", "ї") == "ї"


@pytest.mark.parametrize("body", [b"x <package/>", b"x <package a='1' />y", b"x <package></package>"])
def test_an_empty_document_among_noise_is_read(body: bytes) -> None:
    root = xml.read(body, "package")
    assert not isinstance(root, Failure)
    assert len(root) == 0


SPOILT_JSON = {
    "in an array that is cut": b'[{"a": 1}',
    "the rest of an array": b'{"a": 1}]',
    "a value": b'x: {"a": 1}',
    "the first of several": b'x {"a": 1}, "b": 2',
    "in a text": b'x "{"a": 1}"',
    "two": b'x {"a": 1}\n{"a": 2}',
    "one that is cut, behind": b'x {"a": 1}{"a": ',
    "the rest of one, in front": b'2 }\n{"a": 1}',
    "within another": b'x {"b": {"a": 1}',
    "braces in noise": b'x {} {"a": 1}',
    "half of it": b'x {"a": ',
    "a name twice": b'x {"a": 1, "a": 1}',
    "a control character within": b'x {"a": "\x01"}',
    "in UTF-16": b"x " + '{"a": 1}'.encode("utf-16"),
    "in a page": b'<p>{"a": 1}</p>',
    "beside XML": b'<package/>{"a": 1}',
    "noise beyond all bounds": b"x" * 70_000 + b'{"a": 1}',
}


@pytest.mark.parametrize("body", SPOILT_JSON.values(), ids=SPOILT_JSON)
def test_given_anything_else_about_an_object_then_it_stays_unreadable(body: bytes) -> None:
    assert isinstance(json_api.load(body), Failure)


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        (WARNING + b"id:9001122 sms_count:2", {"id": ["9001122"], "sms_count": ["2"]}),
        (NOTICE + b"id:9001122\nsms_count:2" + NOTICE, {"id": ["9001122"], "sms_count": ["2"]}),
        (b"id:1\x00sms_count:2\x00", {"id": ["1"], "sms_count": ["2"]}),
        (
            b"\nWarning: id:7 sms_count:1 in /x.php on line 3\nid:1 sms_count:2",
            {"id": ["1"], "sms_count": ["2"]},
        ),
        (b"<br>\nid:1<br />sms_count:2<br/>", {"id": ["1"], "sms_count": ["2"]}),
        (b"<!-- id:7 -->id:1 sms_count:2", {"id": ["1"], "sms_count": ["2"]}),
        # Two answers contradict each other, and what parts a number makes it none.
        (WARNING + b"id:1 sms_count:1\nid:2 sms_count:1", {"id": ["1", "2"], "sms_count": ["1", "1"]}),
        (b"id:90\x0011 sms_count:2", {"id": ["90 11"], "sms_count": ["2"]}),
    ],
)
def test_pairs_among_noise_are_read(body: bytes, pairs: dict[str, list[str]]) -> None:
    assert read_pairs(Reply(200, body), KEYS, SPOKEN) == pairs


@pytest.mark.parametrize(
    "body",
    [
        WARNING,
        b"<html><body>Incident id:12345</body></html>",
        b"<p>id:12345 sms_count:1</p>",
        b"Incident<br>id:12345 sms_count:1",
        b"Incident id:12345 sms_count:1",
        b"<!-- id:12345 sms_count:1 -->",
        b"<!-- id:12345 sms_count:1",
    ],
)
def test_given_other_noise_about_pairs_then_they_stay_unreadable(body: bytes) -> None:
    assert isinstance(read_pairs(Reply(200, body), KEYS, SPOKEN), Failure)
