"""Repeating: doubt settled by sending again under the same id, where a provider takes each id only once and
tells which messages it has."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from worker.ledger.governor import begin_repeat, clock_skew, end_repeat
from worker.ledger.leases import Leased, answered, lease_doubts
from worker.ledger.queries import doubtful_items
from worker.ledger.transitions import Clock, Looks, Moved, settle
from worker.lines import Line
from worker.providers.contract import Answered, Clocks, Failure, Remedy, Taken
from worker.runtime import Runtime
from worker.sms.backoff import Backoff
from worker.sms.package import Item
from worker.sms.status import Status
from worker.stages.verdicts import (
    Submitted,
    lease_end,
    mend_route,
    name_messages,
    note_strange,
    settled,
    submit,
    suppress_unwilling,
    worst,
)

MESSAGES = 2000  # a step


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of a bounded amount of doubt: the packages looked at, their messages in doubt, and where those
    went."""

    leased: Sequence[Leased] = ()
    doubtful: int = 0
    moved: Moved = field(default_factory=dict)


def by_repeating(runtime: Runtime, line: Line) -> Settled:
    """Send again under the same ids, a good while after: they take each once, and tell which they have.

    It is a sending all the same: a route that is stopped or paused does not do it, one process at a time
    does, and nothing leaves after our lease. What is too late by now is not sent for the sake of knowing: it
    stays in doubt, for a person.
    """
    until = lease_end(runtime, line)
    route = line.route
    with runtime.ledger.begin() as connection:
        if not begin_repeat(connection, route.name, route.lease):
            return Settled()
        leased = lease_doubts(
            connection, route.name, messages=MESSAGES, lease=route.lease, account=route.account
        )
        ripe = [package.id for package in leased if package.doubted_for >= route.doubt_wait]
        skew = clock_skew(connection, route.name) if isinstance(line.dialect, Clocks) else None
        items = doubtful_items(connection, ripe, line.dialect.limits, skew or timedelta(0))
    moved: Counter[Status] = Counter()
    for package in leased:
        again = [item for of, item in items if of == package.id and item.kind in line.dialect.kinds]
        outcome = _repeat(runtime, line, again, until) if again else None
        moved.update(_adopt(runtime, line, package, again, outcome))
        if isinstance(outcome, Failure) and outcome.remedy is not Remedy.HALVE:
            break  # the next would fare alike; the leases of the others run out, and then it is their turn
    with runtime.ledger.begin() as connection:
        end_repeat(connection, route.name)
    return Settled(leased, len(items), moved)


def _repeat(runtime: Runtime, line: Line, again: Sequence[Item], until: float) -> Submitted | None:
    """What they say; of halves, where they refuse the whole as unreadable. None if there is no time left."""
    if runtime.clock() >= until - line.route.exchange.total_seconds():
        return None
    outcome = submit(runtime, line, again, until)
    if not (isinstance(outcome, Failure) and outcome.remedy is Remedy.HALVE and len(again) > 1):
        return outcome
    middle = len(again) // 2
    halves = [_repeat(runtime, line, part, until) for part in (again[:middle], again[middle:])]
    told = [half for half in halves if isinstance(half, Answered)]
    return Answered([one for half in told for one in half.verdicts]) if told else outcome


def _adopt(
    runtime: Runtime,
    line: Line,
    package: Leased,
    again: Sequence[Item],
    outcome: Submitted | None,
) -> Moved:
    """Write down what they have; all else stays in doubt until the next time. That this request was turned
    away, or a message of it refused, says nothing of the first: it may be their word of today."""
    verdicts = outcome.verdicts if isinstance(outcome, Answered) else ()
    told = {verdict.reference: verdict for verdict in verdicts}
    pairs = [(item, told[item.reference]) for item in again if item.reference in told]
    found = ((item, settled(runtime, line, package.id, item, verdict)) for item, verdict in pairs)
    moves = [move for _, move in found if move and move.target is Status.SENT]
    note_strange(line, verdicts)
    with runtime.ledger.begin() as connection:
        looks = {package.id: _look(line, package)}
        moved = settle(connection, moves, looks, keeps=(Clock.POLL,), why="sent again under the same id")
        name_messages(line, connection, ((item.id, verdict) for item, verdict in pairs))
        suppress_unwilling(line, connection, pairs)
        failure = outcome if isinstance(outcome, Failure) else None
        if outcome and not (failure and failure.taken is Taken.PERHAPS):
            answered(connection, [package.id])
        if trouble := worst([failure, *(verdict.failure for verdict in verdicts)]):
            mend_route(runtime, line, connection, trouble)
    return moved


def _look(line: Line, package: Leased) -> Looks:
    """When they have had time to forget that the request is the same; then ever rarer."""
    left = line.route.doubt_wait - package.doubted_for
    wait = Backoff(line.route.doubt_wait, line.route.poll_max).delay(package.tries + 1)
    return Looks(
        poll=line.route.poll_first, rescue=max(left, timedelta(seconds=1)) if left > timedelta(0) else wait
    )
