"""Resolve: settle what is in doubt as a person says, who knows what nobody could be asked.

Each chunk is committed by itself, so that nobody waits for long: to be interrupted undoes nothing, and leaves
the other chunks as they were. What others settle meanwhile stays as it is.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bulk_dispatch.domain.doubt_policy import SETTLING, DoubtPolicy
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.in_doubt import (
    CHUNK,
    Chunk,
    Doubtful,
    DoubtSelection,
    Resolution,
    Resolved,
    chunks,
    statuses,
)
from bulk_dispatch.ledger.in_doubt import resolve as resolve_chunk
from bulk_dispatch.ledger.transitions import Looks
from bulk_dispatch.routing import Route
from bulk_dispatch.stages.outcomes import first_look

STRANDED = Looks(poll=timedelta(seconds=30), rescue=timedelta(seconds=5))
"""The next looks where the route has left the routes file: nobody comes by until it is back."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person says of messages in doubt, and the record of it."""

    resolution: Resolution
    by: str
    reason: str

    @property
    def note(self) -> str:
        """What each message's history says."""
        return f"resolved by {self.by}: {self.reason}"


def selected(ledger: Ledger, selection: DoubtSelection, size: int = CHUNK) -> list[Chunk]:
    """What of a selection is in doubt now, at most `size` messages a chunk."""
    with ledger.snapshot() as connection:
        return chunks(connection, selection, size)


def resolve(
    ledger: Ledger, routes: Mapping[str, Route], found: Sequence[Chunk], decision: Decision
) -> Iterator[Sequence[Resolved]]:
    """Settle what was selected, chunk by chunk; each yields the messages that it really settled.

    Raises LedgerError; what was yielded before that is settled.
    """

    def looks(name: str) -> Looks:
        route = routes.get(name)
        return first_look(route) if route else STRANDED

    for chunk in found:
        with ledger.begin() as connection:
            settled = resolve_chunk(connection, chunk, decision.resolution, looks=looks, note=decision.note)
        yield settled


def unsettled(
    ledger: Ledger, selection: DoubtSelection, settled: Collection[str]
) -> dict[str, Status | None]:
    """Where the messages stand that a selection names and that are not among those `settled`, by client id;
    None for those the ledger does not have."""
    left = [name for name in selection.client_ids if name not in settled]
    if not left:
        return {}
    with ledger.begin() as connection:
        standing = statuses(connection, left, selection.producer)
    return {name: standing.get(name) for name in left}


def policy_of(message: Doubtful, route: Route | None) -> tuple[DoubtPolicy | None, str | None]:
    """What settles a message in doubt, and what says so: a collision, the message or its route. None where
    that is for a route to say which is not there."""
    if message.collided:
        return DoubtPolicy.HOLD, "collision"
    policy = route.policy(message.own) if route else message.own
    if policy is None:
        return None, None
    return policy, "message" if message.own and policy not in SETTLING else "route"
