"""Plain HTTP requests in, strictly (sheet section 10): a form in the query of a GET, or the body of a POST.

Where the sheet is silent it forbids: unknown and repeated parameters, values nobody documents.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl

from bulk_dispatch.sandbox.alphasms.rules import FLASH, NORMAL, WAP_PUSH, Message, ViberMessage, international
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Call

LOGIN = "Wrong login or password"
COMMAND = "Unknown command"
RECEIVER = "Enter a valid receiver number"
NOT_FOUND = "SMS not found"

FORM = "application/x-www-form-urlencoded"
CREDENTIALS = {"key", "login", "pass", "password"}
EVERYWHERE = CREDENTIALS | {"version", "command"}
SMS = {"from", "to", "message", "wap", "flash", "ask_date"}
VIBER = {
    "viber", "viber_type", "viber_message", "viber_from", "viber_lifetime", "viber_sms",
    "viber_image", "viber_url", "viber_button",
}  # fmt: skip
# ISO 8601 with a colonless offset [seed]
ASK_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}")
LIFETIME = range(60, 86_401)  # seconds [vendor docs]
MOST_PARAMETERS = 40


class CallRefused(Exception):
    """Answered with these texts, a line each."""

    def __init__(self, *texts: str, command: str = "unreadable") -> None:
        super().__init__(*texts)
        self.texts = texts
        self.command = command  # for the counts


@dataclass(frozen=True)
class HttpRequest:
    """A readable call of somebody we know. What does not belong to its command is empty."""

    command: str
    sms: Message | None = None
    viber: ViberMessage | None = None  # with `sms`: that is its fallback
    lifetime: int | None = None  # of the Viber message, seconds
    id: str = ""
    phone: str = ""

    @property
    def recipients(self) -> list[str]:
        """Digits."""
        return [one.recipient.removeprefix("+") for one in (self.viber or self.sms,) if one]


class HttpReader:
    """Reads calls for one account."""

    def __init__(self, options: SandboxOptions) -> None:
        self._credentials: list[dict[str, str]] = [{"key": options.key}]
        if options.login is not None and options.password is not None:
            for name in ("pass", "password"):  # the second by an old client
                self._credentials.append({"login": options.login, name: options.password})
        self._commands: dict[str, Callable[[Mapping[str, str]], HttpRequest]] = {
            "send": lambda given: _send(given, options.alphasms.flash),
            "receive": lambda given: HttpRequest("receive", id=_needed(given, "id")),
            "delete": lambda given: HttpRequest("delete", id=_needed(given, "id")),
            "balance": lambda _: HttpRequest("balance"),
            "price": lambda given: HttpRequest("price", phone=international(_needed(given, "to"))),
        }
        self._parameters = {
            "send": SMS | VIBER,
            "receive": {"id"},
            "delete": {"id"},
            "balance": set[str](),
            "price": {"to"},
        }

    def read(self, call: Call) -> HttpRequest:
        """The request; raises `CallRefused`."""
        given = _parameters(call)
        if {name: value for name, value in given.items() if name in CREDENTIALS} not in self._credentials:
            raise CallRefused(LOGIN)
        name = given.get("command", "")
        if name not in self._commands:
            raise CallRefused(COMMAND, command="unknown")
        try:
            return self._read(name, given)
        except CallRefused as refused:
            raise CallRefused(*refused.texts, command=name) from None

    def _read(self, name: str, given: Mapping[str, str]) -> HttpRequest:
        strange = sorted(given.keys() - EVERYWHERE - self._parameters[name])
        if strange:
            raise CallRefused(*(f"Unknown parameter {one}" for one in strange))
        _one_of(given, "version", "http", "https")
        return self._commands[name](given)


def _parameters(call: Call) -> dict[str, str]:
    written = call.query
    if call.method == "POST":
        media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if call.query or media_type != FORM:
            raise CallRefused(LOGIN)  # nothing in its place
        written = call.body
    try:
        pairs = parse_qsl(
            written.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        raise CallRefused(LOGIN) from None
    given = dict(pairs)
    if len(given) < len(pairs):
        raise CallRefused("A parameter is given twice")
    return given


def _send(given: Mapping[str, str], flash: str) -> HttpRequest:
    begin_at = _instant(given.get("ask_date"))
    recipient = international(_needed(given, "to"))
    if _one_of(given, "viber", "0", "1") != "1":
        strange = sorted(given.keys() & VIBER - {"viber"})
        if strange:
            raise CallRefused(*(f"{one} goes with viber=1" for one in strange))
        return HttpRequest("send", sms=_sms(given, recipient, begin_at, flash))
    fallback = _one_of(given, "viber_sms", "0", "1") == "1"
    if "wap" in given or "flash" in given or (not fallback and {"from", "message"} & given.keys()):
        raise CallRefused("SMS parameters go with viber_sms=1, and wap and flash with no Viber at all")
    viber = ViberMessage(
        None,
        recipient,
        _needed(given, "viber_from"),
        _needed(given, "viber_type"),
        _needed(given, "viber_message"),
        given.get("viber_image", ""),
        given.get("viber_button", ""),
        given.get("viber_url", ""),
        begin_at,
    )
    sms = _sms(given, recipient, begin_at, flash) if fallback else None
    return HttpRequest("send", sms, viber, _lifetime(given.get("viber_lifetime")))


def _sms(given: Mapping[str, str], recipient: str, begin_at: float | None, flash: str) -> Message:
    flashes = _one_of(given, "flash", "0", flash) == flash
    if "wap" in given and flashes:
        raise CallRefused("wap and flash exclude each other")
    kind = WAP_PUSH if "wap" in given else FLASH if flashes else NORMAL
    text = _needed(given, "message")
    if kind == WAP_PUSH and not text.strip():  # the page has it required, and the link beside it optional
        raise CallRefused("Parameter message is missing")
    return Message(None, recipient, _needed(given, "from"), kind, given.get("wap", ""), text, begin_at)


def _needed(given: Mapping[str, str], name: str) -> str:
    if name not in given:
        raise CallRefused(RECEIVER if name == "to" else f"Parameter {name} is missing")
    return given[name]


def _one_of(given: Mapping[str, str], name: str, *allowed: str) -> str | None:
    value = given.get(name)
    if value is not None and value not in allowed:
        raise CallRefused(f"Wrong {name}")
    return value


def _instant(written: str | None) -> float | None:
    if written is None:
        return None
    try:
        if ASK_DATE.fullmatch(written):
            return datetime.fromisoformat(written).timestamp()
    except ValueError:  # a 31 November
        pass
    raise CallRefused("Wrong ask_date")


def _lifetime(written: str | None) -> int | None:
    if written is None:
        return None
    if not re.fullmatch("[0-9]{1,5}", written) or int(written) not in LIFETIME:
        raise CallRefused("Wrong viber_lifetime")
    return int(written)
