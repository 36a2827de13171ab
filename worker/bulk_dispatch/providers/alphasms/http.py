"""AlphaSMS, plain HTTP: one message a call, and words a person can read for an answer.

Source: AlphaSMS documentation, captured answers, and what public clients look for. Easily misread:

- Answers are `key:value` pairs parted by blanks or by lines, though the documentation calls them JSON.
  Values hold colons and blanks too: times, texts of errors, names of states in the customer's language.
- The count of segments is called `sms_count` or `smd_count`.
- `code` alone says where a message stands; 5 (out of reach) is not the end of it.

There is no id of ours in a call and a repeat is a second message, so doubt is left to a person. States are
asked for by their id, one a call.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar
from urllib.parse import quote, urlencode, urlsplit

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.account import Balance, Balances, Price, Prices
from bulk_dispatch.providers.alphasms import http_messages as messages
from bulk_dispatch.providers.alphasms.code_texts import HTTP_TEXTS
from bulk_dispatch.providers.alphasms.codes import CODE
from bulk_dispatch.providers.alphasms.http_codes import FAILURES, READ, STATES, SUBMITTED, errors_in
from bulk_dispatch.providers.alphasms.limits import ZONE
from bulk_dispatch.providers.alphasms.webhook import ID, read_hints
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import key_value
from bulk_dispatch.providers.formats.key_value import Pairs, one
from bulk_dispatch.providers.formats.numbers import SEGMENTS, currency, ended, money
from bulk_dispatch.providers.formats.options import PLUS, Options
from bulk_dispatch.providers.formats.unknown_words import kept
from bulk_dispatch.providers.interface import (
    Account,
    Answered,
    Asked,
    Cancels,
    Dialect,
    Push,
    Receipts,
    Reply,
    Request,
    Schedules,
    Statuses,
    StatusReport,
    read_http,
)
from bulk_dispatch.timezones import zone

# --- constants ---------------------------------------------------------------------------------------

PATH = "/api/http.php"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
KEYS = ("id", "sms_count", "smd_count", "code", "status_time", "balance", "price", "currency")
COUNTS = ("sms_count", "smd_count")
PARAMS_IN = ("form", "query")
FLASHES = ("1", "true", "yes", "on")  # what `flash` may hold; the page names it and no value
VERSIONS = ("sent", "left-out")  # `version` is required on an old page and absent from later ones
SPOKEN = ("errors", "status")  # their values are sentences
OTHER = "not what was asked for"

# --- limits ------------------------------------------------------------------------------------------

ITEMS = 20  # small packages: what is lost with one is in doubt
IN_FLIGHT = 8
OCTETS = 1_048_576


class AlphaSmsHttp(Dialect, Statuses, Cancels, Schedules, Receipts, Balances, Prices):
    """The dialect for one account.

    It goes by `package_items`, `in_flight` (calls at once, of states too) and `zone`, of the times that carry
    none. Options: `params_in` (form, or query: then login and text stand in addresses, and in the logs of
    whatever these pass), `number_format` (plus or digits), `flash` (what says that a text is one) and
    `version` (sent or left-out).
    """

    kinds: ClassVar[Collection[Kind]] = messages.KINDS
    options: ClassVar[Mapping[str, str]] = {
        "params_in": PARAMS_IN[0],
        "number_format": PLUS,
        "flash": FLASHES[0],
        "version": VERSIONS[0],
    }
    doubt: ClassVar[DoubtPolicy] = DoubtPolicy.HOLD
    code_texts: ClassVar[Mapping[str, str]] = HTTP_TEXTS
    by_reference: ClassVar[bool] = False
    hints: ClassVar[bool] = True
    longest_ahead = timedelta(days=1)  # unpublished; what waits here is cancelled more surely
    status_items = 1
    price_items = 1
    cancel_items = 1

    def __init__(self, account: Account) -> None:
        own = Options(self.options, account.options)
        self.status_in_flight = account.in_flight or IN_FLIGHT
        self.limits = Limits(
            items=account.package_items or ITEMS,
            octets=OCTETS,
            call=1,
            in_flight=self.status_in_flight,
            shortest=messages.LIFETIME[0],
            longest=messages.LIFETIME[1],
        )
        self._in_query = own.choice("params_in", PARAMS_IN) == "query"
        self._zone = account.zone or zone(ZONE)
        self._url = account.url.rstrip("/") + PATH
        self._number = own.number_format()
        self._flash = own.choice("flash", FLASHES)
        sent = own.choice("version", VERSIONS) == "sent"
        version = [("version", urlsplit(account.url).scheme or "https")] if sent else []
        self._login = [*version, *_login(account)]
        self._secrets = account.secrets

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if AlphaSMS cannot carry the message over plain HTTP."""
        messages.check(message)

    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        """`send` of the one item."""
        (item,) = items
        return self._request("send", messages.parameters_of(item, self._number(item.recipient), self._flash))

    def status(self, asked: Sequence[Asked]) -> Request:
        """`receive` of the one message, by their id."""
        (about,) = asked
        return self._request("receive", [("id", about.provider_message_id)])

    def cancel(self, asked: Sequence[Asked]) -> Request:
        """`delete` of the one message, which works until its time."""
        (about,) = asked
        return self._request("delete", [("id", about.provider_message_id)])

    def balance(self) -> Request:
        """`balance`."""
        return self._request("balance", [])

    def prices(self, recipients: Sequence[str]) -> Request:
        """`price` of the one number."""
        (recipient,) = recipients
        return self._request("price", [("to", self._number(recipient))])

    def _request(self, command: str, parameters: messages.Parameters) -> Request:
        encoded = urlencode([*self._login, ("command", command), *parameters], quote_via=quote, safe="")
        if self._in_query:
            return Request(url=f"{self._url}?{encoded}", body=b"", method="GET")
        return Request(url=self._url, body=encoded.encode(), headers=FORM)

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | Failure:
        """They answer with an id, or with errors: taken if there is an id, whatever count stands beside it,
        and refused if there are errors and none. Both, or neither, leave it open; so does whatever is not
        HTTP 200, for they answer with that, errors included (sheet, section 1). By an id that may have been
        cut short nobody is asked: it would be another message's."""
        (item,) = items
        if http := read_http(reply):
            return http.doubted()
        said = _pairs(reply)
        if isinstance(said, Failure):
            return said
        if "errors" in said and "id" not in said:
            return self._refused(item, said)
        theirs = one(said, "id")
        cut = "id" in said and not (theirs or reply.ended)
        if "errors" in said or not (cut or ID.fullmatch(theirs)):
            return Answered([StatusReport(item.reference, Status.IN_DOUBT, code="?", strange=True)])
        taken = StatusReport(
            item.reference,
            SUBMITTED["id"],
            code="id",
            provider_message_id=theirs,
            segments=SEGMENTS.get(one(said, *COUNTS)),
        )
        return Answered([taken])

    def _refused(self, item: OutboundMessage, said: Pairs) -> Answered | Failure:
        """What is about the call refuses it as a whole; anything else is about the message, and kept in their
        words if we do not know them."""
        errors = errors_in(said)
        if word := next((word for word in FAILURES if word in errors), ""):
            return FAILURES[word].because(word)
        if set(errors) == {"receiver"}:
            return Answered([StatusReport(item.reference, SUBMITTED["receiver"], code="receiver")])
        words = self._kept(said, *item.content.as_dict().values())
        return Answered([StatusReport(item.reference, Status.REJECTED, code=words, strange=True)])

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """What `code` says; never the text in `status`. An error about the message is no news of it. One
        that we do not know may be about it, or about every question there is."""
        (about,) = asked
        said = _pairs(reply)
        if isinstance(said, Failure):
            return said
        errors = errors_in(said)
        if errors == ["not found"] and "code" not in said:
            return Answered([StatusReport(about.reference, None, code="not found", known=False)])
        if not FAILURES.keys().isdisjoint(errors) or not (errors or "code" in said):
            return self._failure(said)
        if "code" not in said:
            words = self._kept(said)
            return Answered(
                [StatusReport(about.reference, None, code=words, strange=True, failure=UNREADABLE)]
            )
        return Answered([self._report(about, said)])

    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """How they answer is not published; code 10 is their word for deleted. What is still under way could
        not be deleted any more, and an error that we do not know may say just that."""
        answer = self.read_status(asked, reply)
        if isinstance(answer, Failure):
            return answer
        (told,) = answer.reports
        status = None if told.status is Status.SENT else told.status
        return Answered([told._replace(status=status, failure=None)])

    def _report(self, asked: Asked, said: Pairs) -> StatusReport:
        code = "" if "errors" in said else one(said, "code")
        theirs = one(said, "id") if "id" in said else asked.provider_message_id
        if code not in STATES or theirs != asked.provider_message_id:
            shown = code if CODE.fullmatch(code) else "?"
            return StatusReport(asked.reference, None, code=shown, strange=True)
        return StatusReport(
            asked.reference,
            STATES[code],
            code=code,
            provider_message_id=asked.provider_message_id,
            happened_at=ended(one(said, "status_time").replace("/", "-"), self._zone),
            read=code == READ,
        )

    def read_balance(self, reply: Reply) -> Balance | Failure:
        """What is left, rounded; they name no currency."""
        said = _pairs(reply)
        if isinstance(said, Failure):
            return said
        amount = money(one(said, "balance"))
        if errors_in(said) or amount is None:
            return self._failure(said)
        return Balance(amount, currency(one(said, "currency")))

    def read_prices(self, recipients: Sequence[str], reply: Reply) -> Mapping[str, Price] | Failure:
        """The price of a segment to the one number; 0 where they do not send."""
        (recipient,) = recipients
        said = _pairs(reply)
        if isinstance(said, Failure):
            return said
        amount, unit = money(one(said, "price")), currency(one(said, "currency"))
        if errors_in(said) or amount is None or amount.is_signed() or not unit:
            return self._failure(said)
        return {recipient: Price(amount, unit)}

    def _failure(self, said: Pairs) -> Failure:
        """What keeps them from answering a question: the account's error before all others."""
        errors = errors_in(said)
        if word := next((word for word in FAILURES if word in errors), ""):
            return FAILURES[word].because(word)
        return UNREADABLE.because(self._kept(said)) if "?" in errors else UNREADABLE.because(detail=OTHER)

    def _kept(self, said: Pairs, *ours: str) -> str:
        """Their errors, without our secrets and what else is ours."""
        return kept("; ".join(said["errors"]), (*self._secrets, *ours))

    # --- receipts ------------------------------------------------------------------------------------

    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        """Hints: see webhook."""
        return read_hints(push)


def _login(account: Account) -> messages.Parameters:
    """Who we are: the key, or what older accounts have."""
    if account.key:
        return [("key", account.key)]
    if account.login and account.password:
        return [("login", account.login), ("pass", account.password)]
    raise ValueError("AlphaSMS needs a key, or a login and a password")


def _pairs(reply: Reply) -> Pairs | Failure:
    return read_http(reply) or key_value.read(reply, KEYS, SPOKEN)
