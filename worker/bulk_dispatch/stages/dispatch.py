"""Dispatch: claim a package, talk to the provider, settle.

Two commits, and nothing held between them: a crash at any point leaves a package that says what was being
done, and rescue takes it up when its lease runs out.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bulk_dispatch.domain.instants import MINUTE
from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.package import OutboundMessage, PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Connection
from bulk_dispatch.ledger.leases import renew
from bulk_dispatch.ledger.provider_account import TRUSTED
from bulk_dispatch.ledger.queries import now
from bulk_dispatch.ledger.routes import note_refusals, route_works
from bulk_dispatch.ledger.transitions import (
    ClaimRequest,
    Package,
    Transition,
    TransitionCounts,
    claim,
    lock_packages,
    split,
    take_job,
)
from bulk_dispatch.providers.interface import (
    REFUSING,
    UNREADABLE,
    Acceptance,
    Answered,
    Clocks,
    Failure,
    JobTaken,
    RouteAction,
    StatusReport,
)
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.concurrency import calls
from bulk_dispatch.stages.outcomes import Outcome, first_looks, record
from bulk_dispatch.stages.provider_calls import Submitted, chunks, lease_end, submit
from bulk_dispatch.stages.route_health import worst
from bulk_dispatch.stages.status_reports import note_segments, note_strange, requeue, settled
from bulk_dispatch.timezones import Span, shown_twice

log = logging.getLogger(__name__)

ALL_REFUSED = 4  # messages refused one by one
BACK = timedelta(hours=2)  # clocks change by less
SAME_REFUSALS = 10  # in a row, in the same words that we do not know: hardly each for a reason of its own
NOT_BEGUN = "not begun any more"
PACKAGES = 8  # a step: short enough to stop soon, long enough not to notify for each


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What one step did. `more` if it stopped because a step is bounded; `why` if nothing was claimed."""

    packages: int = 0
    messages: int = 0
    expired: int = 0
    suppressed: int = 0
    more: bool = False
    reason: str = ""


def dispatch(runtime: Runtime, name: str, lane: Lane) -> Dispatched:
    """Send what is queued on a route, a bounded number of packages, one after another.

    Notifies another dispatcher if its first claim shows that there is more than it took.
    """
    route = runtime.routes[name]
    request = _claim_request(route)
    done = Dispatched()
    while done.packages < PACKAGES:
        if runtime.stopping():
            return done
        until = lease_end(runtime, route)
        with runtime.ledger.begin() as connection:
            taken = claim(connection, request, lane, _untold(route, connection))
        done = replace(
            done,
            expired=done.expired + taken.expired,
            suppressed=done.suppressed + taken.suppressed,
            reason=taken.reason,
        )
        if taken.suppressed:
            log.info("suppressed_at_claim route=%s messages=%d", name, taken.suppressed)
        if taken.package is None:
            return replace(done, more=taken.more)
        if taken.more and not done.packages:
            runtime.notify("dispatch", f"{name}:{lane.value}")
        _deliver(runtime, route, taken.package, until)
        done = replace(done, packages=done.packages + 1, messages=done.messages + len(taken.package.items))
    return replace(done, more=True)


def _claim_request(route: Route) -> ClaimRequest:
    """What claims on a route go by."""
    return ClaimRequest(
        route.config.name,
        route.dialect.limits,
        parallel=route.config.parallel,
        lease=route.config.lease,
        ahead=route.config.schedule_ahead,
        clocked=isinstance(route.dialect, Clocks),
        apart=route.dialect.apart,
        account=route.config.account_id,
    )


def _untold(route: Route, connection: Connection) -> Span | None:
    """The hour within reach that the provider's clock shows twice: a time in it would not tell them when to
    send. It begins a little early, for times are rounded up and its clock may be ahead of ours."""
    ahead, dialect = route.config.schedule_ahead, route.dialect
    if not (ahead and isinstance(dialect, Clocks)):
        return None
    current = now(connection)
    span = shown_twice(dialect.zone, current - BACK, current + ahead + BACK)
    return (span[0] - TRUSTED - MINUTE, span[1]) if span else None


