"""Judging a package: each message is taken, refused, or known already."""

from worker.sandbox.account import Account, Entry, Job, Refused, Taken, content_digest
from worker.sandbox.answers import Line
from worker.sandbox.codes import Refusal, State
from worker.sandbox.mix import Fate, Oracle
from worker.sandbox.options import SandboxOptions
from worker.sandbox.reading import Message
from worker.sandbox.rules import own_id, refusal, segments_of


class Intake:
    """One package while it is judged. Nothing is remembered until the account keeps the `entry`."""

    def __init__(self, account: Account, oracle: Oracle, options: SandboxOptions, now: float) -> None:
        self._account, self._oracle, self._timings, self._now = account, oracle, options.timings, now
        self._forgetful = options.take_repeats
        self._next_sms_id = account.next_sms_id()
        self._own_ids: set[int] = set()
        self._taken: list[Taken] = []
        self._refused = self._repeats = 0
        self._told_later: list[Refused] = []

    def judge(self, message: Message, forced: int | None, known_at: float) -> Line:
        """The verdict as a line of the answer. `forced` is a code to give instead of taking the message.

        A used id comes first: whatever is wrong today, that message has been sent.
        """
        own = own_id(message.own)
        if own is not None and self._was_used(own):
            self._repeats += 1
            return Line(message.own, "0", 0, None, Refusal.DUPLICATE)
        segments = segments_of(message.text)
        code = refusal(message, own, segments, self._now) or forced
        if code is None:
            fate = self._oracle.fate(own, message.recipient.removeprefix("+"))
            if not fate.refused:
                return self._take(message, own, segments, fate, known_at)
            code = Refusal.RECIPIENT
        return self._refuse(message, own, code, known_at)

    def _was_used(self, own: int) -> bool:
        return not self._forgetful and (own in self._own_ids or self._account.by_own_id(own) is not None)

    def entry(self, size: int, job: Job | None = None) -> Entry:
        """What this package of `size` messages changed."""
        told_later = self._told_later if job else []
        return Entry(size, self._taken, self._refused, self._repeats, told_later, job)

    def _refuse(self, message: Message, own: int | None, code: int, known_at: float) -> Line:
        """A refused message does not use up its own id [unknown in the sheet]."""
        self._refused += 1
        if own is not None:
            self._told_later.append(Refused(own, code, known_at))
        return Line(message.own, "0", 0, None, code)

    def _take(self, message: Message, own: int | None, segments: int, fate: Fate, known_at: float) -> Line:
        sms_id = self._next_sms_id
        self._next_sms_id += 1
        if own is not None:
            self._own_ids.add(own)
        begin_at = max(known_at, message.begin_at or 0)
        shortest, longest = self._timings.final
        final_at, end = begin_at + shortest + fate.pace * (longest - shortest), fate.end
        if message.end_at is not None and message.end_at < final_at:
            final_at, end = message.end_at, State.EXPIRED
        digest = content_digest(message.recipient, message.sender, message.text, message.url)
        self._taken.append(
            Taken(
                own, sms_id, message.recipient, digest, message.type, segments,
                self._now, known_at, begin_at, begin_at + self._timings.first, final_at, end,
            )
        )  # fmt: skip
        return Line(message.own, str(sms_id), segments, None, State.ACCEPTED)
