"""What came of talking to a provider, and how every stage writes it down: in one transaction."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bulk_dispatch.domain.package import OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Connection, receipts
from bulk_dispatch.ledger.collisions import first_sent, in_collision, way_out
from bulk_dispatch.ledger.leases import answered
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.ledger.routes import route_works
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import Clock, Looks, Move, Moved, Read, read, settle
from bulk_dispatch.providers.interface import COLLISION, Failure, Receipts, Statuses, Verdict
from bulk_dispatch.routing import Line
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.route_health import apply_failure
from bulk_dispatch.stages.verdicts import Tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a step for messages in packages of one route, to be written down by `record`.

    `looks` names every package concerned, with its next checks. A `why` of None stands for the trouble's own
    words.
    """

    looks: Mapping[int, Looks]
    moves: Sequence[Move] = ()  # to be settled
    news: Sequence[Move] = ()  # to be reported, after that
    reads: Sequence[Read] = ()
    sent: Sequence[tuple[OutboundMessage, Verdict]] = ()  # what the answer to a request that sends told
    found: Sequence[tuple[OpenMessage, Verdict]] = ()  # what the answer to a question told
    first_told: Sequence[tuple[Tried, Verdict]] = ()  # of both, the first word on a message since it left
    inquired: Collection[int] = ()  # packages in doubt, a question about which was answered
    keeps: Collection[Clock] = ()  # timers that are not this stage's to move while they run
    emptied: PackageState = PackageState.CLOSED  # what a package is called that has no message left to follow
    trouble: Failure | None = None  # what it means for the route
    went_through: bool = False  # a package did, so failures in a row end here, unless there is trouble
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` changed: how many messages entered each status; and the trouble that the route is in, a
    collision before any other."""

    moved: Moved
    trouble: Failure | None


def record(runtime: Runtime, line: Line, connection: Connection, outcome: Outcome) -> Recorded:
    """Write down an outcome.

    Locks are taken in the order of all transitions: packages, their messages, the route last. A message whose
    id the provider had before we sent any is held apart: in doubt, and nothing that was told of it is kept.
    """
    strangers = _strangers(connection, outcome.first_told)
    ours, held = _held_apart(outcome.moves, strangers)
    trouble = _collision(line, held) or outcome.trouble
    why = str(trouble or "") if outcome.why is None else outcome.why
    moved = settle(
        connection,
        ours,
        outcome.looks,
        news=outcome.news,
        collided=held,
        keeps=outcome.keeps,
        emptied=outcome.emptied,
        why=why,
    )
    read(connection, outcome.reads)
    sent = [(item, verdict) for item, verdict in outcome.sent if item.id not in strangers]
    name_messages(line, connection, ((item.id, verdict) for item, verdict in sent))
    _name_found(line, connection, outcome.found)
    _suppress_unwilling(line, connection, sent)
    if outcome.inquired:
        answered(connection, outcome.inquired)
    if trouble:
        apply_failure(runtime, line, connection, trouble)
    elif outcome.went_through:
        route_works(connection, line.route.name)
    return Recorded(moved, trouble)


def _strangers(connection: Connection, told: Iterable[tuple[Tried, Verdict]]) -> set[int]:
    """The messages, by their ledger ids, whose id they had before we had ever sent one under it that they may
    have: it is a stranger's that they have. A repeat of ours is known to them by rights."""
    used = [message.id for message, verdict in told if verdict.used]
    return first_sent(connection, used) if used else set()


def _held_apart(moves: Iterable[Move], strangers: Collection[int]) -> tuple[list[Move], list[Move]]:
    """The moves of messages that are ours; and those of the others: in doubt, with nothing of what they told
    of a stranger's."""
    ours, held = [], []
    for move in moves:
        if move.message_id in strangers:
            held.append(Move(move.message_id, move.package_id, Status.IN_DOUBT, code=move.code))
        else:
            ours.append(move)
    return ours, held


def _collision(line: Line, held: Sequence[Move]) -> Failure | None:
    """What messages that collided mean for their route; None if there are none."""
    return COLLISION.because(code=held[0].code, detail=way_out(line.route.name)) if held else None


def name_messages(line: Line, connection: Connection, told: Iterable[tuple[int, Verdict]]) -> None:
    """Note by which ids receipts will name messages (their ledger ids, with the verdict that told)."""
    if not line.route.receipts or not isinstance(line.dialect, Receipts):
        return
    names: list[tuple[str, int]] = []
    for message_id, verdict in told:
        if verdict.provider_id:
            names.append((verdict.provider_id, message_id))
        by_ours = isinstance(line.dialect, Statuses) and line.dialect.by_reference
        if verdict.status is not None and line.dialect.hints and by_ours:  # hints may name it by our id
            names.append((str(verdict.reference + line.route.reference_offset), message_id))
    receipts.name_messages(connection, line.route.name, names)


def _name_found(line: Line, connection: Connection, found: Sequence[tuple[OpenMessage, Verdict]]) -> None:
    """Note the names of messages whose id at the provider was not known before, once the verdicts that tell
    it are settled: what has collided by then gets no name, for it is another's."""
    unnamed = {message.id: verdict for message, verdict in found if not message.provider_id}
    strangers = in_collision(connection, list(unnamed)) if unnamed and line.route.receipts else set()
    name_messages(line, connection, ((id_, told) for id_, told in unnamed.items() if id_ not in strangers))


def _suppress_unwilling(
    line: Line, connection: Connection, told: Iterable[tuple[OutboundMessage, Verdict]]
) -> None:
    """Who wants nothing by their list gets nothing any more by ours.

    What is still queued for them is suppressed when its turn comes. What another provider holds for them
    stays there: to look for it takes a walk through all that is under way, which is no part of settling a
    package. `worker suppressions add`, `import` and `pull` take that walk, for the whole list.
    """
    recipients = [item.recipient for item, verdict in told if verdict.suppress]
    if recipients:
        suppress(connection, recipients, f"on the stop list of route {line.route.name}")


def first_look(line: Line) -> Looks:
    """When a package just sent is looked at for the first time."""
    return Looks(poll=line.route.poll_first, rescue=line.route.doubt_first)


def first_looks(line: Line, package_ids: Iterable[int]) -> dict[int, Looks]:
    """The same for each of these packages."""
    return dict.fromkeys(package_ids, first_look(line))
