"""Package: messages that leave in one request, and the rule that decides which leave together."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from worker.sms.message import Kind, mask


class PackageState(StrEnum):
    """What became of a request. The package id is the fence for whoever writes about its messages."""

    OPEN = "open"  # leased by a dispatcher; the request may be on the wire; settled, or in doubt by rescue
    SETTLED = "settled"  # every message has its verdict; those taken are polled; closed when none is open
    JOB = "job"  # taken as an asynchronous job; messages stay sending until the job ends
    IN_DOUBT = "in_doubt"  # some of its messages are in doubt; rescue asks, or a person decides
    REFUSED = "refused"  # refused as a whole, surely not taken; its messages are queued again, or halved
    UNSENT = "unsent"  # the request never left; its messages are queued again
    CLOSED = "closed"  # nothing more to learn


@dataclass(frozen=True, slots=True)
class Item:
    """A message as it leaves. `reference` is our id at the provider: digits, allocated by the ledger."""

    id: int
    reference: int
    kind: Kind
    recipient: str
    sender: str
    text: str
    attempts: int = 0  # tries used up so far

    def __repr__(self) -> str:
        return f"Item(id={self.id}, reference={self.reference}, recipient={mask(self.recipient)!r})"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes in one request: at most `items` messages and about `octets` bytes."""

    items: int
    octets: int


CHUNK = 500  # messages that are handed over together: one entry of the intake
OVERHEAD = 200  # bytes of mark-up about one message, on the generous side


def fitting(items: Sequence[Item], limits: Limits) -> Sequence[Item]:
    """The longest head of `items` that may leave together. Never empty: one message always fits alone."""
    room = limits.octets

    def fits(item: Item) -> bool:
        nonlocal room
        # Four bytes a character: the most UTF-8 takes, and about what escaping "&" costs.
        room -= OVERHEAD + 4 * len(item.text)
        return room >= 0

    head = list(takewhile(fits, items[: limits.items]))
    return head or items[:1]
