"""SMARTSwitch parameters in, strictly (sheet sections 1 and 2).

What the sheet does not allow is refused, and so is what two servers could read in two ways.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from bulk_dispatch.sandbox.smartswitch.codes import CallError
from bulk_dispatch.sandbox.smartswitch.options import SmartSwitchOptions

CREDENTIALS = ("_login", "_password")
FORM = "application/x-www-form-urlencoded"
PARAMETERS = frozenset(
    {
        "destination_number", "body", "source_name", "source_number", "require_dlr", "stealth_ping",
        "request_id",
    }
)  # fmt: skip
# What a query may hold as it is (RFC 3986), but for what also parts parameters or words: & + and, of old, ;
PAIR = re.compile(rb"([a-z_]+)=((?:[A-Za-z0-9._~!$'()*,:@/?=-]|%[0-9A-Fa-f]{2})*)")

Pairs = list[tuple[str, str]]


class CallRefused(Exception):
    """The whole call is answered with `errors`. The detail repeats nothing of the call."""

    def __init__(self, code: CallError, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


class Message(NamedTuple):
    """One recipient's parameters, not yet judged. Absent ones are empty strings, as empty ones are."""

    destination_number: str
    body: str = ""
    source_name: str = ""
    source_number: str = ""
    require_dlr: str = ""
    stealth_ping: str = ""
    request_id: str = ""

    @property
    def sender(self) -> str:
        """Name or number; empty for the account's own [unknown - assumption]."""
        return self.source_name or self.source_number


@dataclass(frozen=True)
class Request:
    """A readable call of somebody we know: a message for each recipient, in their order."""

    messages: tuple[Message, ...]
    command: str = "message"

    @property
    def recipients(self) -> list[str]:
        """Their numbers, as given."""
        return [message.destination_number for message in self.messages]


class Reader:
    """Reads calls for one account."""

    def __init__(self, options: SmartSwitchOptions, credentials: tuple[str | None, str | None]) -> None:
        self._options = options
        # Without a login nobody gets in: what is given is never None.
        self._credentials = dict(zip(CREDENTIALS, credentials, strict=True))

    def read(self, query: bytes, content_type: str, body: bytes) -> Request:
        """Raises `CallRefused`."""
        if query and body:
            raise _unreadable("parameters stand in the query or in the body, not in both")
        in_form = not query
        if self._options.params_in == ("query" if in_form else "form"):
            raise _unreadable(f"parameters are taken from the {self._options.params_in} only")
        pairs = self._form(content_type, body) if in_form else self._query(query)
        messages = _messages(self._known(pairs))
        most = self._options.recipients_form if in_form else self._options.recipients_query
        if len(messages) > most:
            raise CallRefused(CallError.SIZE, f"more than {most} recipients")
        return Request(messages)

    def _query(self, query: bytes) -> Pairs:
        """A bare plus is a space to some servers and a plus to others; the sample writes %20 [seed]."""
        if len(query) >= self._options.query_bytes:
            raise CallRefused(CallError.SIZE, f"the query takes {self._options.query_bytes} bytes or more")
        if b"+" in query:
            raise _unreadable("a plus or a space in a query is percent-encoded")
        return _pairs(query)

    def _form(self, content_type: str, body: bytes) -> Pairs:
        """In a form a plus is a space, by the definition of that media type."""
        media_type, _, charset = content_type.lower().replace(" ", "").partition(";")
        if media_type != FORM or charset not in {"", "charset=utf-8"}:
            raise _unreadable(f"the body of a call is {FORM} in UTF-8")
        return _pairs(body.replace(b"+", b"%20"))

    def _known(self, pairs: Pairs) -> Pairs:
        """The parameters of somebody we know, without the credentials, which stand once [seed]."""
        given = [pair for pair in pairs if pair[0] in CREDENTIALS]
        if len(given) > len(dict(given)):
            raise _unreadable("_login and _password stand once")
        if dict(given) != self._credentials:
            raise CallRefused(CallError.AUTHENTICATION, "_login or _password is wrong")
        return [pair for pair in pairs if pair[0] not in CREDENTIALS]


def _pairs(encoded: bytes) -> Pairs:
    """Order is kept and names repeat: it is a list, and never a mapping."""
    try:
        return [_pair(part) for part in encoded.split(b"&")]
    except UnicodeDecodeError:
        raise _unreadable("a parameter is not UTF-8") from None


def _pair(encoded: bytes) -> tuple[str, str]:
    match = PAIR.fullmatch(encoded)
    if match is None:
        raise _unreadable("a parameter is not written as name=value, percent-encoded")
    return match[1].decode(), unquote_to_bytes(match[2]).decode()


def _messages(pairs: Pairs) -> tuple[Message, ...]:
    """Groups by position: every one must repeat the first [unknown - assumption: by position]."""
    group = _first_group([name for name, _ in pairs])
    if not PARAMETERS.issuperset(group):
        raise _unreadable("there is an unknown parameter")
    if "destination_number" not in group:
        raise _unreadable("destination_number is required")
    starts = range(0, len(pairs), len(group))
    groups = [pairs[start : start + len(group)] for start in starts]
    if any([name for name, _ in one] != group for one in groups):
        raise _unreadable("every recipient must have the same parameters in the same order")
    return tuple(Message(**dict(one)) for one in groups)


def _first_group(names: Sequence[str]) -> list[str]:
    """Up to the first name that comes again."""
    group: list[str] = []
    for name in names:
        if name in group:
            break
        group.append(name)
    return group


def _unreadable(detail: str) -> CallRefused:
    return CallRefused(CallError.PARAMETERS, detail)
