"""StreamCo SMARTSwitch, HTTP API "message": parameters going out, a JSON:API document coming back.

Source: the public SMARTSwitch wiki. Five things there are easily misread:

- Recipients are groups of repeated parameters, told apart by position alone: the order is the meaning.
- `data` is an object for one recipient and an array for several.
- An echo in `request_id` may be theirs (the samples show one that nobody sent): only ours is believed.
- `ok` is also written with Cyrillic letters.
- An answer has `data` or `errors`, never both: so `errors` says that nothing of the call was sent. Which
  message is to blame it does not say, so a call holds one, unless the route wants it otherwise.

Nothing there can be asked afterwards and a repeat is a second message, so doubt is left to a person. States
come as pushes only. Login and password ride in the URL unless `params_in` is form.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import ClassVar, TypeAlias
from urllib.parse import quote, urlencode

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import json_api
from bulk_dispatch.providers.formats.numbers import SEGMENTS
from bulk_dispatch.providers.formats.options import DIGITS, Options
from bulk_dispatch.providers.formats.webhook import Record, records
from bulk_dispatch.providers.interface import (
    Account,
    Answered,
    Dialect,
    Push,
    Receipts,
    Reply,
    Request,
    StatusReport,
    joined,
    read_http,
)
from bulk_dispatch.providers.senders import PRINTABLE, Senders
from bulk_dispatch.providers.smartswitch.codes import ERROR_WORDS, ERRORS, PASSING, STATES, STATUSES, WEIGHT
from bulk_dispatch.providers.smartswitch.matching import matched

# --- constants ---------------------------------------------------------------------------------------

PATH = "/api/message"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KINDS = (Kind.SMS, Kind.PING)
ID = re.compile(
    r"(?!0+$)[0-9A-Za-z-]{1,64}"
)  # 13 digits in the samples; longer than 32 bits, so it stays a text
WORD = re.compile(r"[A-Za-z_.-]{1,40}")  # a code or state as it may be kept: no number, no sentence
LATIN = str.maketrans("ок", "ok")  # from Cyrillic

# --- limits, all unpublished -------------------------------------------------------------------------

ITEMS = 20  # small packages: what is lost with one is in doubt
IN_FLIGHT = 20  # one wave: measured as fast as ten in a call, once an answer takes a tenth of a second
CREDENTIALS_MOST = 300  # bytes of login and password, encoded
OCTETS = {"query": 4_096, "form": 262_144}
SENDERS = Senders(PRINTABLE)

Parameters: TypeAlias = list[tuple[str, str]]
"""In their order. A mapping would lose every recipient but the last."""


class SmartSwitch(Dialect, Receipts):
    """The dialect for one account.

    It goes by `package_items`, `package_bytes` (of a request), `in_flight` (calls at once) and `receipts`.
    Options: `call_items` (messages a call; where several, a package is one call), `params_in` (query or
    form), `source` (name or number: how senders are given, in one way for a route, because all recipients of
    a call must have the same parameters), `number_format` (digits or plus), and the names of the fields of a
    receipt, `receipt_id` and `receipt_state`.
    """

    kinds: ClassVar[Collection[Kind]] = KINDS
    options: ClassVar[Mapping[str, str]] = {
        "call_items": "1",
        "params_in": "query",
        "source": "name",
        "number_format": DIGITS,
        "receipt_id": "message_id",
        "receipt_state": "message_state",
    }
    doubt: ClassVar[DoubtPolicy] = DoubtPolicy.HOLD
    hints: ClassVar[bool] = False

    def __init__(self, account: Account) -> None:
        if not (account.login and account.password):
            raise ValueError("SMARTSwitch needs a login and a password")
        own = Options(self.options, account.options)
        self._mode = own.choice("params_in", OCTETS)
        self._octets = account.package_bytes or OCTETS[self._mode]
        if len(_encoded([("_login", account.login), ("_password", account.password)])) > CREDENTIALS_MOST:
            raise ValueError(f"login and password must be at most {CREDENTIALS_MOST} bytes in a query")
        self._source = f"source_{own.choice('source', ('name', 'number'))}"
        self._number = own.number_format()
        self._dlr = account.receipts
        self._id = own.field_name("receipt_id")
        self._state = own.field_name("receipt_state")
        self._url = account.url.rstrip("/") + PATH
        self._login = [("_login", account.login), ("_password", account.password)]
        self._secrets = account.secrets
        self.limits = self._limits(account, own.number("call_items"))

    def _limits(self, account: Account, several: int) -> Limits:
        octets = self._octets - self._length([])
        if several > 1:
            items = min(several, account.package_items or several)
            return Limits(items=items, octets=octets, measure=self._measure)
        return Limits(
            items=account.package_items or ITEMS,
            octets=octets,
            call=1,
            in_flight=account.in_flight or IN_FLIGHT,
            measure=self._measure,
        )

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if SMARTSwitch cannot carry the message."""
        if message.kind not in KINDS:
            raise MessageError("kind", message.kind.value, "is not carried by SMARTSwitch")
        if self._source == "source_number" and not (message.sender.isascii() and message.sender.isdigit()):
            raise MessageError("sender", message.sender, "must be a number: the route's source is number")
        if self._source == "source_name" and len(message.sender) > SENDERS.most:
            raise MessageError("sender", message.sender, f"must be at most {SENDERS.most} characters")
        SENDERS.check("sender", message.sender)
        alone = OutboundMessage(
            id=0,
            reference=10**15,
            recipient=message.recipient,
            sender=message.sender,
            content=message.content,
        )
        # The credentials may not be at hand where messages are checked, so they are reckoned at their most.
        length = self._measure(alone) + len(self._url) + CREDENTIALS_MOST
        if length > self._octets:
            problem = f"must fit into a request of {self._octets} bytes; more fit where params_in is form"
            raise MessageError("text", f"{length} bytes", problem)

    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        """One call with a group of parameters for each item."""
        encoded = self._encoded(items)
        if self._mode == "query":
            return Request(url=f"{self._url}?{encoded}", body=b"")
        return Request(url=self._url, body=encoded.encode(), headers=FORM)

    def _measure(self, item: OutboundMessage) -> int:
        """Bytes of one message's parameters, were a ping in the same call."""
        return len(_encoded(self._group(item, pings=True))) + 1

    def _length(self, items: Sequence[OutboundMessage]) -> int:
        return len(self._encoded(items)) + (len(self._url) + 1 if self._mode == "query" else 0)

    def _encoded(self, items: Sequence[OutboundMessage]) -> str:
        pings = any(item.kind is Kind.PING for item in items)
        groups = [pair for item in items for pair in self._group(item, pings)]
        return _encoded(self._login + groups)

    def _group(self, item: OutboundMessage, pings: bool) -> Parameters:
        """The parameters of one recipient: the same for all of a call, empty ones included. How they would
        be told apart otherwise is not published."""
        group = [
            ("destination_number", self._number(item.recipient)),
            (self._source, item.sender),
            ("body", "" if item.kind is Kind.PING else getattr(item.content, "text", "")),
        ]
        if self._dlr:
            group.append(("require_dlr", "1"))
        if pings:
            group.append(("stealth_ping", "1" if item.kind is Kind.PING else "0"))
        return [*group, ("request_id", str(item.reference))]

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | Failure:
        """A status report for each element that can be matched, or what the errors amount to.

        HTTP statuses of errors are not published, so the document decides, whatever the status.
        """
        document = json_api.read(reply.body)
        if isinstance(document, Failure):
            return self._without_document(reply) or document
        if document.errors:
            return self._refusal(items, document.errors)
        return self._joined(items, document.data)

    def _without_document(self, reply: Reply) -> Failure | None:
        """What the HTTP status asks of the route. What they did before they answered so is not known, unless
        the address was too long: then the web server did not even read it."""
        http = read_http(reply)
        if http and not (reply.status == 414 and self._mode == "query"):
            return http.doubted()
        return http

    def _refusal(
        self, items: Sequence[OutboundMessage], errors: Sequence[json_api.Object]
    ) -> Answered | Failure:
        """What errors in the place of data come to: nothing of the call was sent, by their page.

        They are about the account or the moment; or they refuse the message, if it is one. Where several hang
        on a code that is not published, or a time ran out on their side, or nothing is said at all, that page
        is not enough: they are in doubt, where they wait for a person, and the route backs off.
        """
        codes = [json_api.word(error.get("code")) for error in errors]
        failures = [self._failure(code) for code in codes]
        failure = min(failures, key=lambda failure: WEIGHT.index(failure.name))
        if failure.because() in ERRORS.values():
            return failure
        if len(items) > 1 or any(map(_ran_out, codes)) or not any(errors):
            return failure.doubted()
        passing = {one.name: one for one in failures if one.name in PASSING}
        first = next((passing[name] for name in PASSING if name in passing), None)
        return first or Answered([self._refused(items[0], failures)])

    def _refused(self, item: OutboundMessage, failures: Sequence[Failure]) -> StatusReport:
        """Refused in their word; the first one that is any."""
        code = next((one.code for one in failures if one.code != "?"), "?")
        strange = all(one.name == UNREADABLE.name for one in failures)
        return StatusReport(item.reference, Status.REJECTED, code=code, strange=strange)

    def _failure(self, code: str) -> Failure:
        plain = code.lower()
        words = () if _ran_out(code) else re.split(r"[_.-]", plain)
        guesses = (failure for word, failure in ERROR_WORDS.items() if word in words)
        return (ERRORS.get(plain) or next(guesses, UNREADABLE)).because(self._shown(code))

    def _joined(self, items: Sequence[OutboundMessage], elements: Sequence[json_api.Object]) -> Answered:
        found = zip(matched(items, elements), elements, strict=True)
        reports = (self._report(item, element) for item, element in found if item)
        return Answered(joined(reports, Status.IN_DOUBT))

    def _report(self, item: OutboundMessage, element: json_api.Object) -> StatusReport:
        attributes = json_api.part(element, "attributes")
        said = json_api.word(attributes.get("status"))
        code = said.lower().translate(LATIN)
        status = STATUSES.get(code)
        theirs = self._own(json_api.word(element.get("id")))
        if status is None:
            return StatusReport(
                item.reference,
                Status.IN_DOUBT,
                code=self._shown(said),
                provider_message_id=theirs,
                strange=True,
            )
        if status is Status.QUEUED:
            # Without their id: should a receipt name it, it would be about this try and not the next.
            return StatusReport(item.reference, Status.REJECTED if item.attempts else status, code=code)
        segments = SEGMENTS.get(json_api.word(attributes.get("segments")))
        return StatusReport(item.reference, status, code=code, provider_message_id=theirs, segments=segments)

    def _own(self, number: str) -> str:
        """Their id of a message, as far as it is one. Receipts name messages by it."""
        return number if ID.fullmatch(number) and not self._holds_secret(number) else ""

    def _shown(self, said: str) -> str:
        """A code or state as it may be kept. What is no word may be anything, the password included."""
        return said if WORD.fullmatch(said) and not self._holds_secret(said) else "?"

    def _holds_secret(self, said: str) -> bool:
        return any(secret in said for secret in self._secrets)

    # --- receipts ------------------------------------------------------------------------------------

    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        """The state of one message as a form, of one or several as JSON: their side may be set to either."""
        receipts = [receipt for record in records(push) if (receipt := self._receipt(record))]
        return receipts or UNREADABLE.because(detail="no id and state in what was pushed")

    def _receipt(self, record: Record) -> DeliveryReceipt | None:
        theirs, said = self._own(record.get(self._id, "").strip()), record.get(self._state, "").strip()
        if not (theirs and said):
            return None
        state = said.lower()
        if state not in STATES:  # whole words: "undeliverable" has "deliver" in it
            return DeliveryReceipt(theirs, None, code=self._shown(said), strange=True)
        return DeliveryReceipt(theirs, STATES[state], code=state)


def _ran_out(code: str) -> bool:
    """Whether a time of theirs ran out: then nobody knows what they did before."""
    return "time" in code.lower()


def _encoded(pairs: list[tuple[str, str]]) -> str:
    """quote, so that a blank is %20 as in their samples."""
    return urlencode(pairs, quote_via=quote, safe="")
