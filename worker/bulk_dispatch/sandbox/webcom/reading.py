"""webcom documents in, strictly (sheet sections 1 and 2); all but those to send in `questions`.

What the sheet does not allow refuses the whole document, unless its table of errors has a text for one
recipient: the sandbox is there to find a client's mistakes, so where the sheet is silent it forbids.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from hashlib import blake2b
from zoneinfo import ZoneInfo

from lxml import etree

from bulk_dispatch.sandbox.webcom.clock import instant
from bulk_dispatch.sandbox.webcom.content import read_content
from bulk_dispatch.sandbox.webcom.questions import QUESTIONS, Inside, Read
from bulk_dispatch.sandbox.webcom.request import Abonent, Message, Request
from bulk_dispatch.sandbox.webcom.strict import DocumentRefused, blank, empty, expect
from bulk_dispatch.sandbox.webcom.texts import DocumentError

# As the pages print it, with a semicolon behind, and as the sheet advises, without.
CONTENT_TYPE = re.compile(r"text/xml *; *charset=\"?utf-8\"? *;? *", re.IGNORECASE)
LINE_BREAK = re.compile(rb"[\r\n]|&#(?:0*1[03]|[xX]0*[aAdD]);")
ABONENT = frozenset(
    {"phone", "number_sms", "client_id_sms", "time_send", "validity_period", "validity_period_viber"}
)
NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
CLIENT_ID = re.compile(r"[1-9][0-9]{0,18}")  # "use decimal digits only"
GREATEST_ID = 2**63 - 1  # unpublished
VALUE = frozenset({"value"})


class Reader:
    """Reads documents for one account; `login` and `token` are what they may come with."""

    def __init__(
        self, login: tuple[str, str] | None, token: str, zone: str, line_break: str = "backslash-n"
    ) -> None:
        self._credentials = [{"token": token}]
        if login:
            self._credentials.append(dict(zip(("login", "password"), login, strict=True)))
        self._zone = ZoneInfo(zone)
        self._escaped = line_break == "backslash-n"
        self._commands: Mapping[str, Read] = {"send": self._send, **QUESTIONS}

    def root(self, content_type: str, body: bytes) -> etree._Element:
        """The document of somebody we know, its inside still unread; raises `DocumentRefused`."""
        if not body or not CONTENT_TYPE.fullmatch(content_type):
            raise DocumentRefused(DocumentError.NO_DATA)
        expect(not (self._escaped and LINE_BREAK.search(body)))  # on one line
        root = _parsed(body)
        self._authorize(root)
        return root

    def read(self, command: str, root: etree._Element, body: bytes) -> Request:
        """What stands beside `<security>`; raises `DocumentRefused`."""
        request = self._commands[command]([child for child in root if child.tag != "security"])
        if request.messages:
            return replace(request, digest=blake2b(body, digest_size=16).digest())
        return request

    def _authorize(self, root: etree._Element) -> None:
        """Login with password or token, as the first or the last child."""
        places = [place for place, child in enumerate(root) if child.tag == "security"]
        if not places:
            raise DocumentRefused(DocumentError.LOGIN)
        expect(len(places) == 1 and places[0] in {0, len(root) - 1})
        security = root[places[0]]
        expect(not security.attrib and blank(security.text))
        given: dict[str, str] = {}
        for child in security:
            expect(str(child.tag) not in given and blank(child.tail))
            given[str(child.tag)] = empty(child, VALUE).get("value", "")
        expect(given.keys() <= {"login", "password"} or given.keys() <= {"token"})
        if given not in self._credentials:
            raise DocumentRefused(DocumentError.LOGIN)

    def _send(self, inner: Inside) -> Request:
        expect(bool(inner) and all(child.tag == "message" for child in inner))
        escaped = self._escaped
        messages = [Message(read_content(one, escaped=escaped), [*self._abonents(one)]) for one in inner]
        expect(all(message.abonents for message in messages))
        numbers = [
            one.number_sms for message in messages for one in message.abonents if one.number_sms is not None
        ]
        expect(len(set(numbers)) == len(numbers))  # over the whole document, or answers cannot be told apart
        return Request("send", messages)

    def _abonents(self, message: etree._Element) -> Iterator[Abonent]:
        zone = self._zone
        for element in message.iterchildren("abonent"):
            get = empty(element, ABONENT).get
            number, begin = get("number_sms"), get("time_send")
            expect(number is None or NUMBER.fullmatch(number) is not None)
            until, viber_until = get("validity_period"), get("validity_period_viber")
            yield Abonent(
                get("phone", ""),
                number,
                _client_id(get("client_id_sms")),
                instant(begin, zone) if begin else None,
                None if until is None else instant(until, zone),
                None if viber_until is None else instant(viber_until, zone),
            )


def _client_id(written: str | None) -> int | None:
    if written is None:
        return None
    expect(CLIENT_ID.fullmatch(written) is not None and int(written) <= GREATEST_ID)
    return int(written)


def _parsed(body: bytes) -> etree._Element:
    expect(b"\0" not in body)  # UTF-8 it is
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError):
        raise DocumentRefused(DocumentError.FORMAT) from None
    document = root.getroottree().docinfo
    expect(document.internalDTD is None and (document.encoding or "UTF-8").upper() == "UTF-8")
    expect(root.tag == "request" and not root.attrib and blank(root.text))
    expect(all(blank(child.tail) for child in root))
    return root
