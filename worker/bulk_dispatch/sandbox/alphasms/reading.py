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

from bulk_dispatch.sandbox.alphasms.codes import RequestError
from bulk_dispatch.sandbox.alphasms.rules import Message, ViberMessage, international
from bulk_dispatch.sandbox.options import SandboxOptions

VIBER_ATTRIBUTES = {"id", "date_beg"}
VIBER_PARTS = ("phone", "sender", "type", "text", "image", "button", "url")
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


class Query(NamedTuple):
    """One `<msg>` asked about, or to be deleted: by own id or by gateway number, the other one is None."""

    own: str | None
    sms_id: str | None


@dataclass(frozen=True)
class Request:
    """A readable document of somebody we know. What does not belong to its command is empty."""

    command: str
    messages: tuple[Message, ...] = ()
    viber: tuple[ViberMessage, ...] = ()
    queries: tuple[Query, ...] = ()
    job: str = ""
    phones: tuple[str, ...] = ()

    @property
    def recipients(self) -> list[str]:
        """Digits."""
        return [one.recipient.removeprefix("+") for one in self.messages or self.viber]


class Reader:
    """Reads documents for one account."""

    def __init__(self, options: SandboxOptions) -> None:
        self._credentials: list[dict[str, str]] = [{"key": options.key}]
        if options.login is not None and options.password is not None:
            self._credentials.append({"login": options.login, "password": options.password})
        self._zone = ZoneInfo(options.zone)
        self._local = options.alphasms.local_numbers
        self._commands: dict[str, Callable[[etree._Element], Request]] = {
            "message": self._messages,
            "message-async": self._messages,
            "message-viber": self._viber,
            "job": _job,
            "status": _queries,
            "delete": _queries,
            "balance": _balance,
            "prices": _prices,
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
            international(get("recipient", "")) if self._local else get("recipient", ""),
            get("sender", ""),
            get("type", ""),
            get("url", ""),
            msg.text or "",
            self._instant(get("date_beg")),
            self._instant(get("date_end")),
        )

    def _viber(self, command: etree._Element) -> Request:
        messages = tuple(self._viber_message(msg) for msg in _children(command, "msg"))
        _expect(bool(messages))
        return Request(command.tag, viber=messages)

    def _viber_message(self, msg: etree._Element) -> ViberMessage:
        """Unlike SMS, the data are child elements (sheet 3.8)."""
        _expect(VIBER_ATTRIBUTES.issuperset(msg.attrib.keys()))
        parts: dict[str, str] = {}
        for part in _children(msg):
            _expect(part.tag in VIBER_PARTS and part.tag not in parts)
            _expect(not len(part) and not part.attrib)
            parts[part.tag] = part.text or ""
        phone, sender, kind, text, image, button, url = (parts.get(name, "") for name in VIBER_PARTS)
        begin_at = self._instant(msg.attrib.get("date_beg"))
        return ViberMessage(msg.attrib.get("id"), phone, sender, kind, text, image, button, url, begin_at)

    def _instant(self, written: str | None) -> float | None:
        if written is None:
            return None
        _expect(DATE.fullmatch(written) is not None)
        try:
            instant = datetime.fromisoformat(written)
        except ValueError:  # a 31 November
            raise RequestRefused(RequestError.FORMAT) from None
        return (instant if instant.tzinfo else instant.replace(tzinfo=self._zone)).timestamp()


def _queries(command: etree._Element) -> Request:
    queries = tuple(_query(msg) for msg in _msgs(command, {"id", "sms_id"}))
    _expect(bool(queries))
    return Request(command.tag, queries=queries)


def _query(msg: etree._Element) -> Query:
    _expect(len(msg.attrib) == 1 and _blank(msg.text))  # one of the two, never both
    return Query(msg.attrib.get("id"), msg.attrib.get("sms_id"))


def _job(command: etree._Element) -> Request:
    job = (command.text or "").strip()
    _expect(not len(command) and JOB_ID.fullmatch(job) is not None)
    return Request("job", job=job)


def _balance(command: etree._Element) -> Request:
    _expect(not len(command) and _blank(command.text))
    return Request("balance")


def _prices(command: etree._Element) -> Request:
    phones = []
    for phone in _children(command, "phone"):
        _expect(not phone.attrib and not len(phone) and not _blank(phone.text))
        phones.append((phone.text or "").strip())
    _expect(bool(phones))
    return Request("prices", phones=tuple(phones))


def _children(parent: etree._Element, tag: str | None = None) -> Iterator[etree._Element]:
    """The children, with nothing between them; all of this name if one is given."""
    _expect(_blank(parent.text))
    for child in parent:
        _expect(_blank(child.tail) and tag in {None, child.tag})
        yield child


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