def _deliver(runtime: Runtime, route: Route, package: Package, until: float) -> None:
    """Send a package and record what came of it; if it is refused as unreadable, look for the bad message."""
    package = _fit(runtime, route, package)
    call = route.dialect.limits.call
    if not package.items:
        return
    if call and len(package.items) > call:
        _Calls(runtime, route, package, until).run()
        return
    outcome = submit(runtime, route, package.items, until)
    if isinstance(outcome, Failure) and outcome.remedy is RouteAction.BISECT and len(package.items) > 1:
        _Search(runtime, route).run(package, outcome)
    else:
        _record(runtime, route, package, outcome)


def _fit(runtime: Runtime, route: Route, package: Package) -> Package:
    """The package without kinds that its dialect does not carry. They were refused when they came, unless
    the route had another provider then."""
    strange = {item.kind for item in package.items} - set(route.dialect.kinds)
    if not strange:
        return package
    unfit = [item for item in package.items if item.kind in strange]
    note = f"{route.config.provider} does not carry it"
    moves = [Transition(item.id, package.id, Status.REJECTED, note=note) for item in unfit]
    outcome = Outcome(looks=first_looks(route, [package.id]), moves=moves)
    with runtime.ledger.begin() as connection:
        record(runtime, route, connection, outcome)
    log.warning("cannot_be_carried route=%s messages=%d", route.config.name, len(unfit))
    return replace(package, items=[item for item in package.items if item.kind not in strange])


def _record(runtime: Runtime, route: Route, package: Package, outcome: Submitted) -> None:
    match outcome:
        case JobTaken(job):
            with runtime.ledger.begin() as connection:
                taken = take_job(connection, package.id, job, route.config.job_first)
                route_works(connection, route.config.name)
            log.info("package_job route=%s package=%d in_time=%s", route.config.name, package.id, taken)
        case Answered(reports):
            _record_reports(runtime, route, package, reports)
        case Failure():
            _record_failure(runtime, route, package, outcome)


