"""SMARTSwitch for the frame: one address, one command (sheet section 2)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from bulk_dispatch.sandbox.account import Account, Entry
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Oracle
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
from bulk_dispatch.sandbox.smartswitch.account import Taken, first_number, nobodys_number
from bulk_dispatch.sandbox.smartswitch.answers import Element, data, errors
from bulk_dispatch.sandbox.smartswitch.codes import CYRILLIC_OK, LATIN_OK, CallError
from bulk_dispatch.sandbox.smartswitch.intake import Intake
from bulk_dispatch.sandbox.smartswitch.reading import CallRefused, Reader, Request
from bulk_dispatch.sandbox.smartswitch.receipts import SmartSwitchReceipts


def smartswitch(options: SandboxOptions, journal: Journal | None) -> Sequence[Provider]:
    """A new account."""
    return (SmartSwitch(options, Account("smartswitch", Taken, journal, first_number)),)


class SmartSwitch:
    """`POST /api/message`. No `request_id` is remembered: a repeat is a second message [seed]."""

    name = "smartswitch"
    paths: Mapping[str, Sequence[str]] = {"/api/message": ("POST",)}
    commands: Mapping[str, Trait] = {"message": Trait.SENDS | Trait.LISTS}
    shape: Literal["xml", "json", "text"] = "json"
    throttled: Reply | None = None  # no such answer is documented

    def __init__(self, options: SandboxOptions, account: Account[Taken]) -> None:
        self.account: Account[Any] = account
        self._options = options
        self._installed = options.smartswitch
        self._reader = Reader(self._installed, (options.login, options.password))
        self._oracle = Oracle(options.mix, options.seed)
        self.receipts: Receipts | None = SmartSwitchReceipts(self._installed)
        self.errors: Mapping[Code, Reply] = {code: self._failed(code, "scripted") for code in CallError}

    def read(self, call: Call) -> Request:
        """Whatever is wrong with the call as a whole, the answer is a document with `errors`."""
        try:
            return self._reader.read(call.query, call.headers.get("content-type", ""), call.body)
        except CallRefused as refused:
            raise Refused("unreadable", self._failed(refused.code, refused.detail)) from None

    def answer(self, request: Request, orders: Orders, now: float) -> Answer:
        """An element for each recipient, in their order [unknown - assumption]."""
        size = len(request.messages)
        intake = Intake(self.account.next_number(), self._oracle, self._options, now)
        judged = zip(request.messages, orders.codes(size), strict=True)
        elements = [intake.judge(place, message, code) for place, (message, code) in enumerate(judged, 1)]
        self.account.keep(Entry(self.name, size, intake.taken, refused=size - len(intake.taken)))
        return Answer(elements, lambda items: self._answered(items, several=size > 1))

    def has_code(self, code: Code) -> bool:
        """Any status but the good one: anything else is not ok (trap 3)."""
        return str(code).lower() not in {LATIN_OK, CYRILLIC_OK}

    def recoded(self, item: Element, code: Code) -> Element:
        """The same recipient with another status."""
        return item._replace(status=str(code))

    def strangers(self, _command: str, count: int) -> list[Element]:
        """Sent, to a number and with a request_id that nobody has given."""
        numbers = (str(nobodys_number()) for _ in range(count))
        return [Element(number, number, 1, LATIN_OK, number) for number in numbers]

    def _answered(self, elements: Sequence[Element], several: bool) -> Reply:
        return Reply(data(elements, several, self._installed.request_id_in), self._installed.media_type)

    def _failed(self, code: CallError, detail: str) -> Reply:
        return Reply(errors(code, detail), self._installed.media_type, self._installed.error_status)
