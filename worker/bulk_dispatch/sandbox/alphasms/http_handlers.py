"""What each command of the plain HTTP API does to the account and answers (sheet section 10)."""

from collections.abc import Callable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.alphasms.account import VIBER, AlphasmsAccount, Taken
from bulk_dispatch.sandbox.alphasms.codes import Refusal, State
from bulk_dispatch.sandbox.alphasms.http_reading import NOT_FOUND, RECEIVER, HttpRequest
from bulk_dispatch.sandbox.alphasms.intake import Intake, Report
from bulk_dispatch.sandbox.alphasms.rules import NORMAL, RECIPIENT, own_id, refusal
from bulk_dispatch.sandbox.alphasms.status_texts import WORDS, HttpState
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Oracle
from bulk_dispatch.sandbox.packing import segments_of
from bulk_dispatch.sandbox.provider import Answer, Code, Orders, Reply

DOOR = "alphasms-http"
LABEL = "text/plain"  # the documents call it JSON, and it is text

Pairs = list[tuple[str, str]]
TEXTS = {  # ours, but for the receiver's [client code]
    Refusal.SENDER: "Wrong sender",
    Refusal.RECIPIENT: RECEIVER,
    Refusal.LENGTH: "Wrong length or kind of message",
    Refusal.BILLING: "Not enough money",
}
NOT_DELETED = "SMS can not be deleted"
FINALS = {
    State.DELIVERED: HttpState.DELIVERED,
    State.EXPIRED: HttpState.NETWORK_FAILURE,  # no code of its own
    State.DELETED: HttpState.DELETED,
    State.UNDELIVERABLE: HttpState.BAD_NUMBER,
    State.REJECTED: HttpState.NOT_SUPPORTED,
}
OTHERS = {
    State.SCHEDULED: HttpState.PENDING,
    State.ACCEPTED: HttpState.PENDING,
    State.SENDING: HttpState.SENDING,
    State.ENROUTE: HttpState.SENT,
}


class HttpDesk:
    """Serves readable calls, one at a time. `now` is seconds since 1970."""

    def __init__(self, options: SandboxOptions, account: AlphasmsAccount) -> None:
        self._account = account
        self._options = options
        self._oracle = Oracle(options.mix, options.seed)
        self._zone = ZoneInfo(options.zone)
        self._commands: dict[str, Callable[[HttpRequest, float], Pairs]] = {
            "receive": self._receive,
            "delete": self._delete,
            "balance": lambda _request, _now: [("balance", repr(account.balance))],
            "price": self._price,
        }

    def answer(self, request: HttpRequest, orders: Orders, now: float) -> Answer:
        """Do it, and say so. The one message of `send`, `receive` and `delete` is the one item."""
        [lie] = orders.codes(1)
        if request.command == "send":
            return Answer([self._send(request, lie, now)], self._written)
        if lie is not None:
            return Answer([errors(text_of(lie))], self._written)
        return Answer([self._commands[request.command](request, now)], self._written)

    def _written(self, items: Sequence[Pairs]) -> Reply:
        return written(items, " " if self._options.alphasms.pairs == "space" else "\n")

    def _send(self, request: HttpRequest, forced: Code | None, now: float) -> Pairs:
        """There is no own id: whatever comes is sent, and comes it again, it is sent again."""
        intake = Intake(self._account, self._oracle, self._options, now)
        # The script's code may be a text here; the account counts a refusal all the same.
        code = None if forced is None else Refusal.UNKNOWN
        if request.viber:
            report = self._judged_viber(intake, request, code, now)
        else:
            assert request.sms
            report = intake.judge(request.sms, code, now)
        self._account.keep(intake.entry(DOOR, 1))
        if report.sms_id:
            return [
                ("id", str(report.sms_id)),
                (self._options.alphasms.count, str(report.segments)),
            ]
        if forced is not None and report.code == Refusal.UNKNOWN:
            return errors(text_of(forced))
        return errors(*_complaints(request, report.code))

    def _judged_viber(self, intake: Intake, request: HttpRequest, code: int | None, now: float) -> Report:
        viber = request.viber
        assert viber
        if request.lifetime is not None:
            viber = viber._replace(end_at=max(now, viber.begin_at or now) + request.lifetime)
        if request.sms and code is None:
            code = refusal(request.sms, None, segments_of(request.sms.text), now)
        report = intake.judge_viber(viber, code)
        return report._replace(segments=segments_of(request.sms.text)) if request.sms else report

    def _receive(self, request: HttpRequest, now: float) -> Pairs:
        taken = self._known(request.id, now)
        return self._state(taken, now) if taken else errors(NOT_FOUND)

    def _delete(self, request: HttpRequest, now: float) -> Pairs:
        """Of what is scheduled only."""
        taken = self._known(request.id, now)
        if not taken:
            return errors(NOT_FOUND)
        if taken.state(now) not in {State.SCHEDULED, State.DELETED}:
            return errors(NOT_DELETED)
        return self._state(self._account.delete(taken, DOOR, now), now)

    def _price(self, request: HttpRequest, _now: float) -> Pairs:
        if not RECIPIENT.fullmatch(request.phone):
            return errors(RECEIVER)
        prices = self._options.alphasms
        return [("price", f"{prices.price:g}"), ("currency", prices.currency)]

    def _known(self, written: str, now: float) -> Taken | None:
        number = own_id(written)
        return None if number is None else self._account.known(number, now, by_own_id=False)

    def _state(self, taken: Taken, now: float) -> Pairs:
        code = http_state(taken, now)
        words = WORDS[code][self._options.alphasms.language]
        return [("code", str(int(code))), ("status", words), ("status_time", self._time(taken, now))]

    def _time(self, taken: Taken, now: float) -> str:
        """Of the last change: ISO where blanks part the pairs, else with slashes and a blank of its own."""
        changes = (taken.final_at, (taken.first_at + taken.final_at) / 2, taken.first_at, taken.begin_at)
        changed_at = next((at for at in changes if at <= now), taken.taken_at)
        local = datetime.fromtimestamp(int(changed_at), self._zone)
        in_lines = self._options.alphasms.pairs == "line"
        return local.strftime("%Y/%m/%d %H:%M:%S" if in_lines else "%Y-%m-%dT%H:%M:%S%z")


