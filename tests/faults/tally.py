"""What is counted after a fault: what the provider got, against what our books say of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from worker.sandbox.account import content_digest
from worker.sms.message import Message
from worker.sms.status import FINAL, Status

NEVER_TAKEN = frozenset({Status.QUEUED, Status.SUPPRESSED, Status.CANCELLED, Status.FAILED})
SURELY_TAKEN = frozenset({Status.SENT, Status.DELIVERED, Status.UNDELIVERABLE, Status.UNCONFIRMED})
LOOSE = frozenset(Status) - FINAL - {Status.IN_DOUBT, Status.UNCONFIRMED}


@dataclass(frozen=True)
class Tally:
    """Messages of one case, each held against the provider's count. Client ids, so that they can be looked
    up; `unbalanced` holds what the audit says of the whole ledger."""

    messages: int
    lost: tuple[str, ...]  # not in the ledger, without an end, or told as sent and never taken
    twice: tuple[str, ...]  # delivered more than once, as counted at the provider
    denied: tuple[str, ...]  # taken, and our books say that they never were
    doubtful: int  # in doubt at the end
    unlisted: tuple[str, ...]  # of these, what `worker resolve` does not name
    unbalanced: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.twice or self.denied or self.unlisted or self.unbalanced)

    def complaints(self) -> list[str]:
        """What is wrong, a line each, with the first few ids."""
        found = {
            "lost": self.lost,
            "sent twice": self.twice,
            "taken, and denied by the books": self.denied,
            "in doubt and not listed": self.unlisted,
            "unbalanced": self.unbalanced,
        }
        return [f"{what}: {len(ids)} ({', '.join(ids[:3])})" for what, ids in found.items() if ids]


def count(
    handed_over: Sequence[Message],
    statuses: Mapping[str, Status],
    delivered: Mapping[str, int],
    listed: frozenset[str],
    unbalanced: Sequence[str],
    forgiven: frozenset[Status] = frozenset(),
) -> Tally:
    """Hold what was handed over against the ledger's statuses (by client id), what the provider delivered
    (times by content digest) and the doubts that are listed (client ids). `forgiven` are statuses that a
    policy allows for what was taken."""
    found: dict[str, list[str]] = {"lost": [], "twice": [], "denied": [], "doubtful": []}
    for message in handed_over:
        taken = times(message, delivered)
        for what in _judged(statuses.get(message.client_id), taken, NEVER_TAKEN - forgiven):
            found[what].append(message.client_id)
    return Tally(
        messages=len(handed_over),
        lost=tuple(found["lost"]),
        twice=tuple(found["twice"]),
        denied=tuple(found["denied"]),
        doubtful=len(found["doubtful"]),
        unlisted=tuple(one for one in found["doubtful"] if one not in listed),
        unbalanced=tuple(unbalanced),
    )


def _judged(status: Status | None, taken: int, never_taken: frozenset[Status]) -> list[str]:
    judged = []
    if status is None or status in LOOSE or (status in SURELY_TAKEN and not taken):
        judged.append("lost")
    if taken > 1:
        judged.append("twice")
    if taken and status in never_taken:
        judged.append("denied")
    if status is Status.IN_DOUBT:
        judged.append("doubtful")
    return judged


def times(message: Message, delivered: Mapping[str, int]) -> int:
    """How often the provider delivered a message, of what it delivered by content digest."""
    return delivered.get(content_digest(message.recipient, message.sender, message.text), 0)


def times_by_digest(deliveries: Sequence[Sequence[object]]) -> Counter[str]:
    """The sandbox's `[own id, recipient, digest, times]` rows as times by content."""
    found: Counter[str] = Counter()
    for _, _, digest, often in deliveries:
        found[str(digest)] += int(str(often))
    return found
