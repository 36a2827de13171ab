"""webcom.mobi, XML: send, states asked for and pushed, balance, what is scheduled, clock and stop list.

Source: vendor documentation, and that of other gateways on the same platform ("family"). Easily misread:

- An answer names a message by `number_sms` alone, which counts through the whole document.
- Two refusals are none: "already sent", and "insufficient funds; it will be sent once you top up".
- `<error>` comes with HTTP 400 or 200. The body decides.
- A state is the last of the message as a whole; its attributes tell of each channel, and may be ahead of it.

`client_id_sms` is our id: what was sent under it is not sent again, so whatever became doubtful is repeated.
States are asked for by their ids only.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import ClassVar
from zoneinfo import ZoneInfo

from worker.providers import xml
from worker.providers.contract import (
    UNREADABLE,
    Account,
    Acknowledgement,
    Answered,
    Asked,
    Balance,
    Failure,
    Push,
    Receipt,
    Reply,
    Request,
    Scheduled,
    Verdict,
    read_http,
)
from worker.providers.options import choice, number, zone
from worker.providers.webcom_message import TYPES, check, messages
from worker.providers.webcom_states import State, pushed, stands, state_of
from worker.providers.webcom_texts import ADMISSIONS, REFUSALS, STATES, find, rooted, text_of, theirs
from worker.sms.content import Kind
from worker.sms.doubt import Doubt
from worker.sms.fields import MessageError, phone_number
from worker.sms.message import Message
from worker.sms.package import Item, Limits
from worker.sms.status import Status

# --- constants ---------------------------------------------------------------------------------------

PATHS = ("/xml", "/xml/")  # where messages go; the family writes the second, and a redirect would lose them
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}
COUNTS = {str(count): count for count in range(1, 256)}  # segments; 0 is not a number of them
AMOUNT = re.compile(r"-?[0-9]{1,15}([.,][0-9]{1,9})?")
MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}(:[0-9]{2})?")
HOUR = re.compile(r"[0-9]{2}:[0-9]{2}(:[0-9]{2})?")

# --- limits ------------------------------------------------------------------------------------------

ITEMS = 500  # unpublished
OCTETS = 1_048_576  # unpublished
STATUS_ITEMS = 200  # unpublished; the same for cancelling
SHORTEST = timedelta(minutes=2)  # unpublished; so far their clock may be off before anybody minds
LONGEST_AHEAD = timedelta(days=7)  # unpublished


class WebcomXml:
    """The dialect for one account.

    Options: `path` (/xml or /xml/), `package_items`, `package_bytes`, `status_items`, and `zone`, the
    account's, in which all times are. Raises ValueError for a bad option and for missing credentials.
    """

    kinds: ClassVar[Collection[Kind]] = TYPES
    options: ClassVar[Mapping[str, str]] = {"path": PATHS[0]}
    doubt: ClassVar[Doubt] = Doubt.REPEAT
    by_reference: ClassVar[bool] = False
    hints: ClassVar[bool] = False
    status_in_flight = 1
    longest_ahead = LONGEST_AHEAD

    def __init__(self, account: Account) -> None:
        self.limits = Limits(
            items=number(account.options, "package_items", ITEMS),
            octets=number(account.options, "package_bytes", OCTETS),
            once=True,
            shortest=SHORTEST,
        )
        self.status_items = number(account.options, "status_items", STATUS_ITEMS)
        self.cancel_items = self.status_items
        self._zone = zone(account.options, "Europe/Moscow")
        self._path = choice(account.options, "path", PATHS, PATHS[0])
        self._url = account.url.rstrip("/")
        self._security = _security(account)

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if webcom.mobi cannot carry the message."""
        check(message)

    def apart(self, kind: Kind) -> str:  # noqa: ARG002 - the contract's
        """All kinds leave together."""
        return ""

    def submit(self, items: Sequence[Item]) -> Request:
        """One document; equal contents stand in it once."""
        return self._request(self._path, *messages(items, self._zone))

    def status(self, asked: Sequence[Asked]) -> Request:
        """One `get_state`, by their ids."""
        ids: list[xml.Node] = [("id_sms", {}, one.provider_id) for one in asked if one.provider_id]
        return self._request("/xml/state.php", ("get_state", {}, ids))

    def cancel(self, asked: Sequence[Asked]) -> Request:
        """One `delete_schedule`, by their ids: only what waits for its time can be withdrawn."""
        ids: list[xml.Node] = [
            ("schedule", {"id_sms": one.provider_id}, "") for one in asked if one.provider_id
        ]
        return self._request("/xml/scheduled.php", ("delete_schedule", {}, ids))

    def scheduled(self, page: int) -> Request:
        """One page of the list; the whole cannot be had at once."""
        return self._request("/xml/list_scheduled.php", ("scheduled", {"page": str(page)}, ""))

    def balance(self) -> Request:
        """The account and no question."""
        return self._request("/xml/balance.php")

    def clock(self) -> Request:
        """The account and no question."""
        return self._request("/xml/time.php")

    def stop_list(self) -> Request:
        """The account and no question; whether it takes one is unpublished."""
        return self._request("/xml/list_stop.php")

    def _request(self, path: str, *content: xml.Node) -> Request:
        document = _rendered("request", [self._security, *content])
        return Request(url=self._url + path, body=document, headers=HEADERS)

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[Item], reply: Reply) -> Answered | Failure:
        """A verdict for each `<information>` of ours, else the error: what they took comes first."""
        answers = _answers(reply, "information")
        if isinstance(answers, Failure):
            return answers
        ours = {str(place): item.reference for place, item in enumerate(items, 1)}
        read = ((_whose(answer, ours), answer) for answer in answers)
        verdicts = _joined((_admission(one, answer) for one, answer in read if one), Status.IN_DOUBT)
        return Answered(_numbered_once(verdicts))

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """A verdict for each `<state>` that answers what was asked."""
        answers = _answers(reply, "state")
        if isinstance(answers, Failure):
            return answers
        ours = _by_theirs(asked)
        states = [state for answer in answers if (state := state_of(answer)).id in ours]
        return Answered(_joined((self._news(ours[one.id], one) for one in states), None))

    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """`delete` is cancelled; `not_found` is gone already or was never there, and no news."""
        answers = _answers(reply, "scheduled")
        if isinstance(answers, Failure):
            return answers
        ours = _by_theirs(asked)
        read = ((theirs(answer.get("id_sms")), text_of(answer)) for answer in answers)
        return Answered(
            _joined((_cancelled(ours[one], one, word) for one, word in read if one in ours), None)
        )

    def read_scheduled(self, reply: Reply) -> tuple[Sequence[Scheduled], int] | Failure:
        """What `<phones>` holds; it may stand alone or in a response."""
        answers = _answers(reply, "phones", root="phones")
        if isinstance(answers, Failure):
            return answers
        pages = answers[0].get("num_pages", "").strip() if len(answers) == 1 else ""
        if not re.fullmatch("[0-9]{1,6}", pages):
            return UNREADABLE.because(detail="not one page of what is scheduled")
        waiting = answers[0].iter("scheduled")
        return [
            Scheduled(number, _recipient(one.get("phone")) or "", _instant(one.get("time_send"), self._zone))
            for one in waiting
            if (number := theirs(one.get("id_sms")))
        ], int(pages)

    def read_balance(self, reply: Reply) -> Balance | Failure:
        """`<money>`. The counts of messages beside it all draw on that money."""
        answers = _answers(reply, "money")
        if isinstance(answers, Failure):
            return answers
        amounts = {(text_of(answer), answer.get("currency", "").strip()) for answer in answers}
        amount, currency = amounts.pop() if len(amounts) == 1 else ("", "")
        if not AMOUNT.fullmatch(amount):
            return UNREADABLE.because(detail="not one amount of money in it")
        return Balance(
            Decimal(amount.replace(",", ".")), currency if re.fullmatch(r"\w{1,8}", currency) else ""
        )

    def read_clock(self, reply: Reply, now: datetime) -> timedelta | Failure:
        """Their local time, which comes with the day or without; then it is the nearest such hour to `now`.

        Which element holds it is unpublished, so the only time there is will do.
        """
        document = _document(reply)
        if isinstance(document, Failure):
            return document
        times = {word for word in _words(document) if MOMENT.fullmatch(word) or HOUR.fullmatch(word)}
        here = now.astimezone(self._zone).replace(tzinfo=None)
        there = _wall_clock(times.pop(), here) if len(times) == 1 else None
        return there - here if there else _error(document) or UNREADABLE.because(detail="not one time in it")

    def read_stop_list(self, reply: Reply) -> Sequence[str] | Failure:
        """Every element or attribute `phone`: the shape of the list is unpublished."""
        document = _document(reply)
        if isinstance(document, Failure):
            return document
        if failure := _error(document):
            return failure
        found = [recipient for phone in _phones(document) if (recipient := _recipient(phone))]
        if found or _is_empty(document):
            return list(dict.fromkeys(found))
        return UNREADABLE.because(detail="no list of numbers")

    # --- receipts ------------------------------------------------------------------------------------

    def read_receipts(self, push: Push) -> Sequence[Receipt] | Failure:
        """What was pushed: each `<state>` in a request or a response, or each object of a JSON array."""
        states = pushed(push.body)
        if isinstance(states, Failure):
            return states
        news = [self._news(0, state) for state in states if state.id]
        if not news:
            return UNREADABLE.because(detail="no states in it")
        return [
            Receipt(
                id=one.provider_id,
                status=one.status,
                code=one.code,
                happened_at=one.happened_at,
                first_channel=one.first_channel,
                read=one.read,
                strange=one.strange,
            )
            for one in news
        ]

    def acknowledge(self, receipts: Sequence[Receipt]) -> Acknowledgement:
        """The ids; what is not among them is pushed again. The same for JSON: that form is unpublished."""
        taken = dict.fromkeys(receipt.id for receipt in receipts)
        return Acknowledgement(_rendered("response", [("id_sms", {}, one) for one in taken]), "text/xml")

    def _news(self, reference: int, state: State) -> Verdict:
        """What a state amounts to. Any other word is no news: of an id they do not know they say a text."""
        status, first_channel = stands(state)
        return Verdict(
            reference,
            status,
            state.word if state.word in STATES else "?",
            state.id,
            COUNTS.get(state.parts),
            _instant(state.time, self._zone),
            strange=status is None,
            first_channel=first_channel,
            read=status is Status.DELIVERED and "read" in (state.word, state.viber),
        )


