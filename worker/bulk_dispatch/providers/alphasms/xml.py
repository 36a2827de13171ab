"""AlphaSMS, XML: `message`, `message-async` with its `job`, `message-viber`, `status`, `delete`, the account.

Source: AlphaSMS documentation and captured answers. Three things there are easily misread:

- A number means one thing in `<error>`, where it is about the whole request, and another in `<msg>`.
- 208 is no failure: they have had a message with this id before. If that can be ours, it is asked about and
  adopted; if we had not sent it yet, it is a stranger's.
- 1 means accepted, whichever question it answers; 102 alone means delivered.

Our `id` is unique in the account for ever, so whatever became doubtful can be asked for by it.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import ClassVar, TypeAlias

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.providers.account import Balance, Balances, Price, Prices
from bulk_dispatch.providers.alphasms import messages
from bulk_dispatch.providers.alphasms.code_texts import XML_REQUEST_TEXTS, XML_TEXTS
from bulk_dispatch.providers.alphasms.codes import (
    CODE,
    DELIVERY,
    JOBS,
    REFUSAL,
    REFUSALS,
    REPORTED,
    SUBMITTED,
    WITHDRAWN,
    CodeMeaning,
    Codes,
)
from bulk_dispatch.providers.alphasms.limits import ZONE
from bulk_dispatch.providers.alphasms.webhook import read_hints
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import xml
from bulk_dispatch.providers.formats.numbers import SEGMENTS, currency, ended, money
from bulk_dispatch.providers.formats.options import PLUS, Options
from bulk_dispatch.providers.interface import (
    Account,
    Answered,
    Asked,
    Cancels,
    Dialect,
    JobReport,
    Jobs,
    JobTaken,
    Mode,
    Push,
    Receipts,
    Reply,
    Request,
    Schedules,
    Statuses,
    StatusReport,
    joined,
    read_http,
)
from bulk_dispatch.timezones import zone

# --- constants ---------------------------------------------------------------------------------------

PATH = "/api/xml.php"
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
COMMANDS = {Mode.SYNC: "message", Mode.ASYNC: "message-async"}
BUTTON_AS = ("button", "image")  # their table has the first, one of their samples the second
JOB = re.compile(r"[A-Za-z0-9_.:+/={}-]{1,64}")  # in their sample 32 hex digits
LOCAL = re.compile(r"0[0-9]{9}")  # a number of Ukraine as it is dialled there
NUMBER_MOST = 64  # letters and digits of theirs of a message

# --- limits ------------------------------------------------------------------------------------------

ITEMS = {Mode.SYNC: 100, Mode.ASYNC: 1000}  # unpublished; on the careful side
OCTETS = 1_048_576  # unpublished
STATUS_ITEMS = 200  # unpublished
PRICE_ITEMS = 100  # unpublished
SHORTEST = timedelta(seconds=90)  # of validity: they ask for a minute, and clocks differ
AHEAD = timedelta(days=1)  # unpublished; what waits here is cancelled more surely than what waits there

ANSWERS = ("message", "message-async", "message-viber", "status", "delete")
"""What answers stand in. Their tables and their samples disagree on which, so any will do."""

NUMBERS = ("sms_id", "msg_id")
"""Where their number of a message stands: of an SMS, and of a Viber message."""

Finder: TypeAlias = Callable[[xml.Element], int | None]
"""Which message of ours an answer is about, by reference; None for one of somebody else."""


class AlphaSmsXml(Dialect, Statuses, Cancels, Jobs, Schedules, Receipts, Balances, Prices):
    """The dialect for one account.

    It goes by `mode` (Viber is always sync), `package_items` (by default as the mode allows),
    `package_bytes`, `status_items` and `zone`, of the dates that carry none. Options: `number_format` (plus
    or digits) and `viber_button` (button or image, as which a button under a picture is sent).
    """

    kinds: ClassVar[Collection[Kind]] = (*messages.TYPES, *messages.VIBER)
    options: ClassVar[Mapping[str, str]] = {"number_format": PLUS, "viber_button": BUTTON_AS[0]}
    families: ClassVar[Mapping[Kind, str]] = {  # Viber has a command of its own, and a document holds one
        **dict.fromkeys(messages.TYPES, "sms"),
        **dict.fromkeys(messages.VIBER, "viber"),
    }
    doubt: ClassVar[DoubtPolicy] = DoubtPolicy.ASK
    code_texts: ClassVar[Mapping[str, str]] = XML_TEXTS
    request_code_texts: ClassVar[Mapping[str, str]] = XML_REQUEST_TEXTS
    by_reference: ClassVar[bool] = True
    dated: ClassVar[Collection[str]] = frozenset(DELIVERY)  # `date_completed`; what is refused has none
    hints: ClassVar[bool] = True
    price_items = PRICE_ITEMS
    longest_ahead = AHEAD
    job_kept = timedelta(hours=11)  # they forget after twelve: an hour before, the messages are asked for

    def __init__(self, account: Account) -> None:
        own = Options(self.options, account.options)
        self.limits = Limits(
            items=account.package_items or ITEMS[account.mode],
            octets=account.package_bytes or OCTETS,
            shortest=SHORTEST,
            longest=messages.LASTS[1],
        )
        self.status_items = account.status_items or STATUS_ITEMS
        self.cancel_items = self.status_items
        self._command = COMMANDS[account.mode]
        self._zone = account.zone or zone(ZONE)
        self._manner = messages.MessageFormat(
            self._zone, numbered=own.number_format(), button=own.choice("viber_button", BUTTON_AS)
        )
        self._url = account.url.rstrip("/") + PATH
        self._login = _login(account)

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if AlphaSMS cannot carry the message."""
        messages.check(message)

    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        """One `message`, `message-async` or `message-viber` with a `<msg>` for each item."""
        (family,) = {self.apart(kind) for kind in {item.kind for item in items}}
        if family == "viber":
            return self._request("message-viber", (messages.as_viber(item, self._manner) for item in items))
        return self._request(self._command, (messages.as_sms(item, self._manner) for item in items))

    def status(self, asked: Sequence[Asked]) -> Request:
        """One `status`, by our ids; never with theirs too."""
        return self._request("status", map(_mention, asked))

    def job(self, job: str) -> Request:
        """One `job`, which here holds the bare id."""
        return self._request("job", job)

    def cancel(self, asked: Sequence[Asked]) -> Request:
        """One `delete`, by our ids. It works until a message has been handed to its operator."""
        return self._request("delete", map(_mention, asked))

    def balance(self) -> Request:
        """One `balance`, empty."""
        return self._request("balance", "")

    def prices(self, recipients: Sequence[str]) -> Request:
        """One `prices` with a `<phone>` for each recipient."""
        return self._request("prices", (("phone", {}, self._manner.numbered(one)) for one in recipients))

    def _request(self, command: str, content: "str | Iterable[xml.Node]") -> Request:
        document = xml.render(("package", self._login, [(command, {}, content)]))
        return Request(url=self._url, body=document, headers=HEADERS)

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | JobTaken | Failure:
        """A report for each `<msg>` of ours, else the job, else the error: what they took comes first."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        if answers := list(package.iter("msg")):
            ours = {str(item.reference): item.reference for item in items}
            return self._joined(answers, _finder(ours, {}), SUBMITTED)
        return _job_taken(package) or _error(package) or _nothing(package)

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """A status report for each `<msg>` that answers what was asked."""
        return self._read_asked(asked, reply, REPORTED)

    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """The same after a `delete`: 104 is cancelled, another state came first, a refusal is no news."""
        return self._read_asked(asked, reply, WITHDRAWN)

    def _read_asked(self, asked: Sequence[Asked], reply: Reply, codes: Codes) -> Answered | Failure:
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        if answers := list(package.iter("msg")):
            ours = {str(one.reference): one.reference for one in asked}
            theirs = {one.provider_message_id: one.reference for one in asked if one.provider_message_id}
            return self._joined(answers, _finder(ours, theirs), codes)
        return _error(package) or _nothing(package)

    def read_job(self, reply: Reply) -> JobReport | Failure:
        """The word in `<job><status>`. A `<job>` without one is no report."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        words = {_text(element) for element in package.iterfind("job/status")}
        if len(words) != 1:
            return _error(package) or UNREADABLE.because(detail="not one job status in it")
        word = words.pop()
        if word not in JOBS:
            return UNREADABLE.because(detail="no job status we know")
        return JobReport(JOBS[word], word)

    def read_balance(self, reply: Reply) -> Balance | Failure:
        """What stands in `<balance>`, without the noise."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        amounts = {_text(element) for element in package.iterfind("balance/amount")}
        amount = money(amounts.pop()) if len(amounts) == 1 else None
        if amount is None:
            return _error(package) or UNREADABLE.because(detail="not one amount in it")
        return Balance(amount, currency(package.findtext("balance/currency", "").strip()))

    def read_prices(self, recipients: Sequence[str], reply: Reply) -> Mapping[str, Price] | Failure:
        """The prices of those they answer for; two prices for one number are none."""
        package = _package(reply)
        if isinstance(package, Failure):
            return package
        phones = list(package.iterfind("prices/phone"))
        if not phones:
            return _error(package) or UNREADABLE.because(detail="no prices in it")
        prices: dict[str, Price | None] = {}
        for phone in phones:
            number, price = _international(_text(phone)), _price(phone)
            prices[number] = price if prices.get(number, price) == price else None
        return {one: price for one in recipients if (price := prices.get(one.lstrip("+")))}

    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        """Hints: see webhook."""
        return read_hints(push)

    def _joined(self, answers: Iterable[xml.Element], find: Finder, codes: Codes) -> Answered:
        ours = ((find(answer), answer) for answer in answers)
        reports = (self._report(one, answer, codes) for one, answer in ours if one is not None)
        return Answered(joined(reports, codes.lost.status))

    def _report(self, reference: int, answer: xml.Element, codes: Codes) -> StatusReport:
        code, theirs = _text(answer), _theirs(answer)
        meaning = codes.table.get(code) or _unknown(code, answer, codes)
        if meaning.denies and theirs:
            # They cannot lack a message that they have numbered. Queued on that word, it might leave twice.
            meaning = codes.lost
        completed = answer.get("date_completed")
        completed_at = ended(completed, self._zone) if completed else None
        if completed_at and code in codes.completed:
            meaning = codes.completed[code]
        return StatusReport(  # by position: one for each message, and by name it takes half as long again
            reference,
            meaning.status,
            _shown(code, codes.table),
            theirs,
            _count(answer) if code in DELIVERY else None,
            completed_at,
            meaning.known,
            meaning.strange,
            meaning.failure,
            used=meaning.used,
        )


def _login(account: Account) -> dict[str, str]:
    """Who we are, as attributes of `<package>`: the key, or what older accounts have."""
    if account.key:
        return {"key": account.key}
    if account.login and account.password:
        return {"login": account.login, "password": account.password}
    raise ValueError("AlphaSMS needs a key, or a login and a password")


def _mention(one: Asked) -> xml.Node:
    return "msg", {"id": str(one.reference)}, ""


def _package(reply: Reply) -> xml.Element | Failure:
    return read_http(reply) or xml.read(reply.body, "package")


def _finder(ours: Mapping[str, int], theirs: Mapping[str, int]) -> Finder:
    """Joins on our id; on theirs where an answer carries none of ours."""

    def find(answer: xml.Element) -> int | None:
        number = answer.get("id", "")
        return ours.get(number) if number.strip("0") else theirs.get(_theirs(answer))

    return find


def _job_taken(package: xml.Element) -> JobTaken | None:
    """In this answer `<job>` holds the bare id; a report on some job has children there and no text."""
    jobs = {_text(element) for element in package.iter("job")}
    job = jobs.pop() if len(jobs) == 1 else ""
    return JobTaken(job) if JOB.fullmatch(job) else None


def _error(package: xml.Element) -> Failure | None:
    codes = {_text(element) for element in package.iter("error")}
    if len(codes) != 1:
        return UNREADABLE.because(detail="errors that differ") if codes else None
    code = codes.pop()
    return REFUSALS.get(code, UNREADABLE).because(code=_shown(code, REFUSALS))


def _nothing(package: xml.Element) -> Answered | Failure:
    """An answer that is there and empty misses every message; anything else is no answer at all."""
    if any(part.tag in ANSWERS and not len(part) and not _text(part) for part in package):
        return Answered(())
    return UNREADABLE.because(detail="neither messages nor an error in it")


def _text(element: xml.Element) -> str:
    return (element.text or "").strip()


def _shown(code: str, table: Mapping[str, object]) -> str:
    """A code as it may be kept. What is none may be anything, the text they were given included."""
    return code if code in table or CODE.fullmatch(code) else "?"


def _theirs(answer: xml.Element) -> str:
    """Their number; "0" means none, and what is no number of theirs is none either."""
    for name in NUMBERS:
        number = answer.get(name, "0")
        if number != "0" and number.isalnum() and number.isascii() and len(number) <= NUMBER_MOST:
            return number
    return ""


def _unknown(code: str, answer: xml.Element, codes: Codes) -> CodeMeaning:
    """A code that is new to us. From 200 on they are refusals, and beside it stands their number 0."""
    says_none = any(answer.get(name) == "0" for name in NUMBERS)
    return codes.refused if says_none and REFUSAL.fullmatch(code) else codes.lost


def _count(answer: xml.Element) -> int | None:
    """Segments charged. Not to be asked of refused messages, where they send 0 or 1 as they like."""
    return SEGMENTS.get(answer.get("sms_count", ""))


def _international(number: str) -> str:
    """Digits; of a number in the local form of Ukraine, as it may stand there, those of the whole."""
    return f"38{number}" if LOCAL.fullmatch(number) else number.lstrip("+")


def _price(phone: xml.Element) -> Price | None:
    amount = money(phone.get("price", ""))
    return None if amount is None or amount < 0 else Price(amount, currency(phone.get("currency", "")))