def _record_reports(
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


@dataclass(slots=True)
class _Calls:
    """A package that leaves in several requests: many on the wire at once, each written down as it is
    answered.

    What may not begin any more, because time is up or the route is in trouble, was surely not sent and is
    queued again: so trouble costs no more doubt than what was on the wire.
    """

    runtime: Runtime
    route: Route
    package: Package
    until: float
    trouble: bool = False

    def run(self) -> None:
        """Send, record, and queue again what did not leave."""
        limits = self.route.dialect.limits
        parts = [replace(self.package, items=part) for part in chunks(self.package.items, limits.call)]
        left = {part.items[0].id: part for part in parts}
        for ended in calls(self._send, parts, limits.in_flight, self._may_begin):
            answered: list[tuple[Package, Sequence[StatusReport]]] = []
            for part, outcome in ended:
                del left[part.items[0].id]
                if isinstance(outcome, Answered):
                    answered.append((part, outcome.reports))
                else:
                    self.trouble = True
                    _record(self.runtime, self.route, part, outcome)
            self._record(answered)
        self._put_back([item for part in left.values() for item in part.items])

    def _send(self, part: Package) -> Submitted:
        return submit(self.runtime, self.route, part.items, self.until)

    def _may_begin(self) -> bool:
        """Whether there is time for a whole exchange, and nothing speaks against it."""
        latest = self.until - self.route.config.exchange.total_seconds()
        return not self.trouble and not self.runtime.stopping() and self.runtime.clock() < latest

    def _record(self, answered: Sequence[tuple[Package, Sequence[StatusReport]]]) -> None:
        """All that is there, in one transaction."""
        if answered:
            items = [item for part, _ in answered for item in part.items]
            reports = [report for _, told in answered for report in told]
            part = replace(self.package, items=items)
            self.trouble |= _record_reports(self.runtime, self.route, part, reports) is not None

    def _put_back(self, items: Sequence[OutboundMessage]) -> None:
        back = (requeue(self.runtime, self.route, self.package.id, item, tried=False) for item in items)
        moves = [move._replace(note=NOT_BEGUN) for move in back]
        if moves:
            outcome = Outcome(
                looks=first_looks(self.route, [self.package.id]),
                moves=moves,
                emptied=PackageState.UNSENT,
                reason="" if self.trouble else NOT_BEGUN,  # the trouble is the package's reason, and stays it
            )
            with self.runtime.ledger.begin() as connection:
                record(self.runtime, self.route, connection, outcome)


@dataclass(slots=True)
class _Search:
    """Halving a package that they cannot read, until the messages that spoil it are found.

    Every half is a package of its own, so a crash in mid-search loses nothing. A message is only to blame
    if others of the same package were taken: if every part is refused, the fault is not in the messages, and
    the route stops with all of them queued. A part that failed otherwise tells nothing: those refused are
    queued again, and the search is for another day.
    """

    runtime: Runtime
    route: Route

    def run(self, package: Package, failure: Failure) -> None:
        """Search, then settle the messages to blame."""
        blamed: list[Package] = []
        others: list[Submitted] = []
        heap = self._halves(package, failure)
        while heap and not self._hopeless(blamed, others):
            part = heap.pop()
            until = lease_end(self.runtime, self.route)
            if not self._still_ours(part):
                continue
            outcome = submit(self.runtime, self.route, part.items, until)
            if not (isinstance(outcome, Failure) and outcome.remedy is RouteAction.BISECT):
                others.append(outcome)
                _record(self.runtime, self.route, part, outcome)
            elif len(part.items) > 1:
                heap += self._halves(part, outcome)
            else:
                blamed.append(part)
        self._settle([*blamed, *heap], failure, others)

    def _hopeless(self, blamed: Sequence[Package], others: Sequence[object]) -> bool:
        """So many refused alone and nothing taken: to go on would be two requests for every message."""
        return len(blamed) >= ALL_REFUSED and not others

    def _still_ours(self, part: Package) -> bool:
        """A half may have waited long for its turn; rescue may have taken it up."""
        with self.runtime.ledger.begin() as connection:
            return renew(connection, part.id, self.route.config.lease)

    def _halves(self, package: Package, failure: Failure) -> list[Package]:
        with self.runtime.ledger.begin() as connection:
            halves = split(connection, package, self.route.config.lease, str(failure))
        return halves[::-1]

    def _settle(self, blamed: Sequence[Package], failure: Failure, others: Sequence[Submitted]) -> None:
        to_blame = any(not isinstance(outcome, Failure) for outcome in others)
        moves = [
            Transition(item.id, part.id, Status.REJECTED, code=failure.code)
            if to_blame
            else requeue(self.runtime, self.route, part.id, item, tried=False, code=failure.code)
            for part in blamed
            for item in part.items
        ]
        all_refused = bool(blamed) and not others
        outcome = Outcome(
            looks=first_looks(self.route, [part.id for part in blamed]),
            moves=moves,
            emptied=PackageState.REFUSED,
            trouble=replace(failure, remedy=RouteAction.STOP) if all_refused else None,
            reason=str(failure),
        )
        with self.runtime.ledger.begin() as connection:
            record(self.runtime, self.route, connection, outcome)
        log.warning(
            "package_halved route=%s blamed=%d to_blame=%s", self.route.config.name, len(blamed), to_blame
        )


def _log(route: Route, package: Package, moved: TransitionCounts) -> None:
    counts = " ".join(f"{status}={count}" for status, count in moved.items())
    log.info(
        "package_settled route=%s package=%d items=%d %s",
        route.config.name,
        package.id,
        len(package.items),
        counts,
    )