# --- what is built -----------------------------------------------------------------------------------


def _security(account: Account) -> xml.Node:
    """Who we are: one kind of credentials, the token if there is one."""
    if account.token:
        return "security", {}, [("token", {"value": account.token}, "")]
    if account.login and account.password:
        login, password = {"value": account.login}, {"value": account.password}
        return "security", {}, [("login", login, ""), ("password", password, "")]
    raise ValueError("webcom.mobi needs a token, or a login and a password")


def _rendered(root: str, content: list[xml.Node]) -> bytes:
    """A document in one line: they want no line breaks, not even the one after the declaration."""
    return xml.render((root, {}, content)).replace(b"?>\n", b"?>", 1)


# --- what is read ------------------------------------------------------------------------------------


def _document(reply: Reply, other: str = "response") -> xml.Element | Failure:
    """The answer. With HTTP 400 comes one, too, unless it was not they who spoke; what they only began to say
    may have been anything."""
    http = read_http(reply)
    if http and reply.status != 400:
        return http
    document = rooted(reply.body, "response", other)
    if http and isinstance(document, Failure) and b"<response" not in reply.body:
        return http
    return document


def _answers(reply: Reply, tag: str, root: str = "response") -> list[xml.Element] | Failure:
    """The elements of that name; else the error. An answer that is there and empty has none."""
    document = _document(reply, root)
    if isinstance(document, Failure):
        return document
    if found := list(document.iter(tag)):
        return found
    return _error(document) or ([] if _is_empty(document) else _nothing(tag))


