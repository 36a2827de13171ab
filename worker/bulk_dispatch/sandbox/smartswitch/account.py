"""A message that SMARTSwitch has taken, and its number."""

import secrets
import time
from typing import NamedTuple

from bulk_dispatch.sandbox.smartswitch.codes import LATIN_OK, State

BEGINNING = 1_577_836_800 * 10**9  # the first of 2020, in nanoseconds since 1970
NOBODYS = 9 * 10**12  # the account's own numbers get here in 2034


class Taken(NamedTuple):
    """Instants are seconds since 1970."""

    own_id: int | None  # request_id, if it is a number
    number: int  # `id`, and `message_id` of the receipt
    recipient: str
    digest: str  # see `bulk_dispatch.sandbox.account.content_digest`
    segments: int
    require_dlr: bool  # without it, nobody is ever told of its states
    taken_at: float
    first_at: float
    final_at: float
    news: str  # the state in between
    end: str  # the final state

    def state(self, now: float) -> State | None:
        """None while the answer to the sending is all there is to know."""
        if now >= self.final_at:
            return State(self.end)
        return State(self.news) if now >= self.first_at else None

    def state_name(self, now: float) -> str:
        """For the counts."""
        return self.state(now) or LATIN_OK

    def shown(self, now: float) -> dict[str, object]:
        """All of it, and the state now: there is no other way to ask for one."""
        return {**self._asdict(), "state": self.state_name(now)}


def first_number() -> int:
    """13 digits, as in the samples; 20,000 a second: a new account never repeats those of an earlier."""
    return (time.time_ns() - BEGINNING) // 50_000


def nobodys_number() -> int:
    """13 digits that no message has: refused ones get a number too, by the sample [seed]."""
    return NOBODYS + secrets.randbelow(10**12)
