"""What becomes of a message, channel by channel (sheet section 4.1)."""

from collections.abc import Mapping

from bulk_dispatch.sandbox.outcomes import End, Fate, Oracle, Timings
from bulk_dispatch.sandbox.webcom.account import SEND, Change
from bulk_dispatch.sandbox.webcom.content import SMS, VIBER
from bulk_dispatch.sandbox.webcom.options import WebcomOptions
from bulk_dispatch.sandbox.webcom.request import Abonent

DELIVER, NOT_DELIVER, EXPIRED, PARTLY = "deliver", "not_deliver", "expired", "partly_deliver"
STATES: Mapping[End, str] = {
    End.DELIVERED: DELIVER,
    End.UNDELIVERABLE: NOT_DELIVER,
    End.EXPIRED: EXPIRED,
    End.REJECTED: NOT_DELIVER,  # the sheet has no such state: who is refused is so at once
}
FAILED = frozenset({NOT_DELIVER, EXPIRED})
VIBER_LIFETIME = 24 * 3600  # "maximum lifetime, one day"


class Fates:
    """Draws them. The same client id, number and seed give the same fate."""

    def __init__(self, oracle: Oracle, timings: Timings, options: WebcomOptions) -> None:
        self._oracle, self._timings, self._options = oracle, timings, options

    def first(self, abonent: Abonent) -> Fate:
        """Refused at once, or how the first channel ends."""
        return self._oracle.fate(abonent.client_id, abonent.phone)

    def plan(self, channels: tuple[str, ...], abonent: Abonent, fate: Fate, begin_at: float) -> list[Change]:
        """All that will be told of it. The second channel is used if the first one fails, a while later."""
        first, *fallback = channels
        changes = self._leg(first, abonent, fate, begin_at)
        for second in fallback:
            if changes[-1].state in FAILED:
                changes[-1] = changes[-1]._replace(whole=SEND)  # one channel's failure is not the message's
                fate = self._oracle.fate(abonent.client_id, f"{abonent.phone}/{second}")
                changes += self._leg(second, abonent, fate, changes[-1].at + self._timings.first)
        return changes

    def _leg(self, channel: str, abonent: Abonent, fate: Fate, begin_at: float) -> list[Change]:
        """One channel, from `send` to its end."""
        handed = Change(begin_at, channel, SEND, SEND)
        shortest, longest = self._timings.final
        takes = shortest + fate.pace * (longest - shortest)
        until = abonent.sms_until if channel == SMS else abonent.viber_until or begin_at + VIBER_LIFETIME
        if until is not None and until < begin_at + takes:
            return [handed, Change(max(begin_at, until), channel, EXPIRED, EXPIRED)]
        state = STATES[fate.end]
        if state == DELIVER:
            return [handed, *self._delivered(channel, abonent, begin_at + takes, takes)]
        return [handed, Change(begin_at + takes, channel, state, state)]

    def _delivered(self, channel: str, abonent: Abonent, at: float, takes: float) -> list[Change]:
        """A receipt, or none; of Viber perhaps another."""
        delivered = Change(at, channel, DELIVER, DELIVER)
        if channel == SMS and not self._options.partly:
            return [delivered]
        drawn = self._oracle.fate(abonent.client_id, f"{abonent.phone}/later").pace
        if drawn < self._options.partly:
            return [Change(at, channel, PARTLY, PARTLY)]
        later = self._later(1 - drawn) if channel == VIBER else None
        return [delivered, Change(at + takes, channel, later, later)] if later else [delivered]

    def _later(self, drawn: float) -> str | None:
        """What the person did with a Viber message."""
        options = self._options
        shares = {"read": options.read, "link": options.link, "unsubscribe": options.unsubscribe}
        for state, share in shares.items():
            if drawn <= share:
                return state
            drawn -= share
        return None
