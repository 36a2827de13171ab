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
from bulk_dispatch.ledger.provider_account import TRUSTED
from bulk_dispatch.ledger.queries import now
from bulk_dispatch.ledger.transitions import (
    ClaimRequest,
    Package,
    Transition,
    claim,
)
from bulk_dispatch.providers.failures import Failure, RouteAction
from bulk_dispatch.providers.interface import Answered, Clocks, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.bisection import Bisection
from bulk_dispatch.stages.concurrency import calls
from bulk_dispatch.stages.outcomes import Outcome, first_looks, record
from bulk_dispatch.stages.provider_calls import Submitted, chunks, lease_end, submit
from bulk_dispatch.stages.status_reports import requeue
from bulk_dispatch.stages.submissions import record_reports, record_submission
from bulk_dispatch.timezones import Span, shown_twice

log = logging.getLogger(__name__)

BACK = timedelta(hours=2)  # clocks change by less
NOT_BEGUN = "not begun any more"
PACKAGES = 8  # a step: short enough to stop soon, long enough not to notify for each


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What one step did. `more` if it stopped because a step is bounded; `reason` if nothing was claimed."""

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
        Bisection(runtime, route).run(package, outcome)
    else:
        record_submission(runtime, route, package, outcome)


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
                    record_submission(self.runtime, self.route, part, outcome)
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
            self.trouble |= record_reports(self.runtime, self.route, part, reports) is not None

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