def _nothing(tag: str) -> Failure:
    return UNREADABLE.because(detail=f"neither {tag} nor an error in it")


def _error(document: xml.Element) -> Failure | None:
    texts = {text_of(element) for element in document.iter("error")}
    if len(texts) != 1:
        return UNREADABLE.because(detail="errors that differ") if texts else None
    found = find(texts.pop(), REFUSALS)
    return found[1].because(code=found[0]) if found else UNREADABLE.because(code="?", detail="a new error")


def _is_empty(document: xml.Element) -> bool:
    return not len(document) and not text_of(document)


def _whose(answer: xml.Element, ours: Mapping[str, int]) -> int | None:
    """Our reference. Should an answer name that, it must be the same."""
    reference = ours.get(answer.get("number_sms", "").strip())
    return reference if answer.get("client_id_sms", str(reference)) == str(reference) else None


def _admission(reference: int, answer: xml.Element) -> Verdict:
    """What `<information>` says. An id means taken, whatever the text; `send` without one is no sense."""
    raw, text = answer.get("id_sms", "").strip(), text_of(answer)
    provider_id = theirs(raw)
    code, word = (
        ("send", None) if text.casefold().rstrip(".") == "send" else find(text, ADMISSIONS) or ("?", None)
    )
    failure = word.failure if word else None
    if provider_id:
        expected = code == "send" or (word is not None and word.status is Status.SENT)
        parts = COUNTS.get(answer.get("parts", "").strip())
        return Verdict(
            reference, Status.SENT, code, provider_id, parts, strange=not expected, failure=failure
        )
    if not text or code == "send" or raw.strip("0"):
        return Verdict(reference, Status.IN_DOUBT, code, strange=True)
    if word is None:  # a guess: refused; a person is to look at it
        return Verdict(reference, Status.REJECTED, code, strange=True)
    return Verdict(
        reference, word.status, code, strange=word.strange, failure=failure, suppress=word.suppress
    )


