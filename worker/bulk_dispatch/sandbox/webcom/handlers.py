"""What each webcom command does to the account and answers (sheet sections 2, 4, 6, 7 and 8)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bulk_dispatch.sandbox.account import Entry
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.provider import Answer, Code, Orders, Reply
from bulk_dispatch.sandbox.webcom.account import DOOR, More, Taken, WebcomAccount, deleted, parts, released
from bulk_dispatch.sandbox.webcom.answers import MEDIA_TYPE, Line, Named, StateLine, Writer, response
from bulk_dispatch.sandbox.webcom.delivery_plan import STATES
from bulk_dispatch.sandbox.webcom.intake import Contract, Intake
from bulk_dispatch.sandbox.webcom.request import Message, Request
from bulk_dispatch.sandbox.webcom.texts import Refusal, in_words


class Desk:
    """Serves readable documents, one at a time. `now` is seconds since 1970."""

    def __init__(self, options: SandboxOptions, account: WebcomAccount, writer: Writer) -> None:
        self._account, self._writer, self._options = account, writer, options.webcom
        self._contract = Contract(options)
        self._seen: dict[bytes, float] = {}  # documents, and when; only as long as it matters
        self._commands: Mapping[str, Callable[[Any, Orders, float], Answer]] = {
            "send": self._send,
            "state": self._state,
            "balance": lambda *_: _said(writer.balance(account.money)),
            "list_scheduled": self._list_scheduled,
            "scheduled": self._delete_scheduled,
            "time": lambda _request, _orders, now: _said(writer.time(now)),
            "list_stop": self._list_stop,
            "stop": self._stop,
            "originator": lambda *_: _said(writer.senders()),
            "get_state": self._get_state,
        }

    def answer(self, request: Request, orders: Orders, now: float) -> Answer:
        """Do it, and say so."""
        return self._commands[request.command](request, orders, now)

    def top_up(self, money: float, now: float) -> None:
        """Of what waits for it, the oldest goes out first."""
        left = self._account.money + money
        going: list[Taken] = []
        for one in self._account.waiting():
            left -= one.parts * self._options.price
            if left < 0:
                break
            going.append(released(one, now))
        self._keep(More(parts(going), money=money), going)

    def _send(self, request: Request, orders: Orders, now: float) -> Answer:
        """A report for each recipient at once. An identical document in a short time is not looked at."""
        intake = Intake(self._contract, self._account, now)
        if self._is_repeated(request.digest, now):
            abonents = [one for message in request.messages for one in message.abonents]
            lines = [intake.refuse(one, Refusal.IDENTICAL) for one in abonents]
        else:
            lines = _judged(intake, request.messages, orders)
        self._account.keep(intake.entry())
        return Answer(lines, lambda items: _reply(self._writer.information(items)))

    def _is_repeated(self, digest: bytes, now: float) -> bool:
        window = self._options.identical_seconds
        if not window:
            return False
        self._seen = {known: at for known, at in self._seen.items() if now - at < window}
        return self._seen.setdefault(digest, now) != now

    def _state(self, request: Request, orders: Orders, now: float) -> Answer:
        """By `id_sms` only."""
        lies = orders.codes(len(request.ids))
        lines = [self._look(id_sms, lie, now) for id_sms, lie in zip(request.ids, lies, strict=True)]
        return Answer(lines, lambda items: _reply(self._writer.states(items)))

    def _look(self, id_sms: str, lie: Code | None, now: float) -> StateLine:
        one = self._account.by_number(int(id_sms))
        if lie is not None:
            word = in_words(lie, self._options.language)
            time = self._writer.local(now) if word in STATES.values() else ""  # no end stands without it
            return StateLine(id_sms, time, (), None, word)
        return self._writer.unknown(id_sms) if one is None or one.deleted else self._writer.state(one, now)

    def _list_scheduled(self, request: Request, _orders: Orders, now: float) -> Answer:
        return _said(self._writer.page(self._account.scheduled(now), request.page))

    def _delete_scheduled(self, request: Request, orders: Orders, now: float) -> Answer:
        """`delete`, or `not_found`: sent already, deleted already, never there. The money comes back."""
        lines: list[Named] = []
        gone: dict[int, Taken] = {}
        for id_sms, lie in zip(request.ids, orders.codes(len(request.ids)), strict=True):
            number = int(id_sms)
            one = self._account.deletable(number, now)
            if lie is not None:
                text = in_words(lie, self._options.language)
            elif one is None or number in gone:
                text = "not_found"
            else:
                gone[number], text = one, "delete"
            lines.append(Named("scheduled", "id_sms", id_sms, text))
        paid = [one for one in gone.values() if not one.waits]
        if gone:
            self._keep(More(-parts(paid)), [deleted(one, now) for one in gone.values()])
        return Answer(lines, lambda items: _reply(self._writer.named(items)))

    def _list_stop(self, *_: object) -> Answer:
        """The shape is not in the sheet, which has the path only: as the family's clients read it."""
        phones = sorted(self._account.stop_list)
        return _said(response("".join([f"<phone>{phone}</phone>" for phone in phones])))

    def _stop(self, request: Request, _orders: Orders, _now: float) -> Answer:
        known = self._account.stop_list
        lines = [Named("phone", "phone", phone, "add") for phone in request.stopped]
        lines += [
            Named("phone", "phone", phone, "delete" if phone in known else "not_found")
            for phone in request.unstopped
        ]
        self._keep(More(stopped=request.stopped, unstopped=request.unstopped))
        return _said(self._writer.named(lines))

    def _get_state(self, request: Request, _orders: Orders, _now: float) -> Answer:
        """Sets or tells the URL of pushes. The answer's shape is ours: the sheet has none."""
        if request.url is not None:
            self._keep(More(url=request.url))
        url = self._account.push_urls.get(DOOR, "")
        return _said(self._writer.push_url(url))

    def _keep(self, more: More, changed: Sequence[Taken] = ()) -> None:
        self._account.keep(Entry(DOOR, 0, (), changed=changed, more=more))


def _judged(intake: Intake, messages: Sequence[Message], orders: Orders) -> list[Line]:
    codes = iter(orders.codes(sum(len(message.abonents) for message in messages)))
    lines: list[Line] = []
    for message in messages:
        letter = intake.letter(message.content)
        lines += [intake.judge(letter, abonent, next(codes)) for abonent in message.abonents]
    return lines


def _said(body: bytes) -> Answer:
    return Answer([], lambda _: _reply(body))


def _reply(body: bytes) -> Reply:
    return Reply(body, MEDIA_TYPE)
