"""Bisection: look for the messages that spoil a package which the provider cannot read."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bulk_dispatch.domain.package import PackageState
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.leases import renew
from bulk_dispatch.ledger.transitions import Package, Transition, split
from bulk_dispatch.providers.failures import Failure, RouteAction
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import Outcome, first_looks, record
from bulk_dispatch.stages.provider_calls import Submitted, lease_end, submit
from bulk_dispatch.stages.status_reports import requeue
from bulk_dispatch.stages.submissions import record_submission

log = logging.getLogger(__name__)

ALL_REFUSED = 4  # messages refused one by one


@dataclass(slots=True)
class Bisection:
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
                record_submission(self.runtime, self.route, part, outcome)
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
