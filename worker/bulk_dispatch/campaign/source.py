"""A file as it comes: what kind of file it is, and its lines if it is text in UTF-8.

What it is called says nothing. What cannot be read is named for what it is, with what to do about it.
"""

import codecs
import re
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from shutil import copyfileobj
from typing import BinaryIO

AT_ONCE = 2**20  # bytes
SAMPLE = 2**16  # bytes of foreign lines that are looked at to tell their encoding
NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""Bytes that are no UTF-8, as they stand in a line that was read all the same."""


class UnreadableError(ValueError):
    """The file cannot be read. One sentence that says what it is, or where it goes wrong, and what to do."""


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """The bytes of a file, or of standard input for `-`; they can be read more than once. Raises OSError."""
    if name != "-":
        with Path(name).open("rb") as stream:
            yield stream
        return
    with tempfile.TemporaryFile(prefix="worker-") as kept:
        copyfileobj(sys.stdin.buffer, kept)
        kept.seek(0)
        yield kept


@contextmanager
def lines_of(stream: BinaryIO) -> Iterator[tuple[Iterator[str], bool]]:
    """The lines of a text, each with its end, and whether all are UTF-8: those that are not hold NOT_UTF8.

    Raises UnreadableError for what is no text, or text of another encoding.
    """
    _check_kind(stream)
    whole = _is_utf8(stream)
    if not whole:
        _check_encoding(stream)
    with _decoded(stream) as lines:
        yield lines, whole


@contextmanager
def _decoded(stream: BinaryIO) -> Iterator[Iterator[str]]:
    stream.seek(0)
    text = TextIOWrapper(stream, "utf-8-sig", errors="surrogateescape", newline="")
    try:
        yield text
    finally:
        text.detach()  # the caller opened the bytes, and closes them


# -- what kind of file it is

_TO_CSV = "save it as CSV in UTF-8"
_TO_UNPACK = "unpack it first"
_TO_UTF8 = "save it in UTF-8"

_KINDS = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a workbook of an old Excel (xls)", _TO_CSV),
    (b"\x1f\x8b", "packed with gzip", _TO_UNPACK),
    (b"\x28\xb5\x2f\xfd", "packed with zstd", _TO_UNPACK),
    (b"BZh", "packed with bzip2", _TO_UNPACK),
    (b"\xfd7zXZ\x00", "packed with xz", _TO_UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "an archive of 7-Zip", _TO_UNPACK),
    (b"Rar!\x1a\x07", "a RAR archive", _TO_UNPACK),
    (b"%PDF", "a PDF", _TO_CSV),
    (b"PAR1", "Parquet", _TO_CSV),
    (b"ARROW1", "Arrow", _TO_CSV),
    (b"SQLite format 3\x00", "an SQLite database", _TO_CSV),
    (b"\xff\xfe\x00\x00", "text in UTF-32", _TO_UTF8),
    (b"\x00\x00\xfe\xff", "text in UTF-32", _TO_UTF8),
    (b"\xff\xfe", "text in UTF-16", _TO_UTF8),
    (b"\xfe\xff", "text in UTF-16", _TO_UTF8),
)
"""First bytes, what they are of, and what to do."""

_IN_ZIP = (
    (re.compile(r"xl/workbook\.(xml|bin)"), "an Excel workbook (xlsx)"),
    (re.compile(r"Index/.*\.iwa|Index\.zip"), "a workbook of Numbers"),
    (re.compile(r"word/document\.xml"), "a Word document"),
)
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument."
_MARKUP = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:\?xml|!doctype|html|table|meta|workbook)\b", re.IGNORECASE)


def _check_kind(stream: BinaryIO) -> None:
    stream.seek(0)
    head = stream.read(512)
    for magic, what, remedy in _KINDS:
        if head.startswith(magic):
            raise UnreadableError(f"is {what}: {remedy}")
    if head.startswith(b"PK\x03\x04"):
        what = _in_zip(stream)
        raise UnreadableError(f"is {what}: {_TO_UNPACK if 'archive' in what else _TO_CSV}")
    if _MARKUP.match(head):
        raise UnreadableError(f"is HTML or XML, whatever its name says: {_TO_CSV}")
    if head.count(b"\x00") * 3 > len(head):
        raise UnreadableError(f"is text in UTF-16 without its mark: {_TO_UTF8}")


def _in_zip(stream: BinaryIO) -> str:
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            for pattern, what in _IN_ZIP:
                if any(map(pattern.fullmatch, names)):
                    return what
            if "mimetype" in names:
                with archive.open("mimetype") as told:
                    if told.read(100).startswith(_OPEN_DOCUMENT):
                        return "an OpenDocument spreadsheet (ods)"
    except RuntimeError:  # zipfile's word for a password, and for a method it lacks
        return "a zip archive that is locked, or packed in a rare way"
    except (zipfile.BadZipFile, OSError):  # OSError: its table points outside the file
        return "a broken zip archive"
    return "a zip archive"


# -- its encoding


def _is_utf8(stream: BinaryIO) -> bool:
    """Strictly, over the whole. Raises UnreadableError for a zero byte: no text holds one."""
    stream.seek(0)
    decoder = codecs.getincrementaldecoder("utf-8")("strict")
    line = 1
    try:
        while part := stream.read(AT_ONCE):
            if (place := part.find(b"\x00")) >= 0:
                raise UnreadableError(f"line {line + _ends(part[:place])} holds a zero byte: it is no text")
            line += _ends(part)
            decoder.decode(part)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _ends(part: bytes) -> int:
    return part.count(b"\n") or part.count(b"\r")


def _check_encoding(stream: BinaryIO) -> None:
    """Some lines are no UTF-8: are these the exception, or is none of what goes beyond ASCII UTF-8?"""
    first, foreign = 0, bytearray()
    with _decoded(stream) as lines:
        for number, line in enumerate(lines, 1):
            if line.isascii():
                continue
            if not NOT_UTF8.search(line):
                return  # the exception: the reader of the rows names each
            first = first or number
            if len(foreign) < SAMPLE:
                foreign += line.encode("utf-8", "surrogateescape")
    raise UnreadableError(
        f"line {first} is not UTF-8, the file looks like {_guess(bytes(foreign))}: {_TO_UTF8}"
    )


_LIKELY = ["cp1251", "koi8_u", "cp866"]
_MIXED = re.compile(r"[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")


def _guess(foreign: bytes) -> str:
    """The name of an encoding, if it is a likely one and makes words of one alphabet of it: a wrong name is
    worse than none."""
    import charset_normalizer  # only now: few files need it

    best = charset_normalizer.from_bytes(foreign, cp_isolation=_LIKELY, threshold=0.6).best()
    if best is None or _MIXED.search(str(best)) or not re.search(r"[\u0400-\u04ff]{3}", str(best)):
        return "text of another encoding"
    return best.encoding.replace("cp125", "Windows-125")
