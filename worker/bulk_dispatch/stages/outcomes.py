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
from bulk_dispatch.ledger.transitions import Clock, Looks, Read, Transition, TransitionCounts, read, settle
from bulk_dispatch.providers.failures import COLLISION, Failure
from bulk_dispatch.providers.interface import Receipts, Statuses, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.route_health import apply_failure
from bulk_dispatch.stages.status_reports import Tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a step for messages in packages of one route, to be written down by `record`.

    `looks` names every package concerned, with its next checks. A `reason` of None stands for the words of
    the trouble.
    """

    looks: Mapping[int, Looks]
    moves: Sequence[Transition] = ()  # to be settled
    news: Sequence[Transition] = ()  # to be reported, after that
    reads: Sequence[Read] = ()
    sent: Sequence[tuple[OutboundMessage, StatusReport]] = ()  # what the answer to a request that sends told
    found: Sequence[tuple[OpenMessage, StatusReport]] = ()  # what the answer to a question told
    first_told: Sequence[
        tuple[Tried, StatusReport]
    ] = ()  # of both, the first word on a message since it left
    inquired: Collection[int] = ()  # packages in doubt, a question about which was answered
    keeps: Collection[Clock] = ()  # timers that are not this stage's to move while they run
    emptied: PackageState = PackageState.CLOSED  # what a package is called that has no message left to follow
    trouble: Failure | None = None  # what it means for the route
    went_through: bool = False  # a package did, so failures in a row end here, unless there is trouble
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What `record` changed: how many messages entered each status; and the trouble that the route is in, a
    collision before any other."""

    moved: TransitionCounts
    trouble: Failure | None


def record(runtime: Runtime, route: Route, connection: Connection, outcome: Outcome) -> Recorded:
    """Write down an outcome.

    Locks are taken in the order of all transitions: packages, their messages, the route last. A message whose
    id the provider had before we sent any is held apart: in doubt, and nothing that was told of it is kept.
    """
    strangers = _strangers(connection, outcome.first_told)
    ours, held = _held_apart(outcome.moves, strangers)
    trouble = _collision(route, held) or outcome.trouble
    reason = str(trouble or "") if outcome.reason is None else outcome.reason
    moved = settle(
        connection,
        ours,
        outcome.looks,
        news=outcome.news,
        collided=held,
        keeps=outcome.keeps,
        emptied=outcome.emptied,
        reason=reason,
    )
    read(connection, outcome.reads)
    sent = [(item, report) for item, report in outcome.sent if item.id not in strangers]
    name_messages(route, connection, ((item.id, report) for item, report in sent))
    _name_found(route, connection, outcome.found)
    _suppress_unwilling(route, connection, sent)
    if outcome.inquired:
        answered(connection, outcome.inquired)
    if trouble:
        apply_failure(runtime, route, connection, trouble)
    elif outcome.went_through:
        route_works(connection, route.config.name)
    return Recorded(moved, trouble)


def _strangers(connection: Connection, told: Iterable[tuple[Tried, StatusReport]]) -> set[int]:
    """The messages, by their ledger ids, whose id they had before we had ever sent one under it that they may
    have: it is a stranger's that they have. A repeat of ours is known to them by rights."""
    used = [message.id for message, report in told if report.used]
    return first_sent(connection, used) if used else set()


def _held_apart(
    moves: Iterable[Transition], strangers: Collection[int]
) -> tuple[list[Transition], list[Transition]]:
    """The moves of messages that are ours; and those of the others: in doubt, with nothing of what they told
    of a stranger's."""
    ours, held = [], []
    for move in moves:
        if move.message_id in strangers:
            held.append(Transition(move.message_id, move.package_id, Status.IN_DOUBT, code=move.code))
        else:
            ours.append(move)
    return ours, held


def _collision(route: Route, held: Sequence[Transition]) -> Failure | None:
    """What messages that collided mean for their route; None if there are none."""
    return COLLISION.because(code=held[0].code, detail=way_out(route.config.name)) if held else None


def name_messages(route: Route, connection: Connection, told: Iterable[tuple[int, StatusReport]]) -> None:
    """Note by which ids receipts will name messages (their ledger ids, with the report that told)."""
    if not route.config.webhook_secret or not isinstance(route.dialect, Receipts):
        return
    names: list[tuple[str, int]] = []
    for message_id, report in told:
        if report.provider_message_id:
            names.append((report.provider_message_id, message_id))
        by_ours = isinstance(route.dialect, Statuses) and route.dialect.by_reference
        if report.status is not None and route.dialect.hints and by_ours:  # hints may name it by our id
            names.append((str(report.reference + route.config.reference_offset), message_id))
    receipts.name_messages(connection, route.config.name, names)


def _name_found(
    route: Route, connection: Connection, found: Sequence[tuple[OpenMessage, StatusReport]]
) -> None:
    """Note the names of messages whose id at the provider was not known before, once the reports that tell
    it are settled: what has collided by then gets no name, for it is another's."""
    unnamed = {message.id: report for message, report in found if not message.provider_message_id}
    strangers = in_collision(connection, list(unnamed)) if unnamed and route.config.webhook_secret else set()
    name_messages(route, connection, ((id_, told) for id_, told in unnamed.items() if id_ not in strangers))


def _suppress_unwilling(
    route: Route, connection: Connection, told: Iterable[tuple[OutboundMessage, StatusReport]]
) -> None:
    """Who wants nothing by their list gets nothing any more by ours.

    What is still queued for them is suppressed when its turn comes. What another provider holds for them
    stays there: to look for it takes a walk through all that is under way, which is no part of settling a
    package. `worker suppressions add`, `import` and `pull` take that walk, for the whole list.
    """
    recipients = [item.recipient for item, report in told if report.suppress]
    if recipients:
        suppress(connection, recipients, f"on the stop list of route {route.config.name}")


def first_look(route: Route) -> Looks:
    """When a package just sent is looked at for the first time."""
    return Looks(poll=route.config.poll_first, rescue=route.config.in_doubt_first)


def first_looks(route: Route, package_ids: Iterable[int]) -> dict[int, Looks]:
    """The same for each of these packages."""
    return dict.fromkeys(package_ids, first_look(route))
