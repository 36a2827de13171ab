"""XML as every XML dialect needs it: documents as plain values going out, distrust of whatever comes in.

An answer is untrusted bytes. Its content-type header is not looked at (AlphaSMS labels XML as JSON); the
body alone decides. Whatever cannot be read is UNREADABLE, with a detail that quotes nothing of it.
"""

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, TypeAlias

from lxml import etree

from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import noise

Element: TypeAlias = etree._Element  # noqa: SLF001 - lxml gives its one element type no public name
"""An element that was read."""

LARGEST = 8 * 1024 * 1024
"""Bytes of an answer we are willing to parse; ten thousand reports take one megabyte."""

Node: TypeAlias = "tuple[str, Mapping[str, str], str | Iterable[Node]]"
"""An element to be written: its name, its attributes, and its text or its children."""

_BLANKS = b" \t\r\n"
_BEFORE = _BLANKS + b"\xef\xbb\xbf"
"""What stray includes put before a document: blank lines and byte order marks, in any order."""

_LOOKS = (("an HTML page", (b"<!doctype html", b"<html")), ("XML", (b"<",)), ("JSON", (b"{", b"[")))


def render(document: Node) -> bytes:
    """The document as UTF-8 bytes, all mark-up escaped.

    Streamed, because growing a tree first takes half as long again.

    Raises ValueError for characters that XML cannot carry; no Message holds such.
    """
    out = BytesIO()
    with etree.xmlfile(out, encoding="utf-8") as page:
        page.write_declaration()
        _write(page, document)
    return out.getvalue()


def _write(page: Any, node: Node) -> None:
    name, attributes, content = node
    with page.element(name, attributes):
        if isinstance(content, str):
            page.write(content)
        else:
            for child in content:
                _write(page, child)


def read(body: bytes, root: str) -> Element | Failure:
    """The root element of a document that is wholly there and whose root is named so, by itself or among
    noise; else UNREADABLE."""
    if len(body) > LARGEST:
        return UNREADABLE.because(detail=f"{len(body)} bytes are too many")
    document = body.lstrip(_BEFORE)
    if not document:
        return UNREADABLE.because(detail="empty" if not body else f"{len(body)} bytes of blanks")
    found = _parsed(document)
    if isinstance(found, str) and (inner := noise.xml_document(document, root)):
        again = _parsed(inner)
        found = found if isinstance(again, str) else again
    if isinstance(found, str):
        return UNREADABLE.because(detail=f"{_looks(document)} of {len(body)} bytes, {found}")
    if found.getroottree().docinfo.internalDTD is not None:
        return UNREADABLE.because(detail="a doctype, which no honest answer has")
    if found.tag != root:
        return UNREADABLE.because(detail=f"{_looks(document)} whose root is not {root}")
    return found


def _parsed(document: bytes) -> Element | str:
    """The root, or what was wrong. A wrongly declared encoding gets a second chance as UTF-8."""
    problem = ""
    for encoding in (None, "utf-8"):
        try:
            # fromstring is typed as possibly Any; it returns a root or raises.
            root: Element = etree.fromstring(document, _parser(encoding))
        except (etree.LxmlError, ValueError, LookupError) as error:
            problem = problem or _named(error)
        else:
            return root
    return problem


def _parser(encoding: str | None) -> etree.XMLParser:
    """A parser of its own for each answer: a shared one would make threads wait for one another.

    Entities stay unresolved, nothing is loaded from anywhere, and libxml2 keeps its bounds on depth (256),
    text and entity growth, since huge_tree is off.
    """
    return etree.XMLParser(
        encoding=encoding,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
        recover=False,
        remove_comments=True,
        remove_pis=True,
    )


def _named(error: Exception) -> str:
    """libxml2's name of the problem, never its sentence: that one quotes the document."""
    log = getattr(error, "error_log", None)
    last = log.last_error if log else None
    return last.type_name if last is not None else type(error).__name__


def _looks(document: bytes) -> str:
    head = document[:64].lower()
    return next((name for name, starts in _LOOKS if head.startswith(starts)), "something")
