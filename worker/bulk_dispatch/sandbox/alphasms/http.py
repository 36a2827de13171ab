"""AlphaSMS over plain HTTP: GET or POST /api/http.php (sheet section 10)."""

from collections.abc import Mapping, Sequence
from typing import Literal

from bulk_dispatch.sandbox.alphasms.account import AlphasmsAccount
from bulk_dispatch.sandbox.alphasms.http_handlers import DOOR, HttpDesk, Pairs, errors, recoded, written
from bulk_dispatch.sandbox.alphasms.http_reading import (
    COMMAND,
    LOGIN,
    NOT_FOUND,
    RECEIVER,
    CallRefused,
    HttpReader,
    HttpRequest,
)
from bulk_dispatch.sandbox.alphasms.receipts import STRANGE_ID, AlphasmsReceipts
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Answer, Call, Code, Orders, Receipts, Refused, Reply, Trait

WORDS_OF_ERRORS = {"login": LOGIN, "command": COMMAND, "not found": NOT_FOUND, "receiver": RECEIVER}


class AlphasmsHttp:
    """See `Provider`."""

    name = DOOR
    paths: Mapping[str, Sequence[str]] = {"/api/http.php": ["GET", "POST"]}
    commands: Mapping[str, Trait] = {
        "send": Trait.SENDS | Trait.LISTS,
        "receive": Trait.ASKS | Trait.LISTS,
        "delete": Trait.LISTS,
        "balance": Trait(0),
        "price": Trait(0),
    }
    shape: Literal["xml", "json", "text"] = "text"
    errors: Mapping[Code, Reply] = {
        name: written([errors(text)], " ") for name, text in WORDS_OF_ERRORS.items()
    }
    throttled: Reply | None = None

    def __init__(self, options: SandboxOptions, account: AlphasmsAccount) -> None:
        self.account = account
        self.receipts: Receipts | None = AlphasmsReceipts(options.alphasms)
        self._reader = HttpReader(options)
        self._desk = HttpDesk(options, account)

    def read(self, call: Call) -> HttpRequest:
        """The form in the query or the body."""
        try:
            return self._reader.read(call)
        except CallRefused as refused:
            raise Refused(refused.command, written([errors(*refused.texts)], " ")) from None

    def answer(self, request: HttpRequest, orders: Orders, now: float) -> Answer:
        """See `HttpDesk`."""
        return self._desk.answer(request, orders, now)

    def has_code(self, code: Code) -> bool:
        """Errors are words; a number stands for its words in the XML table."""
        return code != ""

    def recoded(self, item: Pairs, code: Code) -> Pairs:
        """Another `code:`, or an error."""
        return recoded(item, code)

    def strangers(self, command: str, count: int) -> list[Pairs]:
        """With ids nobody has used."""
        ids = (str(STRANGE_ID + place) for place in range(count))
        return [[("id", one), ("sms_count", "1") if command == "send" else ("code", "3")] for one in ids]
