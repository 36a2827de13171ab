"""Judging a package: each message is taken, refused, or known already."""

from typing import NamedTuple

from bulk_dispatch.sandbox.account import Entry, content_digest
from bulk_dispatch.sandbox.alphasms.account import VIBER, AlphasmsAccount, Job, More, Refused, Taken
from bulk_dispatch.sandbox.alphasms.codes import Refusal, State
from bulk_dispatch.sandbox.alphasms.rules import Message, ViberMessage, own_id, refusal, viber_refusal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import End, Fate, Oracle
from bulk_dispatch.sandbox.packing import segments_of

ENDS = {
    End.DELIVERED: int(State.DELIVERED),
    End.UNDELIVERABLE: int(State.UNDELIVERABLE),
    End.EXPIRED: int(State.EXPIRED),
    End.REJECTED: int(State.REJECTED),
}


class Report(NamedTuple):
    """What is answered for one message: State.ACCEPTED or a refusal; a refused one has no number."""

    own: str | None
    sms_id: int
    segments: int
    code: int


class Intake:
    """One package while it is judged. Nothing is remembered until the account keeps the `entry`."""

    def __init__(self, account: AlphasmsAccount, oracle: Oracle, options: SandboxOptions, now: float) -> None:
        self._account, self._oracle, self._timings, self._now = account, oracle, options.timings, now
        self._forgetful = options.take_repeats
        self._number_senders = options.alphasms.number_senders
        self._prices = options.alphasms.price, options.alphasms.viber_price
        self._next_sms_id = account.next_number()
        self._own_ids: set[int] = set()
        self._taken: list[Taken] = []
        self._refused = self._repeats = 0
        self._told_later: list[Refused] = []
        self._cost = 0.0

    def judge(self, message: Message, forced: int | None, known_at: float) -> Report:
        """The report on one SMS. `forced` is a code to give instead of taking the message.

        A used id comes first: whatever is wrong today, that message has been sent.
        """
        own = own_id(message.own)
        if own is not None and self._was_used(own):
            return self._repeated(message.own)
        segments = segments_of(message.text)
        code = refusal(message, own, segments, self._now, number_senders=self._number_senders) or forced
        return self._decide(message, own, code, known_at, segments)

    def judge_viber(self, message: ViberMessage, forced: int | None) -> Report:
        """The same for Viber."""
        own = own_id(message.own)
        if own is not None and self._was_used(own):
            return self._repeated(message.own)
        return self._decide(message, own, viber_refusal(message, own) or forced, self._now, 1)

    def entry(self, door: str, size: int, job: Job | None = None) -> Entry:
        """What this package of `size` messages changed."""
        more = More(self._cost, self._told_later if job else [], job)
        return Entry(door, size, self._taken, self._refused, self._repeats, more=more)

    def _was_used(self, own: int) -> bool:
        return not self._forgetful and (own in self._own_ids or self._account.by_own_id(own) is not None)

    def _repeated(self, own: str | None) -> Report:
        self._repeats += 1
        return Report(own, 0, 0, Refusal.DUPLICATE)

    def _decide(
        self,
        message: Message | ViberMessage,
        own: int | None,
        code: int | None,
        known_at: float,
        segments: int,
    ) -> Report:
        """A refused message does not use up its own id [unknown in the sheet]. Money is looked at last."""
        if code is None:
            fate = self._oracle.fate(own, message.recipient.removeprefix("+"))
            if fate.refused:
                code = Refusal.RECIPIENT
            elif self._account.balance - self._cost <= 0:
                code = Refusal.BILLING
            else:
                return self._take(message, own, segments, fate, known_at)
        self._refused += 1
        if own is not None:
            self._told_later.append(Refused(own, code, known_at))
        return Report(message.own, 0, 0, code)

    def _take(
        self, message: Message | ViberMessage, own: int | None, segments: int, fate: Fate, known_at: float
    ) -> Report:
        sms_id = self._next_sms_id
        self._next_sms_id += 1
        if own is not None:
            self._own_ids.add(own)
        price, viber_price = self._prices
        if isinstance(message, ViberMessage):
            kind, url, cost = VIBER, "", viber_price
        else:
            kind, url, cost = message.type, message.url, segments * price
        self._cost += cost
        begin_at = max(known_at, message.begin_at or 0)
        shortest, longest = self._timings.final
        final_at, end = begin_at + shortest + fate.pace * (longest - shortest), ENDS[fate.end]
        if message.end_at is not None and message.end_at < final_at:
            final_at, end = message.end_at, int(State.EXPIRED)
        digest = content_digest(message.recipient, message.sender, message.text, url)
        self._taken.append(
            Taken(
                own, sms_id, message.recipient, digest, kind, segments,
                self._now, known_at, begin_at, begin_at + self._timings.first, final_at, end,
            )
        )  # fmt: skip
        return Report(message.own, sms_id, segments, State.ACCEPTED)
