"""Repeating: doubt settled by sending again under the same id, where a provider takes each id only once and
tells which messages it has."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from bulk_dispatch.domain.backoff import Backoff
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.leases import Leased, lease_doubts
from bulk_dispatch.ledger.packages import doubtful_items
from bulk_dispatch.ledger.provider_account import clock_skew
from bulk_dispatch.ledger.resubmissions import begin_resubmission, end_resubmission
from bulk_dispatch.ledger.transitions import Clock, Looks, TransitionCounts
from bulk_dispatch.providers.failures import NOT_SENT, Acceptance, Failure, RouteAction
from bulk_dispatch.providers.interface import Answered, Clocks, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import Outcome, record
from bulk_dispatch.stages.provider_calls import lease_end, submit
from bulk_dispatch.stages.route_health import worst
from bulk_dispatch.stages.status_reports import note_strange, settled

PACKAGES = 8  # a step, as in dispatch: each may take a whole lease


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a bounded amount of doubt: how many messages were doubtful and where they went. `more` if
    it stopped because a step is bounded."""

    doubtful: int = 0
    moved: TransitionCounts = field(default_factory=dict)
    more: bool = False


def by_resubmitting(runtime: Runtime, route: Route) -> Settled:
    """Send again under the same ids, a good while after: they take each once, and tell which they have.

    It is a sending all the same, package by package: a route that is stopped or paused does not do it, one
    process at a time does, and nothing leaves after our lease. What is too late by now is not sent for the
    sake of knowing, nor what is so old that they may have forgotten it, nor to whoever is on the suppression
    list by now: if they do not have it, they would send it. It stays in doubt, for a person."""
    moved: Counter[Status] = Counter()
    doubtful = 0
    for _ in range(PACKAGES):
        turn = None if runtime.stopping() else _turn(runtime, route)
        if turn is None:
            return Settled(doubtful, moved)
        doubtful += turn.doubtful
        moved.update(turn.moved)
    return Settled(doubtful, moved, more=True)


def _turn(runtime: Runtime, route: Route) -> Settled | None:
    """One package; None if none is due, or it is not our turn."""
    until = lease_end(runtime, route)
    config = route.config
    with runtime.ledger.begin() as connection:
        our_turn = begin_resubmission(connection, config.name, config.account_ids, config.lease)
        if our_turn is None:
            return None
        leased = lease_doubts(
            connection, config.name, messages=1, lease=config.lease, accounts=config.account_ids
        )
        ripe = [one.id for one in leased if config.in_doubt_wait <= one.doubted_for <= config.in_doubt_max]
        skew = clock_skew(connection, config.name) if isinstance(route.dialect, Clocks) else None
        doubtful = doubtful_items(connection, ripe, route.dialect.limits, skew or timedelta(0))
    items = [item for _, item in doubtful if item.kind in route.dialect.kinds]
    said = _repeat(runtime, route, items, until) if items else _Said()
    moved: TransitionCounts = {}
    for package in leased:
        moved = _adopt(runtime, route, package, items, said)
    with runtime.ledger.begin() as connection:
        end_resubmission(connection, config.name, our_turn)
    return Settled(len(items), moved) if leased else None


@dataclass(frozen=True, slots=True)
class _Said:
    """What they said to a repeat, and what went wrong. Not `heard` if nobody was reached, or nothing of it
    can be understood."""

    reports: Sequence[StatusReport] = ()
    failure: Failure | None = None
    heard: bool = False


def _repeat(runtime: Runtime, route: Route, items: Sequence[OutboundMessage], until: float) -> _Said:
    """Send once more, if there is time. Where they cannot read the whole its halves are tried, unless the
    first shows that the second would fare no better."""
    if runtime.clock() >= until - route.config.exchange.total_seconds():
        return _Said()
    outcome = submit(runtime, route, items, until)
    if not isinstance(outcome, Failure):
        return _Said(outcome.reports if isinstance(outcome, Answered) else (), heard=True)
    if outcome.remedy is not RouteAction.BISECT or len(items) == 1:
        heard = outcome.taken is Acceptance.NOT_ACCEPTED and outcome.name != NOT_SENT.name
        return _Said(failure=outcome, heard=heard)
    middle = len(items) // 2
    first = _repeat(runtime, route, items[:middle], until)
    if first.failure and first.failure.remedy is not RouteAction.BISECT:
        return first
    second = _repeat(runtime, route, items[middle:], until)
    failure = worst([first.failure, second.failure])
    return _Said((*first.reports, *second.reports), failure, first.heard or second.heard)


def _adopt(
    runtime: Runtime, route: Route, package: Leased, items: Sequence[OutboundMessage], said: _Said
) -> TransitionCounts:
    """Write down what they have; all else stays in doubt until the next time. That this request was turned
    away, or a message of it refused, says nothing of the first: it may be their word of today."""
    told = {report.reference: report for report in said.reports}
    pairs = [(item, told[item.reference]) for item in items if item.reference in told]
    found = (settled(runtime, route, package.id, item, report) for item, report in pairs)
    moves = [move for move in found if move and move.to_status is Status.SENT]
    note_strange(route, said.reports)
    outcome = Outcome(
        looks={package.id: _look(route, package)},
        moves=moves,
        sent=pairs,
        inquired=[package.id] if said.heard else (),
        keeps=(Clock.POLL,),
        trouble=worst([_of_the_route(said), *(report.failure for report in said.reports)]),
        reason="sent again under the same id",
    )
    with runtime.ledger.begin() as connection:
        return record(runtime, route, connection, outcome).moved


def _of_the_route(said: _Said) -> Failure | None:
    """A message they cannot read, beside others that they can, is no trouble of the route."""
    unread = said.failure and said.failure.remedy is RouteAction.BISECT and said.reports
    return None if unread else said.failure


def _look(route: Route, package: Leased) -> Looks:
    """When they have had time to forget that the request is the same; then ever rarer."""
    left = route.config.in_doubt_wait - package.doubted_for
    wait = Backoff(route.config.in_doubt_wait, route.config.poll_max).delay(package.tries + 1)
    return Looks(
        poll=route.config.poll_first, rescue=max(left, timedelta(seconds=1)) if left > timedelta(0) else wait
    )