def http_state(taken: Taken, now: float) -> HttpState:
    """A Viber message of an even number has been read; who lets a message expire was out of reach."""
    state = taken.state(now)
    if state is State.DELIVERED and taken.type == VIBER and taken.sms_id % 2 == 0:
        return HttpState.READ
    if state is State.ENROUTE and taken.end == State.EXPIRED:
        return HttpState.OUT_OF_REACH
    return FINALS.get(state) or OTHERS[state]


def written(items: Sequence[Pairs], between: str) -> Reply:
    """`key:value` pairs; what is wrong always has lines of its own."""
    return Reply("\n".join(_line(pairs, between) for pairs in items).encode(), LABEL)


def _line(pairs: Pairs, between: str) -> str:
    wrong = pairs[0][0] == "errors"
    return ("\n" if wrong else between).join(f"{key}:{value}" for key, value in pairs)


def errors(*texts: str) -> Pairs:
    """A line each."""
    return [("errors", text) for text in texts]


def text_of(code: Code) -> str:
    """The words of a refusal by its XML number, or any words."""
    if isinstance(code, str):
        return code
    return TEXTS.get(Refusal(code), f"Error {code}") if code in set(Refusal) else f"Error {code}"


def recoded(pairs: Pairs, code: Code) -> Pairs:
    """Another `code:`; where there is none, an error of that name. What was taken keeps its id beside it: an
    error alone refuses."""
    if not any(key == "code" for key, _ in pairs):
        return [*((key, value) for key, value in pairs if key == "id"), *errors(text_of(code))]
    return [(key, str(code) if key == "code" else value) for key, value in pairs]


def _complaints(request: HttpRequest, code: int) -> list[str]:
    """All that is wrong with an SMS; or what the account, or Viber, found."""
    if not request.sms:
        return [text_of(code)]
    good = request.sms._replace(sender="Good", recipient="380930000000")
    tries = (
        good._replace(sender=request.sms.sender, type=NORMAL, url="", text="good"),
        good._replace(recipient=request.sms.recipient, type=NORMAL, url="", text="good"),
        good,
    )
    found = [refusal(one, None, segments_of(one.text), 0) for one in tries]
    texts = dict.fromkeys(text_of(one) for one in found if one)
    return list(texts) or [text_of(code)]
