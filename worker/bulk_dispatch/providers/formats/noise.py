"""Noise about a document: what a gateway's interpreter or its templates put before and after an answer.

An answer among noise is taken only if it is whole, and the one document there. So what stands around it must
be known for noise: prose, comments, HTML that begins and ends there, control characters. Anything else may be
somebody's document, and a document that stands in something else is a quotation.
"""

import re

MOST = 65_536
"""Bytes of noise on either side that we are willing to look at."""

_CONTROL = bytes([*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), 0x7F])
_BLANKED = bytes.maketrans(_CONTROL, b" " * len(_CONTROL))
_BLANKS = b" \t\r\n\xef\xbb\xbf" + _CONTROL
_TRACE = re.compile(rb"\{(?:main|closure)\}")  # where PHP was
_OPENS = tuple(bytes([sign]) for sign in b"[(,:=\"'")
_CLOSES = tuple(bytes([sign]) for sign in b"]),:\"'")
"""What stands by an object that is a part of something."""

_VOID = frozenset({"br", "hr", "img"})
_PAGE = frozenset({"html", "head", "title", "body", "center", "div", "p", "pre", "h1", "h2", "h3"})
_INLINE = frozenset({"a", "b", "code", "em", "font", "i", "small", "span", "strong", "tt", "u"})
_LISTS = frozenset({"li", "ol", "ul", "table", "tbody", "td", "th", "thead", "tr"})
_HTML = _VOID | _PAGE | _INLINE | _LISTS
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[a-z][a-z0-9]*)(?:\s[^<>]*)?/?>|<!doctype html[^<>\[\]]*>")
_MARKUP = re.compile(r"<[a-z/!?]")

_BREAK = re.compile(r"<br\s*/?>")
_DIAGNOSTIC = re.compile(
    r"(?:<br\s*/?>\s*)?(?:<b>)?(?:PHP\s+)?"
    r"(?:Fatal error|Recoverable fatal error|Parse error|Warning|Notice|Strict Standards|Deprecated)"
    r"(?:</b>)?:\s+(?:Uncaught (?s:.{0,4000}?)\s+thrown|[^\r\n]{0,500}?)"
    r" in (?:<b>)?\S{1,500}?(?:</b>)? on line (?:<b>)?\d{1,9}(?:</b>)?"
    r"(?:\s*<br\s*/?>)?"
)
"""What PHP says of itself, as text or as HTML, with a trace or without one."""


def xml_document(body: bytes, root: str) -> bytes | None:
    """The one document of that root in a body, if all about it is noise."""
    name = re.escape(root.encode())
    starts = [found.start() for found in re.finditer(rb"<%s(?=[\s/>])" % name, body)]
    ends = [found.end() for found in re.finditer(rb"</%s\s*>" % name, body)]
    if len(starts) == 1 and not ends:
        alone = re.compile(rb"<%s(?:\s[^<>]*)?/>" % name).match(body, starts[0])
        ends = [alone.end()] if alone else []
    if len(starts) != 1 or len(ends) != 1 or starts > ends:
        return None
    before, after = _uncommented(body[: starts[0]]), _uncommented(body[ends[0] :])
    if before is None or after is None:
        return None
    before, declaration = _declaration(before)
    return declaration + body[starts[0] : ends[0]] if _is_noise(before) and _is_noise(after) else None


def json_object(body: bytes) -> bytes | None:
    """From the first brace to the last, if all about it is noise. Two objects, or braces in noise, make that
    no JSON."""
    braces = _TRACE.sub(lambda found: b" " * len(found[0]), body)
    start, end = braces.find(b"{"), braces.rfind(b"}") + 1
    if start < 0 or end <= start or b"}" in braces[:start] or b"{" in braces[end:]:
        return None
    before, after = body[:start].rstrip(_BLANKS), body[end:].lstrip(_BLANKS)
    if before.endswith(_OPENS) or after.startswith(_CLOSES):
        return None
    sides = (_uncommented(before), _uncommented(after))
    return body[start:end] if all(side is not None and _is_noise(side) for side in sides) else None


def plain_text(body: bytes) -> str:
    """A plain text without PHP's words, comments, line breaks of HTML, and control characters: all of these
    part words. In such a text there is no telling other noise."""
    cleaned = _uncommented(body)
    text = (body if cleaned is None else cleaned).translate(_BLANKED).decode(errors="replace")
    return _BREAK.sub("\n", _DIAGNOSTIC.sub("\n", text.replace("\ufeff", " ")))


def _is_noise(part: bytes) -> bool:
    """Whether a part, comments taken away, is prose or HTML: no mark-up of another kind, and no element that
    goes on beyond it."""
    if len(part) > MOST:
        return False
    text = part.decode("latin-1").lower()
    tags = list(_TAG.finditer(text))
    return len(tags) == len(_MARKUP.findall(text)) and _balanced(tags)


def _balanced(tags: "list[re.Match[str]]") -> bool:
    opened: list[str] = []
    for tag in tags:
        name = tag["name"]
        if name is None or name in _VOID:
            continue
        if name not in _HTML:
            return False
        if not tag["end"]:
            opened.append(name)
        elif not opened or opened.pop() != name:
            return False
    return not opened


def _uncommented(part: bytes) -> bytes | None:
    """The part with blanks for its comments; None if one does not end in it."""
    kept, place = [], 0
    while (start := part.find(b"<!--", place)) >= 0:
        end = part.find(b"-->", start + 4)
        if end < 0:
            return None
        kept.append(part[place:start])
        place = end + 3
    return b" ".join([*kept, part[place:]])


def _declaration(before: bytes) -> tuple[bytes, bytes]:
    """What stands before a document, and its declaration if it has one."""
    start = before.rfind(b"<?xml")
    if start >= 0 and re.fullmatch(rb"<\?xml\s[^<>]*\?>\s*", before[start:]):
        return before[:start], before[start:]
    return before, b""
