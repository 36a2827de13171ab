"""What each XML command does to the account and answers (sheet section 3)."""

import secrets
from collections.abc import Callable, Sequence
from functools import partial
from zoneinfo import ZoneInfo

from bulk_dispatch.sandbox.alphasms.account import VIBER, AlphasmsAccount, Job, Taken
from bulk_dispatch.sandbox.alphasms.answers import (
    Line,
    ViberLine,
    balance,
    date_completed,
    document,
    job_created,
    job_state,
    listing,
    prices,
)
from bulk_dispatch.sandbox.alphasms.codes import Refusal
from bulk_dispatch.sandbox.alphasms.intake import Intake, Report
from bulk_dispatch.sandbox.alphasms.reading import Query, Request
from bulk_dispatch.sandbox.alphasms.rules import RECIPIENT, local_form, own_id
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Oracle
from bulk_dispatch.sandbox.provider import Answer, Orders

WAITING_SHARE = 0.2  # of a job's time before it runs
DOOR = "alphasms-xml"

Tell = Callable[[Taken, float], Line]


class Desk:
    """Serves readable requests, one at a time. `now` is seconds since 1970."""

    def __init__(self, options: SandboxOptions, account: AlphasmsAccount) -> None:
        self._account = account
        self._options = options
        self._oracle = Oracle(options.mix, options.seed)
        self._zone = ZoneInfo(options.zone)
        self._commands: dict[str, Callable[[Request, Orders, float], Answer]] = {
            "message": self._message,
            "message-async": self._message_async,
            "message-viber": self._message_viber,
            "job": self._job,
            "status": self._status,
            "delete": self._delete,
            "balance": self._balance,
            "prices": self._prices,
        }

    def answer(self, request: Request, orders: Orders, now: float) -> Answer:
        """Do it, and say so: items as the orders want them, and truth otherwise."""
        return self._commands[request.command](request, orders, now)

    def _message(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.1: a report for each message at once."""
        intake = self._intake(now)
        codes = _codes(orders, len(request.messages))
        judged = zip(request.messages, codes, strict=True)
        lines = [_line(intake.judge(message, code, now)) for message, code in judged]
        self._account.keep(intake.entry(DOOR, len(lines)))
        return _listed("message", lines)

    def _message_viber(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.8: the same, in other words."""
        intake = self._intake(now)
        judged = zip(request.viber, _codes(orders, len(request.viber)), strict=True)
        reports = [intake.judge_viber(message, code) for message, code in judged]
        self._account.keep(intake.entry(DOOR, len(reports)))
        lines = [ViberLine(one.own, str(one.sms_id), one.code) for one in reports]
        return _listed("message-viber", lines)

    def _message_async(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.2: everything is taken in at once, known to `status` as the job gets to it.

        What a broken job never gets to (`orders.share`) leaves no trace.
        """
        size = len(request.messages)
        job = self._new_job(orders, now)
        reached = size if orders.job_end == "COMPLETE" else round(size * orders.share)
        pace = (job.full_at - job.running_at) / size
        intake = self._intake(now)
        codes = _codes(orders, size)
        for place, (message, code) in enumerate(zip(request.messages[:reached], codes, strict=False), 1):
            intake.judge(message, code, job.running_at + place * pace)
        self._account.keep(intake.entry(DOOR, size, job))
        return _told("message-async", job_created(job.id))

    def _job(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.3."""
        job = self._account.job(request.job)
        progress, status = 0, "NOTFOUND"
        if job and orders.job_end != "NOTFOUND":
            progress, status = job.look(now, self._options.timings.job_kept)
        return _told("job", job_state(progress, status))

    def _status(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.4."""
        return self._looked_up(request, orders, now, self._state)

    def _delete(self, request: Request, orders: Orders, now: float) -> Answer:
        """Section 3.5."""
        answer = self._looked_up(request, orders, now, self._deleted)
        return Answer(answer.items, partial(listing, self._options.alphasms.delete_in))

    def _looked_up(self, request: Request, orders: Orders, now: float, tell: Tell) -> Answer:
        lies = _codes(orders, len(request.queries))
        looks = (self._look(query, lie, now, tell) for query, lie in zip(request.queries, lies, strict=True))
        return _listed(request.command, [line for line in looks if line is not None])

    def _look(self, query: Query, lie: int | None, now: float, tell: Tell) -> Line | None:
        """One line, or None where unknown ids are left out of the answer."""
        number = own_id(query.own or query.sms_id)
        known = None if number is None or lie is not None else self._known(query, number, now, tell)
        if known or (lie is None and self._options.unknown_id == "left out"):
            return known
        return Line(query.own, query.sms_id or "0", None, None, lie or Refusal.ID)

    def _known(self, query: Query, number: int, now: float, tell: Tell) -> Line | None:
        by_own_id = query.own is not None
        taken = self._account.known(number, now, by_own_id=by_own_id)
        if taken:
            return tell(taken, now)
        refused = self._account.told_later(number) if by_own_id else None
        if refused and now >= refused.known_at:
            return Line(query.own, "0", 0, None, refused.code)
        return None

    def _deleted(self, taken: Taken, now: float) -> Line:
        """Too late is 211 while it is under way, and its delivery code once it has come to its end."""
        line = self._state(self._account.delete(taken, DOOR, now), now)
        return line if line.completed else line._replace(code=Refusal.DELETE)

    def _state(self, taken: Taken, now: float) -> Line:
        final = now >= taken.final_at
        completed = date_completed(int(taken.final_at), self._zone) if final else None
        own = None if taken.own_id is None else str(taken.own_id)
        segments = None if taken.type == VIBER else taken.segments
        return Line(own, str(taken.sms_id), segments, completed, taken.state(now))

    def _balance(self, _request: Request, _orders: Orders, _now: float) -> Answer:
        """Section 3.6."""
        return _told("balance", balance(self._account.balance, self._options.alphasms.currency))

    def _prices(self, request: Request, _orders: Orders, _now: float) -> Answer:
        """Section 3.7: nought for a number that is not supported."""
        price, currency = self._options.alphasms.price, self._options.alphasms.currency
        local = self._options.alphasms.local_numbers
        phones = [local_form(phone) if local else phone for phone in request.phones]
        each = [(phone, price if RECIPIENT.fullmatch(phone) else 0.0) for phone in phones]
        return _told("prices", prices(each, currency))

    def _intake(self, now: float) -> Intake:
        return Intake(self._account, self._oracle, self._options, now)

    def _new_job(self, orders: Orders, now: float) -> Job:
        """32 hex digits, as in the sample [seed]."""
        seconds = self._options.timings.job
        running_at, full_at = now + WAITING_SHARE * seconds, now + seconds
        share = orders.share if orders.job_end == "FAILED" else 1
        ends_at = running_at + share * (full_at - running_at)
        return Job(secrets.token_hex(16), running_at, full_at, ends_at, orders.job_end)


def _codes(orders: Orders, count: int) -> list[int | None]:
    """The script's codes are numbers here (`Provider.has_code`)."""
    return [None if code is None else int(code) for code in orders.codes(count)]


def _line(report: Report) -> Line:
    return Line(report.own, str(report.sms_id), report.segments, None, report.code)


def _listed(command: str, lines: Sequence[Line | ViberLine]) -> Answer:
    return Answer(list(lines), partial(listing, command))


def _told(command: str, inner: str) -> Answer:
    return Answer([], lambda _: document(command, inner))
