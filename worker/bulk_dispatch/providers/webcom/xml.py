"""webcom.mobi, XML: send, states asked for and pushed, balance, what is scheduled, clock and stop list.

Source: vendor documentation, and that of other gateways on the same platform ("family"). Easily misread:

- An answer names a message by `number_sms` alone, which counts through the whole document.
- Two refusals are none: "already sent", and "insufficient funds; it will be sent once you top up".
- `<error>` comes with HTTP 400 or 200. The body decides.
- A state is the last of the message as a whole; its attributes tell of each channel, and may be ahead of it.

`client_id_sms` is our id: what was sent under it is not sent again, so whatever became doubtful is repeated.
States are asked for by their ids only.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar
from zoneinfo import ZoneInfo

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.package import Limits, OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.providers.account import Balance, Balances, Scheduled, Scheduling, StopLists
from bulk_dispatch.providers.failures import UNREADABLE, Failure
from bulk_dispatch.providers.formats import xml
from bulk_dispatch.providers.formats.numbers import SEGMENTS
from bulk_dispatch.providers.formats.options import Options
from bulk_dispatch.providers.interface import (
    Account,
    Acknowledgement,
    Answered,
    Asked,
    Cancels,
    Clocks,
    Dialect,
    Push,
    Receipts,
    Reply,
    Request,
    Respells,
    Rewrites,
    Schedules,
    Statuses,
    StatusReport,
    joined,
)
from bulk_dispatch.providers.webcom import account
from bulk_dispatch.providers.webcom.error_texts import STATES, text_of, theirs
from bulk_dispatch.providers.webcom.messages import (
    LINE_BREAKS,
    NO_TEXT,
    PING_TEXT,
    TYPES,
    WebcomFormat,
    check,
    measured_with_campaign,
    messages,
    respelled,
)
from bulk_dispatch.providers.webcom.responses import elements, ended
from bulk_dispatch.providers.webcom.states import State, pushed, stands, state_of
from bulk_dispatch.providers.webcom.submit_results import admissions
from bulk_dispatch.timezones import zone

# --- constants ---------------------------------------------------------------------------------------

PATHS = ("/xml", "/xml/")  # where messages go; the family writes the second, and a redirect would lose them
PARTS = ("left-out", "written")  # of a content, that are not there
SECURITY = ("first", "last")  # in the request: their pages show both
ZONE = "Europe/Moscow"  # the pages are Russian
HEADERS = {"Content-Type": "text/xml; charset=utf-8"}

# --- limits ------------------------------------------------------------------------------------------

ITEMS = 500  # unpublished
OCTETS = 1_048_576  # unpublished
STATUS_ITEMS = 200  # unpublished; the same for cancelling
SHORTEST = timedelta(minutes=2)  # unpublished; so far their clock may be off before anybody minds
LONGEST_AHEAD = timedelta(days=7)  # unpublished
PING_MOST = 160  # characters: one segment


class WebcomXml(
    Dialect,
    Statuses,
    Cancels,
    Schedules,
    Clocks,
    Receipts,
    Rewrites,
    Respells,
    Balances,
    StopLists,
    Scheduling,
):
    """The dialect for one account.

    It goes by `package_items`, `package_bytes`, `status_items` and `zone`, in which all times are. Options:
    `campaign_name` (they are told the campaign, and show it in their cabinet) and `transliterate` (they write
    the Cyrillic of SMS in Latin); where their page is silent, `path` (/xml or /xml/), `line_break`
    (backslash-n, line-feed or blank), `ping_text` (none: no text), `empty_parts` (left-out or written) and
    `security` (first or last).
    """

    kinds: ClassVar[Collection[Kind]] = TYPES
    # A campaign's name is ours, and may say what strangers need not know: they hear it only if told to.
    options: ClassVar[Mapping[str, str]] = {
        "path": PATHS[0],
        "campaign_name": "0",
        "transliterate": "0",
        "line_break": "backslash-n",
        "ping_text": PING_TEXT,
        "empty_parts": PARTS[0],
        "security": SECURITY[0],
    }
    doubt: ClassVar[DoubtPolicy] = DoubtPolicy.REPEAT
    code_texts: ClassVar[Mapping[str, str]] = {
        "not_deliver": "not delivered",
        "partly_deliver": "sent, and no receipt ever came",
    }
    by_reference: ClassVar[bool] = False
    dated: ClassVar[Collection[str]] = frozenset(STATES)  # `time` is empty while it is "send" alone
    hints: ClassVar[bool] = False
    longest_ahead = LONGEST_AHEAD

    def __init__(self, account: Account) -> None:
        own = Options(self.options, account.options)
        self.zone = account.zone or zone(ZONE)
        self._manner = _manner(own, self.zone)
        self.rewrites = self._manner.transliterate
        self.limits = Limits(
            items=account.package_items or ITEMS,
            octets=account.package_bytes or OCTETS,
            measure=measured_with_campaign if self._manner.campaign_name else None,
            once=True,
            shortest=SHORTEST,
        )
        self.status_items = account.status_items or STATUS_ITEMS
        self.cancel_items = self.status_items
        self._path = own.choice("path", PATHS)
        self._url = account.url.rstrip("/")
        self._security = _security(account)
        self._security_first = own.choice("security", SECURITY) == "first"
        self._secrets = account.secrets

    # --- build ---------------------------------------------------------------------------------------

    def check(self, message: Message) -> None:
        """Raise MessageError if webcom.mobi cannot carry the message."""
        check(message, self._manner)

    def respelled(self, message: Message) -> Message:
        """They know one line end, or none."""
        return respelled(message, self._manner)

    def submit(self, items: Sequence[OutboundMessage]) -> Request:
        """One document; equal contents stand in it once."""
        return self._request(self._path, *messages(items, self._manner))

    def status(self, asked: Sequence[Asked]) -> Request:
        """One `get_state`, by their ids."""
        ids: list[xml.Node] = [
            ("id_sms", {}, one.provider_message_id) for one in asked if one.provider_message_id
        ]
        return self._request("/xml/state.php", ("get_state", {}, ids))

    def cancel(self, asked: Sequence[Asked]) -> Request:
        """One `delete_schedule`, by their ids: only what waits for its time can be withdrawn."""
        ids: list[xml.Node] = [
            ("schedule", {"id_sms": one.provider_message_id}, "") for one in asked if one.provider_message_id
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
        whole = [self._security, *content] if self._security_first else [*content, self._security]
        document = _rendered("request", whole)
        return Request(url=self._url + path, body=document, headers=HEADERS)

    # --- read ----------------------------------------------------------------------------------------

    def read_submit(self, items: Sequence[OutboundMessage], reply: Reply) -> Answered | Failure:
        """A status report for each `<information>` of ours, else the error: what they took comes first."""
        answers = elements(reply, "information")
        if isinstance(answers, Failure):
            return answers
        return Answered(admissions(items, answers, self._secrets))

    def read_status(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """A status report for each `<state>` that answers what was asked."""
        answers = elements(reply, "state")
        if isinstance(answers, Failure):
            return answers
        ours = _by_theirs(asked)
        states = [state for answer in answers if (state := state_of(answer)).id in ours]
        return Answered(joined((self._news(ours[one.id], one) for one in states), None))

    def read_cancel(self, asked: Sequence[Asked], reply: Reply) -> Answered | Failure:
        """`delete` is cancelled; `not_found` is gone already or was never there, and no news."""
        answers = elements(reply, "scheduled")
        if isinstance(answers, Failure):
            return answers
        ours = _by_theirs(asked)
        read = ((theirs(answer.get("id_sms")), text_of(answer)) for answer in answers)
        return Answered(joined((_cancelled(ours[one], one, word) for one, word in read if one in ours), None))

    def read_scheduled(self, reply: Reply) -> tuple[Sequence[Scheduled], int] | Failure:
        """What `<phones>` holds."""
        return account.read_scheduled(reply, self.zone)

    def read_balance(self, reply: Reply) -> Balance | Failure:
        """`<money>`."""
        return account.read_balance(reply)

    def read_clock(self, reply: Reply, now: datetime) -> timedelta | Failure:
        """Their local time, in the account's zone."""
        return account.read_clock(reply, now, self.zone)

    def read_stop_list(self, reply: Reply) -> Sequence[str] | Failure:
        """Every `phone` in it."""
        return account.read_stop_list(reply)

    # --- receipts ------------------------------------------------------------------------------------

    def read_receipts(self, push: Push) -> Sequence[DeliveryReceipt] | Failure:
        """What was pushed: each `<state>` in a request or a response, or each object of a JSON array."""
        states = pushed(push.body)
        if isinstance(states, Failure):
            return states
        news = [self._news(0, state) for state in states if state.id]
        if not news:
            return UNREADABLE.because(detail="no states in it")
        return [
            DeliveryReceipt(
                provider_message_id=one.provider_message_id,
                status=one.status,
                code=one.code,
                happened_at=one.happened_at,
                first_channel=one.first_channel,
                read=one.read,
                strange=one.strange,
            )
            for one in news
        ]

    def acknowledge(self, receipts: Sequence[DeliveryReceipt]) -> Acknowledgement:
        """The ids; what is not among them is pushed again. The same for JSON: that form is unpublished."""
        taken = dict.fromkeys(receipt.provider_message_id for receipt in receipts)
        return Acknowledgement(_rendered("response", [("id_sms", {}, one) for one in taken]), "text/xml")

    def _news(self, reference: int, state: State) -> StatusReport:
        """What a state amounts to. Any other word is no news: of an id they do not know they say a text."""
        status, first_channel = stands(state)
        return StatusReport(
            reference,
            status,
            code=state.word if state.word in STATES else "?",
            provider_message_id=state.id,
            segments=SEGMENTS.get(state.parts),
            happened_at=ended(state.time, self.zone),
            strange=status is None,
            first_channel=first_channel,
            read=status is Status.DELIVERED and "read" in (state.word, state.viber),
        )


# --- what is built -----------------------------------------------------------------------------------


def _manner(own: Options, zone: ZoneInfo) -> WebcomFormat:
    ping = own.text("ping_text", PING_MOST)
    return WebcomFormat(
        zone,
        campaign_name=own.truth("campaign_name"),
        transliterate=own.truth("transliterate"),
        line_break=LINE_BREAKS[own.choice("line_break", LINE_BREAKS)],
        ping_text="" if ping == NO_TEXT else ping,
        empty_parts=own.choice("empty_parts", PARTS) == "written",
    )


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


def _by_theirs(asked: Sequence[Asked]) -> dict[str, int]:
    return {one.provider_message_id: one.reference for one in asked if one.provider_message_id}


def _cancelled(reference: int, provider_message_id: str, word: str) -> StatusReport:
    known = word in ("delete", "not_found")
    status = Status.CANCELLED if word == "delete" else None
    return StatusReport(
        reference,
        status,
        code=word if known else "?",
        provider_message_id=provider_message_id,
        strange=not known,
    )
