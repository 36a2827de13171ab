"""AlphaSMS documents out (sheet sections 2 and 3), as plain strings.

Building them through lxml costs five times as much, and nothing in them but an id we refuse to believe can
need escaping.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.alphasms.codes import RequestError
from bulk_dispatch.sandbox.provider import Reply

LABEL = "application/json"  # the content type of all answers, although the body is XML [seed]
DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n'
QUOTES = {'"': "&quot;"}


class Line(NamedTuple):
    """One `<msg>` of an answer. What is None is left out."""

    own: str | None
    sms_id: str | None
    segments: int | None
    completed: str | None  # ISO 8601, only with a final state
    code: int


class ViberLine(NamedTuple):
    """One `<msg>` of the answer to `message-viber`: another name for the number, and no count."""

    own: str | None
    msg_id: str
    code: int


def listing(command: str, lines: Sequence[Line | ViberLine]) -> Reply:
    """The whole answer of a command with one line a message."""
    texts = [viber_text(line) if isinstance(line, ViberLine) else line_text(line) for line in lines]
    return document(command, "".join(texts))


def document(command: str, inner: str) -> Reply:
    """The whole answer."""
    return Reply(f"{DECLARATION}<package><{command}>{inner}</{command}></package>".encode(), LABEL)


def error(code: RequestError) -> Reply:
    """The failure of a whole request [client code: the vendor lists the codes but not the shape]."""
    return Reply(f"{DECLARATION}<package><error>{code:d}</error></package>".encode(), LABEL)


def viber_text(line: ViberLine) -> str:
    """Attributes in the order of the sample."""
    own = "" if line.own is None else f' id="{_attribute(line.own)}"'
    return f'<msg{own} msg_id="{line.msg_id}">{line.code}</msg>'


def line_text(line: Line) -> str:
    """Attributes in the order of the samples."""
    own = "" if line.own is None else f' id="{_attribute(line.own)}"'
    sms_id = "" if line.sms_id is None else f' sms_id="{_attribute(line.sms_id)}"'
    segments = "" if line.segments is None else f' sms_count="{line.segments}"'
    completed = "" if line.completed is None else f' date_completed="{line.completed}"'
    return f"<msg{own}{sms_id}{segments}{completed}>{line.code}</msg>"


def job_created(job: str) -> str:
    """Inside `<message-async>`: a bare id [seed]."""
    return f"<job>{job}</job>"


def job_state(progress: int, status: str) -> str:
    """Inside `<job>` [vendor docs]."""
    return f"<progress>{progress}</progress><status>{status}</status>"


def balance(amount: float, currency: str) -> str:
    """Inside `<balance>`: with all the noise of a float, as was captured [client code]."""
    return f"<amount>{amount!r}</amount><currency>{currency}</currency>"


def prices(each: Iterable[tuple[str, float]], currency: str) -> str:
    """Inside `<prices>`: of one segment [vendor docs]."""
    return "".join(
        f'<phone price="{price:g}" currency="{currency}">{escape(phone)}</phone>' for phone, price in each
    )


@lru_cache(maxsize=4096)  # a package's messages end within few different seconds
def date_completed(second: int, zone: ZoneInfo) -> str:
    """Local time without a zone, as in the sample [seed]."""
    return datetime.fromtimestamp(second, zone).strftime("%Y-%m-%dT%H:%M:%S")


def _attribute(value: str) -> str:
    return value if value.isalnum() else escape(value, QUOTES)
