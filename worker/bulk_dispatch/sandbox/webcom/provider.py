"""webcom for the frame: one account behind many addresses, one for each command (sheet section 1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bulk_dispatch.sandbox.account import Account
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import (
    Answer,
    Call,
    Code,
    Orders,
    Provider,
    Receipts,
    Refused,
    Reply,
    Trait,
)
from bulk_dispatch.sandbox.webcom.account import DOOR, SEND, WebcomAccount
from bulk_dispatch.sandbox.webcom.answers import MEDIA_TYPE, Line, Named, StateLine, Writer
from bulk_dispatch.sandbox.webcom.handlers import Desk
from bulk_dispatch.sandbox.webcom.reading import Reader
from bulk_dispatch.sandbox.webcom.receipts import STRANGE_NUMBER, WebcomReceipts
from bulk_dispatch.sandbox.webcom.request import Request
from bulk_dispatch.sandbox.webcom.strict import DocumentRefused
from bulk_dispatch.sandbox.webcom.texts import DocumentError, in_words

# With a slash in the family's guide, without one in the seed: both answer, neither redirects.
COMMANDS: Mapping[str, str] = {
    "/xml": "send",
    "/xml/": "send",
    "/xml/state.php": "state",
    "/xml/balance.php": "balance",
    "/xml/list_scheduled.php": "list_scheduled",
    "/xml/scheduled.php": "scheduled",
    "/xml/time.php": "time",
    "/xml/list_stop.php": "list_stop",
    "/xml/stop.php": "stop",
    "/xml/originator.php": "originator",
    "/xml/get_state.php": "get_state",
}
TRAITS: Mapping[str, Trait] = {
    "send": Trait.SENDS | Trait.LISTS,
    "state": Trait.ASKS | Trait.LISTS,
    "scheduled": Trait.LISTS,
}


def webcom(options: SandboxOptions, journal: Journal | None) -> Sequence[Provider]:
    """A new account."""
    return (Webcom(options, WebcomAccount(options.webcom, journal)),)


class Webcom:
    """The XML gateway."""

    name = DOOR
    paths: Mapping[str, Sequence[str]] = dict.fromkeys(COMMANDS, ("POST",))
    commands: Mapping[str, Trait] = {command: TRAITS.get(command, Trait(0)) for command in COMMANDS.values()}
    shape: Literal["xml", "json", "text"] = "xml"

    def __init__(self, options: SandboxOptions, account: WebcomAccount) -> None:
        self.account: Account[Any] = account
        self._options = options.webcom
        self._writer = Writer(options.webcom)
        login = (options.login, options.password) if options.login and options.password else None
        self._reader = Reader(login, options.key, options.webcom.zone, options.webcom.line_break)
        self._desk = Desk(options, account, self._writer)
        self.receipts: Receipts | None = WebcomReceipts(self._writer, options.webcom.push_items)
        self.errors: Mapping[Code, Reply] = {error.value: self._error(error) for error in DocumentError}
        self.throttled: Reply | None = self._error(DocumentError.IDENTICAL)  # the one sign of haste there is

    def read(self, call: Call) -> Request:
        """Strictly; raises `Refused` with `<error>` in it."""
        command, known = COMMANDS[call.path], "unreadable"
        try:
            root = self._reader.root(call.headers.get("content-type", ""), call.body)
            known = command
            return self._reader.read(command, root, call.body)
        except DocumentRefused as refused:
            raise Refused(known, self._error(refused.error)) from None

    def answer(self, request: Request, orders: Orders, now: float) -> Answer:
        """See `Desk`."""
        return self._desk.answer(request, orders, now)

    def top_up(self, money: float, now: float) -> None:
        """What waits for money (text 17) goes out, as far as this lasts."""
        self._desk.top_up(money, now)

    def has_code(self, code: Code) -> bool:
        """A number of the sheet's table, or any text but that of success."""
        return str(code).strip().lower() not in {"", SEND}

    def recoded(self, item: Line | StateLine | Named, code: Code) -> Line | StateLine | Named:
        """The same with another text; its numbers stay."""
        return item._replace(text=in_words(code, self._options.language))

    def strangers(self, command: str, count: int) -> list[Any]:
        """About numbers nobody was given."""
        return [_stranger(command, STRANGE_NUMBER + place) for place in range(count)]

    def _error(self, error: DocumentError) -> Reply:
        return Reply(self._writer.error(error), MEDIA_TYPE, self._options.error_status)


def _stranger(command: str, number: int) -> Line | StateLine | Named:
    if command == "send":
        return Line(str(number), number, 1, SEND)
    if command == "state":
        return StateLine(str(number), "", (("sms", SEND),), 1, SEND)
    return Named("scheduled", "id_sms", str(number), "delete")
