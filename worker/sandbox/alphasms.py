"""What each AlphaSMS command does to the account and answers (sheet section 3)."""

import secrets
from collections.abc import Callable
from zoneinfo import ZoneInfo

from worker.sandbox.account import Account, Job, Taken
from worker.sandbox.answers import Answer, Line, date_completed, job_created, job_state
from worker.sandbox.codes import Refusal
from worker.sandbox.intake import Intake
from worker.sandbox.misdeeds import Misdeed, picked
from worker.sandbox.mix import Oracle
from worker.sandbox.options import SandboxOptions
from worker.sandbox.reading import Query, Request
from worker.sandbox.rules import own_id

WAITING_SHARE = 0.2  # of a job's time before it runs


class Desk:
    """Serves readable requests, one at a time. `now` is seconds since 1970."""

    def __init__(self, options: SandboxOptions, account: Account) -> None:
        self._account = account
        self._options = options
        self._oracle = Oracle(options.mix, options.seed)
        self._zone = ZoneInfo(options.zone)
        self._commands: dict[str, Callable[[Request, Misdeed, float], Answer]] = {
            "message": self._message,
            "message-async": self._message_async,
            "job": self._job,
            "status": self._status,
        }

    def answer(self, request: Request, misdeed: Misdeed, now: float) -> Answer:
        """Do it, and say so: lines as the misdeed wants them, and truth otherwise."""
        return self._commands[request.command](request, misdeed, now)

    def _message(self, request: Request, misdeed: Misdeed, now: float) -> Answer:
        """Section 3.1: a verdict for each message at once."""
        intake = self._intake(now)
        codes = _codes(len(request.messages), misdeed)
        judged = zip(request.messages, codes, strict=True)
        lines = [intake.judge(message, code, now) for message, code in judged]
        self._account.keep(intake.entry(len(lines)))
        return Answer("message", misdeed.lines(lines))

    def _message_async(self, request: Request, misdeed: Misdeed, now: float) -> Answer:
        """Section 3.2: everything is taken in at once, known to `status` as the job gets to it.

        What a broken job never gets to (`misdeed.share`) leaves no trace.
        """
        size = len(request.messages)
        job = self._new_job(misdeed, now)
        reached = size if misdeed.job_end == "COMPLETE" else round(size * misdeed.share)
        pace = (job.full_at - job.running_at) / size
        intake = self._intake(now)
        codes = _codes(size, misdeed)
        for place, (message, code) in enumerate(zip(request.messages[:reached], codes, strict=False), 1):
            intake.judge(message, code, job.running_at + place * pace)
        self._account.keep(intake.entry(size, job))
        return Answer("message-async", [], job_created(job.id))

    def _job(self, request: Request, misdeed: Misdeed, now: float) -> Answer:
        """Section 3.3."""
        job = self._account.job(request.job)
        progress, status = 0, "NOTFOUND"
        if job and misdeed.job_end != "NOTFOUND":
            progress, status = job.look(now, self._options.timings.job_kept)
        return Answer("job", [], job_state(progress, status))

    def _status(self, request: Request, misdeed: Misdeed, now: float) -> Answer:
        """Section 3.4."""
        lies = _codes(len(request.queries), misdeed)
        looks = (self._look(query, lie, now) for query, lie in zip(request.queries, lies, strict=True))
        return Answer("status", misdeed.lines([line for line in looks if line is not None]))

    def _look(self, query: Query, lie: int | None, now: float) -> Line | None:
        """One line, or None where unknown ids are left out of the answer."""
        number = own_id(query.own or query.sms_id)
        known = None if number is None or lie is not None else self._known(query, number, now)
        if known or (lie is None and self._options.unknown_id == "left out"):
            return known
        return Line(query.own, query.sms_id or "0", None, None, lie or Refusal.ID)

    def _known(self, query: Query, number: int, now: float) -> Line | None:
        by_own_id = query.own is not None
        taken = self._account.by_own_id(number) if by_own_id else self._account.by_sms_id(number)
        if taken and now >= taken.known_at:
            return self._state(taken, now)
        refused = self._account.told_later(number) if by_own_id else None
        if refused and now >= refused.known_at:
            return Line(query.own, "0", 0, None, refused.code)
        return None

    def _state(self, taken: Taken, now: float) -> Line:
        final = now >= taken.final_at
        completed = date_completed(int(taken.final_at), self._zone) if final else None
        own = None if taken.own_id is None else str(taken.own_id)
        return Line(own, str(taken.sms_id), taken.segments, completed, taken.state(now))

    def _intake(self, now: float) -> Intake:
        return Intake(self._account, self._oracle, self._options, now)

    def _new_job(self, misdeed: Misdeed, now: float) -> Job:
        """32 hex digits, as in the sample [seed]."""
        seconds = self._options.timings.job
        running_at, full_at = now + WAITING_SHARE * seconds, now + seconds
        share = misdeed.share if misdeed.job_end == "FAILED" else 1
        ends_at = running_at + share * (full_at - running_at)
        return Job(secrets.token_hex(16), running_at, full_at, ends_at, misdeed.job_end)


def _codes(count: int, misdeed: Misdeed) -> list[int | None]:
    """The message code the misdeed puts in the place of each item's own, or None."""
    return [misdeed.code if lie else None for lie in picked(count, misdeed.share)]
