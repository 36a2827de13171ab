"""AlphaSMS over XML: POST /api/xml.php (sheet section 1)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bulk_dispatch.sandbox.alphasms.account import AlphasmsAccount
from bulk_dispatch.sandbox.alphasms.answers import Line, ViberLine, error
from bulk_dispatch.sandbox.alphasms.codes import RequestError
from bulk_dispatch.sandbox.alphasms.handlers import DOOR, Desk
from bulk_dispatch.sandbox.alphasms.reading import Reader, Request, RequestRefused
from bulk_dispatch.sandbox.alphasms.receipts import AlphasmsReceipts
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Answer, Call, Code, Orders, Receipts, Refused, Reply, Trait

STRANGE_ID = 900_000_000_000_001  # nobody asks for ids as high as this


class AlphasmsXml:
    """See `Provider`."""

    name = DOOR
    paths: Mapping[str, Sequence[str]] = {"/api/xml.php": ["POST"]}
    commands: Mapping[str, Trait] = {
        "message": Trait.SENDS | Trait.LISTS,
        "message-async": Trait.SENDS | Trait.SUBMITS_JOB,
        "message-viber": Trait.SENDS | Trait.LISTS,
        "job": Trait.JOB,
        "status": Trait.ASKS | Trait.LISTS,
        "delete": Trait.LISTS,
        "balance": Trait(0),
        "prices": Trait(0),
    }
    shape: Literal["xml", "json", "text"] = "xml"
    errors: Mapping[Code, Reply] = {int(code): error(code) for code in RequestError}
    throttled: Reply | None = error(RequestError.THROTTLE)

    def __init__(self, options: SandboxOptions, account: AlphasmsAccount) -> None:
        self.account = account
        self.receipts: Receipts | None = AlphasmsReceipts(options.alphasms)
        self._reader = Reader(options)
        self._desk = Desk(options, account)

    def read(self, call: Call) -> Request:
        """The document in the body."""
        try:
            return self._reader.read(call.body)
        except RequestRefused as refused:
            raise Refused(refused.command, error(refused.code)) from None

    def answer(self, request: Request, orders: Orders, now: float) -> Answer:
        """See `Desk`."""
        return self._desk.answer(request, orders, now)

    def has_code(self, code: Code) -> bool:
        """Message codes are numbers."""
        return isinstance(code, int)

    def recoded(self, item: Line | ViberLine, code: Code) -> Line | ViberLine:
        """Another text of the `<msg>`."""
        return item._replace(code=int(code))

    def strangers(self, command: str, count: int) -> list[Any]:
        """With ids nobody has used."""
        ids = (str(STRANGE_ID + place) for place in range(count))
        if command == "message-viber":
            return [ViberLine(own, own, 1) for own in ids]
        return [Line(own, own, 1, None, 1) for own in ids]
