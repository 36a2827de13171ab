"""Rescue: take up what a dead process left, and settle what is in doubt.

A package whose lease ran out may have been on the wire: it is in doubt. Where the provider can be asked by
our id, it is asked; what it denies twice, and for long enough, was surely not taken and is queued again under
the same id. Where it takes an id only once and tells which messages it has, sending again under the same id
is the question. Where neither is so, the message's own policy decides, else the route's; holding is the
default, and what is held waits for a person.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from worker.ledger.doubt import Decidable, decidable
from worker.ledger.governor import begin_repeat, clock_skew, end_repeat
from worker.ledger.leases import PACKAGES, Leased, answered, doubt_lapsed, lease_doubts
from worker.ledger.queries import OpenMessage, doubtful_items, open_messages
from worker.ledger.transitions import Clock, Looks, Move, Moved, read, settle
from worker.lines import Line
from worker.providers.contract import Answered, Clocks, Failure, Remedy, Taken, Verdict
from worker.runtime import Runtime
from worker.sms.backoff import Backoff
from worker.sms.doubt import Doubt
from worker.sms.package import Item
from worker.sms.status import Status
from worker.stages.verdicts import (
    Submitted,
    ask,
    lease_end,
    mend_route,
    name_messages,
    note_strange,
    reads,
    reported,
    requeue,
    settled,
    stopping,
    submit,
    suppress_unwilling,
    unnamed,
    worst,
)

log = logging.getLogger(__name__)

MESSAGES = 5000  # a step
REPEATED = 2000  # a step, where they are sent again


@dataclass(frozen=True, slots=True)
class Rescued:
    """What one step did, in packages and messages. `more` if there may be more to do at once."""

    lapsed: int = 0
    doubtful: int = 0
    taken: int = 0
    requeued: int = 0
    more: bool = False


def rescue(runtime: Runtime, route: str) -> Rescued:
    """Take up lapsed packages of a route, then settle a bounded amount of doubt."""
    line = runtime.lines[route]
    with runtime.ledger.begin() as connection:
        lapsed = doubt_lapsed(connection, route, line.route.doubt_first)
    if lapsed:
        log.warning("packages_lapsed route=%s packages=%s", route, lapsed)
    settle_doubt = _WAYS.get(line.doubt, _by_policy)
    return replace(settle_doubt(runtime, line), lapsed=len(lapsed))


def _rescued(line: Line, leased: Sequence[Leased], doubtful: int, moved: Moved) -> Rescued:
    if doubtful:
        counts = " ".join(f"{status}={count}" for status, count in moved.items())
        log.info("doubt_settled route=%s messages=%d %s", line.route.name, doubtful, counts)
    return Rescued(
        doubtful=doubtful,
        taken=moved.get(Status.SENT, 0),
        requeued=moved.get(Status.QUEUED, 0),
        more=sum(package.items for package in leased) >= MESSAGES or len(leased) >= PACKAGES,
    )


# -- where nobody can be asked


def _by_policy(runtime: Runtime, line: Line) -> Rescued:
    """Do with each message as its policy says; nothing with what is held, but to come by again."""
    with runtime.ledger.begin() as connection:
        leased = lease_doubts(connection, line.route.name, messages=MESSAGES, lease=line.route.lease)
        messages = decidable(connection, [package.id for package in leased], line.doubt)
    if not leased:
        return Rescued()
    moves = [_decided(runtime, line, message) for message in messages]
    with runtime.ledger.begin() as connection:
        moved = settle(connection, moves, _rare_looks(line, leased), keeps=(Clock.POLL,))
    return _rescued(line, leased, len(messages), moved)


def _decided(runtime: Runtime, line: Line, message: Decidable) -> Move:
    note = f"in doubt; policy {message.policy} of the {'message' if message.own else 'route'}"
    if message.policy is Doubt.FAIL:
        return Move(message.id, message.package_id, Status.FAILED, note=note)
    again = requeue(runtime, line, message.package_id, message, tried=True)
    return replace(again, note=note if again.target is Status.QUEUED else f"{note}; attempts used up")


def _rare_looks(line: Line, leased: Sequence[Leased]) -> Mapping[int, Looks]:
    """As long again as it has been in doubt: what is held for days may yet be given another policy."""
    first, most = line.route.doubt_first, line.route.poll_max
    return {
        package.id: Looks(poll=line.route.poll_first, rescue=min(max(first, package.doubted_for), most))
        for package in leased
    }


# -- where the provider can be asked


def _by_asking(runtime: Runtime, line: Line) -> Rescued:
    """Ask, adopt what they know, and queue again what they have denied for long enough."""
    with runtime.ledger.begin() as connection:
        leased = lease_doubts(connection, line.route.name, messages=MESSAGES, lease=line.route.lease)
        messages = open_messages(connection, [package.id for package in leased], (Status.IN_DOUBT,))
    if not leased:
        return Rescued()
    return _rescued(line, leased, len(messages), _ask(runtime, line, leased, messages))


def _ask(runtime: Runtime, line: Line, leased: Sequence[Leased], messages: Sequence[OpenMessage]) -> Moved:
    verdicts, failure = ask(runtime, line, messages)
    note_strange(line, verdicts.values())
    denied = {package.id for package in leased if _surely_denied(line, package)}
    moves = [
        move
        for message in messages
        if message.id in verdicts and (move := _settled(runtime, line, message, verdicts[message.id], denied))
    ]
    unanswered = {message.package_id for message in messages if message.id not in verdicts}
    with runtime.ledger.begin() as connection:
        moved = settle(
            connection,
            moves,
            _looks(line, leased),
            news=_news(messages, verdicts),
            keeps=(Clock.POLL,),
            why="asked by our id",
        )
        read(connection, reads(messages, verdicts))
        name_messages(line, connection, unnamed(messages, verdicts))
        answered(connection, {package.id for package in leased} - unanswered)
        if trouble := worst([*(verdict.failure for verdict in verdicts.values()), stopping(failure)]):
            mend_route(runtime, line, connection, trouble)
    return moved


def _settled(
    runtime: Runtime, line: Line, message: OpenMessage, verdict: Verdict, denied: set[int]
) -> Move | None:
    if verdict.known:
        return settled(runtime, line, message.package_id, message, verdict)
    if message.package_id in denied:
        return requeue(runtime, line, message.package_id, message, tried=True, code=verdict.code)
    return None


def _news(messages: Sequence[OpenMessage], verdicts: Mapping[int, Verdict]) -> list[Move]:
    found = (reported(message, verdicts[message.id]) for message in messages if message.id in verdicts)
    return [move for move in found if move]


def _patience(line: Line, package: Leased) -> timedelta:
    """How long they may deny a message and still have it: longer if it may wait in a job there."""
    job = package.job or line.route.mode == "async"
    return line.route.doubt_wait_job if job else line.route.doubt_wait


def _surely_denied(line: Line, package: Leased) -> bool:
    """Denied before this time too, and for long enough: a request still under way would have arrived."""
    return package.tries > 0 and package.doubted_for >= _patience(line, package)


def _looks(line: Line, leased: Sequence[Leased]) -> Mapping[int, Looks]:
    """The next question: by the back-off, and right when patience ends."""
    backoff = Backoff(line.route.doubt_first, line.route.doubt_wait)
    return {
        package.id: Looks(
            poll=line.route.poll_first,
            rescue=_next(backoff.delay(package.tries + 2), _patience(line, package) - package.doubted_for),
        )
        for package in leased
    }


def _next(wait: timedelta, left: timedelta) -> timedelta:
    return min(wait, left) if left > timedelta(0) else wait


# -- where sending again under the same id is the question


def _by_repeating(runtime: Runtime, line: Line) -> Rescued:
    """Send again under the same ids, a good while after: they take each once, and tell which they have.

    It is a sending all the same: a route that is stopped or paused does not do it, one process at a time
    does, and nothing leaves after our lease. What is too late by now is not sent for the sake of knowing: it
    stays in doubt, for a person.
    """
    until = lease_end(runtime, line)
    route = line.route
    with runtime.ledger.begin() as connection:
        if not begin_repeat(connection, route.name, route.lease):
            return Rescued()
        leased = lease_doubts(connection, route.name, messages=REPEATED, lease=route.lease)
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
    return _rescued(line, leased, len(items), moved)


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
        looks = {package.id: _repeat_look(line, package)}
        moved = settle(connection, moves, looks, keeps=(Clock.POLL,), why="sent again under the same id")
        name_messages(line, connection, ((item.id, verdict) for item, verdict in pairs))
        suppress_unwilling(line, connection, pairs)
        failure = outcome if isinstance(outcome, Failure) else None
        if outcome and not (failure and failure.taken is Taken.PERHAPS):
            answered(connection, [package.id])
        if trouble := worst([failure, *(verdict.failure for verdict in verdicts)]):
            mend_route(runtime, line, connection, trouble)
    return moved


def _repeat_look(line: Line, package: Leased) -> Looks:
    """When they have had time to forget that the request is the same; then ever rarer."""
    left = line.route.doubt_wait - package.doubted_for
    wait = Backoff(line.route.doubt_wait, line.route.poll_max).delay(package.tries + 1)
    return Looks(
        poll=line.route.poll_first, rescue=max(left, timedelta(seconds=1)) if left > timedelta(0) else wait
    )


_WAYS = {Doubt.ASK: _by_asking, Doubt.REPEAT: _by_repeating}
"""How doubt is settled where there is a way to know."""
