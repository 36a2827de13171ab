"""Rescue: take up what a dead process left, and settle what is in doubt.

A package whose lease ran out may have been on the wire: it is in doubt. Where the provider can be asked by
our id, it is asked; what it denies twice, and for long enough, was surely not taken and is queued again under
the same id. Where it takes an id only once and tells which messages it has, sending again under the same id
is the question. Where neither is so, the message's own policy decides, else the route's; holding is the
default, and what is held waits for a person.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bulk_dispatch.domain.backoff import Backoff
from bulk_dispatch.domain.doubt_policy import DoubtPolicy
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.in_doubt import Decidable, decidable
from bulk_dispatch.ledger.leases import PACKAGES, Leased, doubt_lapsed, lease_doubts
from bulk_dispatch.ledger.packages import OpenMessage, doubtful_messages
from bulk_dispatch.ledger.questions import refused_questions
from bulk_dispatch.ledger.transitions import Clock, Looks, Transition, TransitionCounts
from bulk_dispatch.providers.interface import StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import Outcome, record
from bulk_dispatch.stages.provider_calls import ask
from bulk_dispatch.stages.questions import heard
from bulk_dispatch.stages.resubmit import Settled, by_resubmitting
from bulk_dispatch.stages.status_reports import note_strange, reads, reported, requeue, settled

log = logging.getLogger(__name__)

MESSAGES = 5000  # a step


@dataclass(frozen=True, slots=True)
class Rescued:
    """What one step did, in packages and messages. `more` if there may be more to do at once."""

    lapsed: int = 0
    doubtful: int = 0
    taken: int = 0
    requeued: int = 0
    more: bool = False


def rescue(runtime: Runtime, name: str) -> Rescued:
    """Take up lapsed packages of a route, then settle a bounded amount of doubt."""
    route = runtime.routes[name]
    with runtime.ledger.begin() as connection:
        lapsed = doubt_lapsed(connection, name, route.config.in_doubt_first)
    if lapsed:
        log.warning("leases_expired route=%s packages=%s", name, lapsed)
    done = _WAYS.get(route.doubt, _by_policy)(runtime, route)
    if done.doubtful:
        counts = " ".join(f"{status}={count}" for status, count in done.moved.items())
        log.info("doubt_settled route=%s messages=%d %s", name, done.doubtful, counts)
    return Rescued(
        lapsed=len(lapsed),
        doubtful=done.doubtful,
        taken=done.moved.get(Status.SENT, 0),
        requeued=done.moved.get(Status.QUEUED, 0),
        more=done.more,
    )


def _is_full(leased: Sequence[Leased]) -> bool:
    """Whether a step took as much as it may."""
    return sum(package.message_count for package in leased) >= MESSAGES or len(leased) >= PACKAGES


# -- where nobody can be asked


def _by_policy(runtime: Runtime, route: Route, policy: DoubtPolicy | None = None) -> Settled:
    """Do with each message as its policy says, else as the route's, or `policy`; nothing with what is held,
    but to come by again."""
    with runtime.ledger.begin() as connection:
        leased = lease_doubts(connection, route.config.name, messages=MESSAGES, lease=route.config.lease)
        messages = decidable(connection, [package.id for package in leased], policy or route.doubt)
    if not leased:
        return Settled()
    moves = [_decided(runtime, route, message) for message in messages]
    outcome = Outcome(looks=_rare_looks(route, leased), moves=moves, keeps=(Clock.POLL,))
    with runtime.ledger.begin() as connection:
        recorded = record(runtime, route, connection, outcome)
    return Settled(doubtful=len(messages), moved=recorded.moved, more=_is_full(leased))


def _decided(runtime: Runtime, route: Route, message: Decidable) -> Transition:
    note = f"in doubt; policy {message.policy} of the {'message' if message.own else 'route'}"
    if message.policy is DoubtPolicy.FAIL:
        return Transition(message.id, message.package_id, Status.FAILED, note=note)
    again = requeue(runtime, route, message.package_id, message, tried=True)
    return again._replace(note=note if again.to_status is Status.QUEUED else f"{note}; attempts used up")


def _rare_looks(route: Route, leased: Sequence[Leased]) -> Mapping[int, Looks]:
    """As long again as it has been in doubt: what is held for days may yet be given another policy."""
    first, most = route.config.in_doubt_first, route.config.poll_max
    return {
        package.id: Looks(poll=route.config.poll_first, rescue=min(max(first, package.doubted_for), most))
        for package in leased
    }


# -- where the provider can be asked


def _by_asking(runtime: Runtime, route: Route) -> Settled:
    """Ask, adopt what they know, and queue again what they have denied for long enough.

    Where they refuse to be asked, doubt waits for the next time they are; and once they have refused for as
    long as a denial takes to be believed, a message that has a policy of its own goes by that.
    """
    config = route.config
    with runtime.ledger.begin() as connection:
        refused = refused_questions(connection, config.name).get(Question.STATUS)
        leased = (
            []
            if refused and refused.paused
            else lease_doubts(
                connection, config.name, messages=MESSAGES, lease=config.lease, accounts=config.account_ids
            )
        )
        messages = doubtful_messages(connection, [package.id for package in leased])
    if refused and refused.paused and refused.lasts >= config.in_doubt_wait:
        return _by_policy(runtime, route, DoubtPolicy.HOLD)
    if not leased:
        return Settled()
    moved = _ask(runtime, route, leased, messages, refused=refused is not None)
    return Settled(doubtful=len(messages), moved=moved, more=_is_full(leased))


def _ask(
    runtime: Runtime,
    route: Route,
    leased: Sequence[Leased],
    messages: Sequence[OpenMessage],
    *,
    refused: bool,
) -> TransitionCounts:
    """`refused`: they would not be asked before."""
    reports, failure = ask(runtime, route, messages)
    if reports or failure:
        heard(runtime, route, Question.STATUS, None if reports else failure, refused=refused)
    note_strange(route, reports.values())
    denied = {package.id for package in leased if _surely_denied(route, package)}
    moves = [
        move
        for message in messages
        if message.id in reports and (move := _settled(runtime, route, message, reports[message.id], denied))
    ]
    told = {message.package_id for message in messages}  # who is held for a collision, nobody is asked about
    told -= {message.package_id for message in messages if message.id not in reports}
    outcome = Outcome(
        looks=_looks(route, leased),
        moves=moves,
        news=_news(route, messages, reports),
        reads=reads(messages, reports),
        found=[(message, reports[message.id]) for message in messages if message.id in reports],
        inquired=told,
        keeps=(Clock.POLL,),
        reason="asked by our id",
    )
    with runtime.ledger.begin() as connection:
        return record(runtime, route, connection, outcome).moved


def _settled(
    runtime: Runtime, route: Route, message: OpenMessage, report: StatusReport, denied: set[int]
) -> Transition | None:
    if report.known:
        return settled(runtime, route, message.package_id, message, report)
    if message.package_id in denied:
        tried = report.failure is None  # a failure of the route is not the message's fault
        return requeue(runtime, route, message.package_id, message, tried=tried, code=report.code)
    return None


def _news(
    route: Route, messages: Sequence[OpenMessage], reports: Mapping[int, StatusReport]
) -> list[Transition]:
    found = (reported(route, message, reports[message.id]) for message in messages if message.id in reports)
    return [move for move in found if move]


def _patience(route: Route, package: Leased) -> timedelta:
    """How long they may deny a message and still have it: longer if it may wait in a job there."""
    job = package.job or route.config.mode == "async"
    return route.config.in_doubt_wait_job if job else route.config.in_doubt_wait


def _surely_denied(route: Route, package: Leased) -> bool:
    """Denied before this time too, and for long enough: a request still under way would have arrived. And not
    for so long that they may have forgotten it."""
    in_time = _patience(route, package) <= package.doubted_for <= route.config.in_doubt_max
    return package.tries > 0 and in_time


def _looks(route: Route, leased: Sequence[Leased]) -> Mapping[int, Looks]:
    """The next question: by the back-off, and right when patience ends."""
    backoff = Backoff(route.config.in_doubt_first, route.config.in_doubt_wait)
    return {
        package.id: Looks(
            poll=route.config.poll_first,
            rescue=_next(backoff.delay(package.tries + 2), _patience(route, package) - package.doubted_for),
        )
        for package in leased
    }


def _next(wait: timedelta, left: timedelta) -> timedelta:
    return min(wait, left) if left > timedelta(0) else wait


_WAYS = {DoubtPolicy.ASK: _by_asking, DoubtPolicy.REPEAT: by_resubmitting}
"""How doubt is settled where there is a way to know."""