def _joined(verdicts: Iterable[Verdict], lost: Status | None) -> list[Verdict]:
    """One verdict a message. Those that contradict each other decide nothing."""
    joined: dict[int, Verdict] = {}
    for verdict in verdicts:
        first = joined.setdefault(verdict.reference, verdict)
        if first is not verdict and first != verdict:
            joined[verdict.reference] = Verdict(verdict.reference, lost, first.code, strange=True)
    return list(joined.values())


def _numbered_once(verdicts: list[Verdict]) -> list[Verdict]:
    """A number of theirs that two messages were given tells of neither."""
    count = Counter(verdict.provider_id for verdict in verdicts if verdict.provider_id)
    return [
        Verdict(verdict.reference, Status.IN_DOUBT, verdict.code, strange=True)
        if count[verdict.provider_id] > 1
        else verdict
        for verdict in verdicts
    ]


def _by_theirs(asked: Sequence[Asked]) -> dict[str, int]:
    return {one.provider_id: one.reference for one in asked if one.provider_id}


def _cancelled(reference: int, provider_id: str, word: str) -> Verdict:
    known = word in ("delete", "not_found")
    status = Status.CANCELLED if word == "delete" else None
    return Verdict(reference, status, word if known else "?", provider_id, strange=not known)


# --- words -------------------------------------------------------------------------------------------


def _recipient(phone: str | None) -> str | None:
    """A number as we write them; None for what is none, such as one that is partly masked."""
    try:
        return phone_number(phone)
    except MessageError:
        return None


def _words(document: xml.Element) -> Iterator[str]:
    """Every text and every attribute."""
    for element in document.iter("*"):
        yield text_of(element)
        yield from (str(value).strip() for value in element.attrib.values())


def _phones(document: xml.Element) -> Iterator[str]:
    """Every element `phone` that holds a text, and every attribute of that name."""
    for element in document.iter("*"):
        if element.tag == "phone" and text_of(element):
            yield text_of(element)
        if (phone := element.get("phone")) is not None:
            yield phone


def _wall_clock(time: str, here: datetime) -> datetime | None:
    """A time as it stands on their wall, of the day that puts it nearest to `here`."""
    try:
        if MOMENT.fullmatch(time):
            return datetime.fromisoformat(time)
        there = datetime.fromisoformat(f"{here:%Y-%m-%d} {time}")
    except ValueError:  # such as the 31st of November, or 25 o'clock
        return None
    half = timedelta(hours=12)
    if there - here > half:
        return there - 2 * half
    return there + 2 * half if here - there > half else there


@lru_cache(maxsize=4096)  # in one answer many share a second
def _instant(moment: str | None, zone: ZoneInfo) -> datetime | None:
    """An instant in UTC from the account's local time; None while there is none, and for what is none."""
    time = (moment or "").strip()
    if not MOMENT.fullmatch(time):
        return None
    try:
        return datetime.fromisoformat(time).replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
