"""AlphaSMS documents in, strictly (sheet sections 2 and 3).

Anything the sheet does not allow refuses the whole document with 201: the sandbox is there to find a
client's mistakes, so where the sheet is silent it forbids.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from lxml import etree

from worker.sandbox.codes import RequestError
from worker.sandbox.options import SandboxOptions

MESSAGE_ATTRIBUTES = {"id", "recipient", "sender", "type", "date_beg", "date_end", "url"}
JOB_ID = re.compile(r"\S{1,64}")  # "a string up to 64 characters" [seed]
# A day, a T, and at least hours and minutes: the samples show it with and without seconds and zone.
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")


class RequestRefused(Exception):
    """The whole document is answered with `<error>`."""

    def __init__(self, code: RequestError, command: str = "unreadable") -> None:
        super().__init__(code.name)
        self.code = code
        self.command = command  # for the counts


class Message(NamedTuple):
    """One `<msg>` to send, not yet judged. Absent attributes are empty strings, absent id and dates None."""

    own: str | None
    recipient: str
    sender: str
    type: str
    url: str
    text: str
    begin_at: float | None  # seconds since 1970
    end_at: float | None


class Query(NamedTuple):
    """One `<msg>` asked about: by own id or by gateway number, the other one is None."""

    own: str | None
    sms_id: str | None


@dataclass(frozen=True)
class Request:
    """A readable document of somebody we know. What does not belong to its command is empty."""

    command: str
    messages: tuple[Message, ...] = ()
    queries: tuple[Query, ...] = ()
    job: str = ""


class Reader:
    """Reads documents for one account."""

    def __init__(self, options: SandboxOptions) -> None:
        self._credentials: list[dict[str, str]] = [{"key": options.key}]
        if options.login is not None and options.password is not None:
            self._credentials.append({"login": options.login, "password": options.password})
        self._zone = ZoneInfo(options.zone)
        # message-viber, delete, balance and prices (sheet 3.5 to 3.8) belong here, and in alphasms.Desk.
        self._commands: dict[str, Callable[[etree._Element], Request]] = {
            "message": self._messages,
            "message-async": self._messages,
            "job": _job,
            "status": _status,
        }

    def read(self, body: bytes) -> Request:
        """The request in `body`; raises `RequestRefused` with 201 (document) or 202 (credentials)."""
        package = _package(body)
        self._authorize(package)
        if len(package) != 1:  # the sheet: "send one command per document"
            raise RequestRefused(RequestError.FORMAT)
        command = package[0]
        read = self._commands.get(command.tag)
        if read is None:
            raise RequestRefused(RequestError.FORMAT, "unknown")
        try:
            _expect(not command.attrib and _blank(command.tail))
            return read(command)
        except RequestRefused as refused:
            raise RequestRefused(refused.code, command.tag) from None

    def _authorize(self, package: etree._Element) -> None:
        """Either `key`, or `login` and `password` in its place (sheet section 1)."""
        given = dict(package.attrib.items())
        _expect(given.keys() <= {"key"} or given.keys() <= {"login", "password"})
        if given not in self._credentials:
            raise RequestRefused(RequestError.AUTHORIZATION)

    def _messages(self, command: etree._Element) -> Request:
        messages = tuple(self._message(msg) for msg in _msgs(command, MESSAGE_ATTRIBUTES))
        _expect(bool(messages))
        return Request(command.tag, messages=messages)

    def _message(self, msg: etree._Element) -> Message:
        get = msg.attrib.get
        return Message(
            get("id"),
            get("recipient", ""),
            get("sender", ""),
            get("type", ""),
            get("url", ""),
            msg.text or "",
            self._instant(get("date_beg")),
            self._instant(get("date_end")),
        )

    def _instant(self, written: str | None) -> float | None:
        if written is None:
            return None
        _expect(DATE.fullmatch(written) is not None)
        try:
            instant = datetime.fromisoformat(written)
        except ValueError:  # a 31 November
            raise RequestRefused(RequestError.FORMAT) from None
        return (instant if instant.tzinfo else instant.replace(tzinfo=self._zone)).timestamp()


def _status(command: etree._Element) -> Request:
    queries = tuple(_query(msg) for msg in _msgs(command, {"id", "sms_id"}))
    _expect(bool(queries))
    return Request("status", queries=queries)


def _query(msg: etree._Element) -> Query:
    _expect(len(msg.attrib) == 1 and _blank(msg.text))  # one of the two, never both
    return Query(msg.attrib.get("id"), msg.attrib.get("sms_id"))


def _job(command: etree._Element) -> Request:
    job = (command.text or "").strip()
    _expect(not len(command) and JOB_ID.fullmatch(job) is not None)
    return Request("job", job=job)


def _package(body: bytes) -> etree._Element:
    # A parser for each document: cheap, and sandboxes in several threads share nothing.
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True
    )
    _expect(b"\0" not in body)  # UTF-16 and UTF-32, which the parser would accept; UTF-8 it is [vendor docs]
    try:
        package = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise RequestRefused(RequestError.FORMAT) from None
    document = package.getroottree().docinfo
    _expect(document.internalDTD is None and (document.encoding or "UTF-8").upper() == "UTF-8")
    _expect(package.tag == "package" and _blank(package.text))
    return package


def _msgs(command: etree._Element, allowed: set[str]) -> Iterator[etree._Element]:
    """The `<msg>` children, each checked for what no `<msg>` of this command may have."""
    _expect(_blank(command.text))
    for msg in command:
        _expect(msg.tag == "msg" and not len(msg) and _blank(msg.tail))
        _expect(allowed.issuperset(msg.attrib.keys()))
        yield msg


def _blank(text: str | None) -> bool:
    return not text or text.isspace()


def _expect(condition: bool) -> None:
    if not condition:
        raise RequestRefused(RequestError.FORMAT)
