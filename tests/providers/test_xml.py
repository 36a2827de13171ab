"""XML as all XML dialects share it: what is written, what is read, and what is said of what cannot be."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import xml
from tests.providers.harness import as_document

CODE = "471199"  # stands for whatever a provider may echo
PACKAGE = b"<package>1</package>"

READABLE = {
    "plain": PACKAGE,
    "declared": b'<?xml version="1.0" encoding="utf-8"?>\n' + PACKAGE,
    "with a byte order mark": b"\xef\xbb\xbf" + PACKAGE,
    "with marks and blanks of several includes": b"\n\xef\xbb\xbf\r\n\xef\xbb\xbf \t" + PACKAGE,
    "after a megabyte of blanks": b" " * 1_048_576 + PACKAGE,
    "in UTF-16": "<package>1</package>".encode("utf-16"),
    "in windows-1251, as declared": (
        '<?xml version="1.0" encoding="windows-1251"?><package a="ї">1</package>'.encode("cp1251")
    ),
    "in UTF-8, though declared otherwise": (
        '<?xml version="1.0" encoding="utf-16"?><package a="ї">1</package>'.encode()
    ),
    "as deep as any answer could be": b"<package>1" + b"<a>" * 200 + b"</a>" * 200 + b"</package>",
    "with comments and instructions": b"<?a b?><!-- c --><package><!-- d -->1<?e f?></package><!-- g -->",
}  # fmt: skip


@pytest.mark.parametrize("body", READABLE.values(), ids=READABLE)
def test_it_reads(body: bytes) -> None:
    root = xml.read(body, "package")
    assert not isinstance(root, Failure)
    assert (root.tag, root.text) == ("package", "1")


SAID = [
    (b"", "empty"),
    (b" \r\n" * 100, "300 bytes of blanks"),
    (b"x" * (xml.LARGEST + 1), "8388609 bytes are too many"),
    (b"<html><p>" + CODE.encode(), "an HTML page of 15 bytes"),
    (b"\n<!DOCTYPE html><html></html>", "a doctype, which no honest answer has"),
    (b"<html>" + CODE.encode() + b"</html>", "an HTML page whose root is not package"),
    (b'{"code": ' + CODE.encode() + b"}", "JSON of 16 bytes"),
    (CODE.encode(), "something of 6 bytes"),
    (b"<package>" + CODE.encode(), "XML of 15 bytes"),
    (f"<package><{CODE}/></package>".encode(), "XML of 28 bytes"),
    (f"<package><a{CODE}></package>".encode(), "XML of 28 bytes"),
    (f"<package>&a{CODE};</package>".encode(), "XML of 28 bytes"),
    (f"<a{CODE}/>".encode(), "XML whose root is not package"),
    (b"<package>\x00</package>", "XML of 20 bytes"),
    (b"<package>" * 300 + b"</package>" * 300, "XML of 5700 bytes"),
]


@pytest.mark.parametrize(("body", "detail"), SAID, ids=[detail for _, detail in SAID])
def test_it_says_what_it_saw_and_quotes_nothing(body: bytes, detail: str) -> None:
    failure = xml.read(body, "package")
    assert isinstance(failure, Failure)
    assert failure.because() == UNREADABLE
    # Which of its names libxml2 finds for a problem is not ours to promise.
    assert re.sub(", ERR_[A-Z_]+$", "", failure.detail) == detail
    assert CODE not in str(failure)


def test_what_was_written_is_read_back() -> None:
    body = xml.render(
        (
            "package",
            {"key": "a\"<&>'\n\tї"},
            [
                ("message", {}, (("msg", {"id": str(n)}, f"{n} < & ]]> 😀") for n in range(3))),
                ("message-viber", {}, [("msg", {}, [("phone", {}, "+380"), ("text", {}, "")])]),
                ("balance", {}, ()),
            ],
        )
    )
    assert as_document(body) == (
        "package",
        {"key": "a\"<&>'\n\tї"},
        "",
        [
            ("message", {}, "", [("msg", {"id": str(n)}, f"{n} < & ]]> 😀", []) for n in range(3)]),
            ("message-viber", {}, "", [("msg", {}, "", [("phone", {}, "+380", []), ("text", {}, "", [])])]),
            ("balance", {}, "", []),
        ],
    )
    assert body.startswith(b"<?xml version='1.0' encoding='utf-8'?>")


@pytest.mark.parametrize("bad", ["\x00", "\x0b", "\ud800", "\uffff"], ids=ascii)
def test_what_xml_cannot_carry_is_not_written(bad: str) -> None:
    with pytest.raises(ValueError, match=r"XML compatible|surrogates"):
        xml.render(("package", {}, bad))


@settings(max_examples=2 * settings().max_examples)
@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
    name=st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")),
)
def test_any_text_and_any_attribute_come_back(text: str, name: str) -> None:
    root = xml.read(xml.render(("package", {"name": name}, text)), "package")
    assert not isinstance(root, Failure)
    assert (root.text or "", root.get("name")) == (text, name)
