"""AlphaSMS documents out (sheet sections 2 and 3), as plain strings.

Building them through lxml costs five times as much, and nothing in them but an id we refuse to believe can
need escaping.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

from worker.sandbox.codes import RequestError

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


@dataclass(frozen=True)
class Answer:
    """What stands inside `<package>`: lines under a command, or for jobs the ready text."""

    command: str
    lines: list[Line]
    text: str = ""


def document(answer: Answer) -> bytes:
    """The whole answer."""
    inner = answer.text or "".join([line_text(line) for line in answer.lines])
    return f"{DECLARATION}<package><{answer.command}>{inner}</{answer.command}></package>".encode()


def error(code: RequestError) -> bytes:
    """The failure of a whole request [client code: the vendor lists the codes but not the shape]."""
    return f"{DECLARATION}<package><error>{code}</error></package>".encode()


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


@lru_cache(maxsize=4096)  # a package's messages end within few different seconds
def date_completed(second: int, zone: ZoneInfo) -> str:
    """Local time without a zone, as in the sample [seed]."""
    return datetime.fromtimestamp(second, zone).strftime("%Y-%m-%dT%H:%M:%S")


def _attribute(value: str) -> str:
    return value if value.isalnum() else escape(value, QUOTES)
