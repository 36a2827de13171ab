"""What is counted after a fault: what the provider got, against what our books say of it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bulk_dispatch.domain.message import Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.sandbox.account import content_digest
from bulk_dispatch.sandbox.alphasms.codes import State

BY_THE_NETWORK = str(State.REJECTED.value)
ENDED = FINAL | {Status.UNCONFIRMED}


@dataclass(frozen=True)
class Told:
    """What our books say of one message: where it stands, whether it was ever told as sent, and the last
    word of the provider."""

    status: Status
    sent: bool
    code: str = ""

    @property
    def taken(self) -> bool:
        """Whether they tell it as taken: sent, or found refused by the network that it was sent to."""
        return self.sent or (self.status is Status.REJECTED and self.code == BY_THE_NETWORK)


@dataclass(frozen=True)
class Pardon:
    """What a case allows. `statuses`: ends a policy chooses without knowing, or a person knowing. `refused`:
    how many messages the provider refuses by the case's own script; no other may end without having been
    taken."""

    statuses: frozenset[Status] = frozenset()
    refused: int = 0


NONE = Pardon()


@dataclass(frozen=True)
class Tally:
    """Messages of one case, each held against the provider's count. Client ids, so that they can be looked
    up; `unbalanced` holds what the audit says of the whole ledger."""

    messages: int
    lost: tuple[str, ...] = ()  # never taken, and not by anybody's decision; or without an end
    twice: tuple[str, ...] = ()  # delivered more than once, as counted at the provider
    denied: tuple[str, ...] = ()  # taken, and our books say that they never were
    doubtful: tuple[str, ...] = ()  # in doubt at the end
    unlisted: tuple[str, ...] = ()  # of these, what `worker resolve` does not name
    unbalanced: tuple[str, ...] = ()

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
    books: Mapping[str, Told],
    delivered: Mapping[str, int],
    *,
    listed: frozenset[str] = frozenset(),
    unbalanced: Sequence[str] = (),
    pardon: Pardon = NONE,
) -> Tally:
    """Hold what was handed over against what the books tell (by client id), what the provider delivered
    (times by content digest) and the doubts that are listed (client ids)."""
    found: dict[str, list[str]] = {"lost": [], "twice": [], "denied": [], "doubtful": [], "refused": []}
    for message in handed_over:
        for what in _judged(books.get(message.client_id), times(message, delivered), pardon.statuses):
            found[what].append(message.client_id)
    return Tally(
        messages=len(handed_over),
        lost=(*found["lost"], *found["refused"][pardon.refused :]),
        twice=tuple(found["twice"]),
        denied=tuple(found["denied"]),
        doubtful=tuple(found["doubtful"]),
        unlisted=tuple(one for one in found["doubtful"] if one not in listed),
        unbalanced=tuple(unbalanced),
    )


def _judged(told: Told | None, taken: int, pardoned: frozenset[Status]) -> list[str]:
    judged = ["twice"] if taken > 1 else []
    if told is None:
        return [*judged, "lost"]
    if told.status is Status.IN_DOUBT:
        return [*judged, "doubtful"]
    if told.status not in ENDED:
        return [*judged, "lost"]
    withdrawn = told.status is Status.CANCELLED and not told.taken  # before it left, as they tell it
    if told.status in pardoned and not (withdrawn and taken):
        return judged
    if taken:
        return judged if told.taken else [*judged, "denied"]
    refused = told.status is Status.REJECTED and not told.taken
    return [*judged, "refused" if refused else "lost"]


def times(message: Message, delivered: Mapping[str, int]) -> int:
    """How often the provider delivered a message, of what it delivered by content digest."""
    return delivered.get(content_digest(message.recipient, message.sender, message.text), 0)


def times_by_digest(deliveries: Sequence[Sequence[object]]) -> Counter[str]:
    """The sandbox's `[own id, recipient, digest, times]` rows as times by content."""
    found: Counter[str] = Counter()
    for _, _, digest, often in deliveries:
        found[str(digest)] += int(str(often))
    return found
