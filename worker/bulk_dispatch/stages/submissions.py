"""Submissions: what came of sending a package, or a part of one, and how it is written down."""

import logging
from collections.abc import Sequence

from bulk_dispatch.domain.package import OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Connection
from bulk_dispatch.ledger.routes import note_refusals, route_works
from bulk_dispatch.ledger.transitions import (
    Package,
    Transition,
    TransitionCounts,
    lock_packages,
    take_job,
)
from bulk_dispatch.providers.failures import REFUSING, UNREADABLE, Acceptance, Failure, RouteAction
from bulk_dispatch.providers.interface import Answered, JobTaken, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import Outcome, first_looks, record
from bulk_dispatch.stages.provider_calls import Submitted
from bulk_dispatch.stages.route_health import worst
from bulk_dispatch.stages.status_reports import note_segments, note_strange, requeue, settled

log = logging.getLogger(__name__)

SAME_REFUSALS = 10  # in a row, in the same words that we do not know: hardly each for a reason of its own


def record_submission(runtime: Runtime, route: Route, package: Package, outcome: Submitted) -> None:
    """Write down what came of sending a package: a job, a report a message, or one failure for all."""
    match outcome:
        case JobTaken(job):
            with runtime.ledger.begin() as connection:
                taken = take_job(connection, package.id, job, route.config.job_first)
                route_works(connection, route.config.name)
            log.info("package_job route=%s package=%d in_time=%s", route.config.name, package.id, taken)
        case Answered(reports):
            record_reports(runtime, route, package, reports)
        case Failure():
            _record_failure(runtime, route, package, outcome)


def record_reports(
    runtime: Runtime, route: Route, package: Package, reports: Sequence[StatusReport]
) -> Failure | None:
    """A report a message; a message they do not mention is in doubt. An answer that settles none of them is
    one that cannot be understood. Returns what it means for the route, if it is in trouble."""
    told = {report.reference: report for report in reports}
    moves = [
        _transition(runtime, route, package.id, item, told.get(item.reference)) for item in package.items
    ]
    pairs = [(item, told[item.reference]) for item in package.items if item.reference in told]
    trouble = worst(report.failure for report in reports)
    if not trouble and all(move.to_status is Status.IN_DOUBT for move in moves):
        trouble = UNREADABLE.because(detail="it settles none of the messages")
    note_strange(route, reports)
    note_segments(route, ((item.segments_estimated, report.segments) for item, report in pairs))
    same = () if trouble else _same_refusals(reports)
    with runtime.ledger.begin() as connection:
        if same and (trouble := _refusing(connection, route, package, same)):
            again = {
                item.id: requeue(runtime, route, package.id, item, tried=True, code=one.code)
                for item, one in pairs
            }
            moves = [again.get(move.message_id, move) for move in moves]
        outcome = Outcome(
            looks=first_looks(route, [package.id]),
            moves=moves,
            sent=pairs,
            first_told=pairs,
            trouble=trouble,
            went_through=not same,
        )
        recorded = record(runtime, route, connection, outcome)
    _log(route, package, recorded.moved)
    return recorded.trouble


def _same_refusals(reports: Sequence[StatusReport]) -> Sequence[str]:
    """The words, once a message, if all of them were refused in the same words that we do not know."""
    strange = [report.code for report in reports if report.strange and report.status is Status.REJECTED]
    return strange if len(strange) == len(reports) and len(set(strange)) == 1 else ()


def _refusing(connection: Connection, route: Route, package: Package, same: Sequence[str]) -> Failure | None:
    """Whether they refuse message after message in the same words that we do not know. One such refusal is
    about its message; so many are about all of them: hardly one is to blame, so those of this answer may try
    again, and what is still queued had better stay so."""
    lock_packages(connection, [package.id])  # before the route, as every settlement does
    streak = note_refusals(connection, route.config.name, same[0], len(same))
    if streak < SAME_REFUSALS:
        return None
    return REFUSING.because(code=same[0], detail=f"{streak} in a row")


def _transition(
    runtime: Runtime, route: Route, package_id: int, item: OutboundMessage, report: StatusReport | None
) -> Transition:
    move = settled(runtime, route, package_id, item, report) if report else None
    code = report.code if report else ""
    return move or Transition(item.id, package_id, Status.IN_DOUBT, code=code)


def _record_failure(runtime: Runtime, route: Route, package: Package, failure: Failure) -> None:
    """One fate for all: surely not taken, so queued again; or perhaps taken, so in doubt."""
    if failure.taken is Acceptance.UNKNOWN:
        moves = [
            Transition(item.id, package.id, Status.IN_DOUBT, code=failure.code) for item in package.items
        ]
    else:
        # A refused lone document uses up a try: nothing else would ever end it.
        tried = failure.remedy is RouteAction.BISECT
        moves = [
            requeue(runtime, route, package.id, item, tried=tried, code=failure.code)
            for item in package.items
        ]
    emptied = PackageState.UNSENT if failure.name == "not_sent" else PackageState.REFUSED
    outcome = Outcome(looks=first_looks(route, [package.id]), moves=moves, emptied=emptied, trouble=failure)
    with runtime.ledger.begin() as connection:
        recorded = record(runtime, route, connection, outcome)
    _log(route, package, recorded.moved)


def _log(route: Route, package: Package, moved: TransitionCounts) -> None:
    counts = " ".join(f"{status}={count}" for status, count in moved.items())
    log.info(
        "package_settled route=%s package=%d items=%d %s",
        route.config.name,
        package.id,
        len(package.items),
        counts,
    )
