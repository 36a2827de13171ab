"""What a provider's word does to a message, and what a failure does to its route. Shared by the stages."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.doubt_policy import SETTLING
from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import TRANSITIONS, Status, Verb
from bulk_dispatch.ledger import Connection, receipts
from bulk_dispatch.ledger.collisions import first_sent, in_collision, way_out
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.ledger.routes import note_failure, pause_route, stop_route
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import Looks, Move, Read
from bulk_dispatch.providers.interface import (
    COLLISION,
    Acceptance,
    Failure,
    Receipt,
    Receipts,
    Rewrites,
    RouteAction,
    Statuses,
    Verdict,
)
from bulk_dispatch.routing import Line
from bulk_dispatch.runtime import Runtime

log = logging.getLogger(__name__)

BLIND = 10  # failures that left doubt nobody can settle, and nothing went through between them
_SETTLED = TRANSITIONS[Verb.SETTLE][Status.SENDING]
_REPORTED = TRANSITIONS[Verb.REPORT][Status.SENT]


class Tried(Protocol):
    """A message with the attempts it has used up: one being sent, or one asked about."""

    @property
    def id(self) -> int: ...
    @property
    def attempts(self) -> int: ...


def requeue(
    runtime: Runtime, line: Line, package_id: int, item: Tried, *, tried: bool, code: str = ""
) -> Move:
    """Queue a message again that was surely not taken; failed once its attempts are used up."""
    tries = item.attempts + int(tried)
    if tries >= line.route.attempts:
        return Move(item.id, package_id, Status.FAILED, code, tried=tried)
    delay = line.retry_delay(tries, runtime.chance()) if tried else timedelta(0)
    return Move(item.id, package_id, Status.QUEUED, code, delay=delay, tried=tried)


def settled(runtime: Runtime, line: Line, package_id: int, item: Tried, verdict: Verdict) -> Move | None:
    """The settling move a verdict amounts to; None for no news."""
    if verdict.status is None:
        return None
    if verdict.status is Status.QUEUED:  # a failure of the route is not the message's fault
        return requeue(runtime, line, package_id, item, tried=verdict.failure is None, code=verdict.code)
    # A message found delivered (or otherwise ended in the network) was sent first: two lines of history.
    may_settle = verdict.status in _SETTLED and not verdict.first_channel
    target = verdict.status if may_settle else Status.SENT
    return Move(
        item.id,
        package_id,
        target,
        verdict.code,
        verdict.provider_id,
        verdict.segments,
        verdict.happened_at,
        behind=line.clock_tolerance,
    )


def is_end(news: Verdict | receipts.Word, kind: Kind) -> bool:
    """Whether a report can bring this news. The end of a first channel is none for what falls back."""
    if news.status is None or (news.first_channel and kind is Kind.VIBER_SMS):
        return False
    return news.status in _REPORTED


def dated(line: Line) -> Collection[str]:
    """The words of an end beside which their page promises its instant."""
    return line.dialect.dated if isinstance(line.dialect, Statuses) else ()


def is_undated(news: Verdict | Receipt, promised: Collection[str]) -> bool:
    """Whether it is an end without the instant that their page promises, see `dated`. Only that instant could
    tell whether the message is ours, where they may know another one by the same id."""
    return news.happened_at is None and news.status in _REPORTED and news.code in promised


def collided(connection: Connection, told: Iterable[tuple[Tried, Verdict]]) -> set[int]:
    """The messages, by their ledger ids, whose id they had before we had ever sent one under it that they may
    have: it is a stranger's that they have. A repeat of ours is known to them by rights."""
    used = [message.id for message, verdict in told if verdict.used]
    return first_sent(connection, used) if used else set()


def held_apart(moves: Iterable[Move], strangers: Collection[int]) -> tuple[list[Move], list[Move]]:
    """The moves of messages that are ours; and those of the others: in doubt, with nothing of what they told
    of a stranger's."""
    ours, held = [], []
    for move in moves:
        if move.message_id in strangers:
            held.append(Move(move.message_id, move.package_id, Status.IN_DOUBT, move.code))
        else:
            ours.append(move)
    return ours, held


def collision(line: Line, held: Sequence[Move]) -> Failure | None:
    """What messages that collided mean for their route; None if there are none."""
    return COLLISION.because(code=held[0].code, detail=way_out(line.route.name)) if held else None


def reported(line: Line, message: OpenMessage, verdict: Verdict) -> Move | None:
    """The reporting move a verdict amounts to; None for no news, or none that a report can bring."""
    if verdict.status is None or not is_end(verdict, message.kind):
        return None
    return Move(
        message.id,
        message.package_id,
        verdict.status,
        verdict.code,
        verdict.provider_id,
        verdict.segments,
        verdict.happened_at,
        behind=line.clock_tolerance,
    )


def reads(messages: Iterable[OpenMessage], verdicts: Mapping[int, Verdict]) -> list[Read]:
    """Which messages they say were read."""
    found = ((message.id, verdicts.get(message.id)) for message in messages)
    return [Read(id_, told.code, told.happened_at) for id_, told in found if told and told.read]


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


def name_found(
    line: Line, connection: Connection, messages: Iterable[OpenMessage], verdicts: Mapping[int, Verdict]
) -> None:
    """Note the names of messages whose id at the provider was not known before, once the verdicts that tell
    it are settled: what has collided by then gets no name, for it is another's."""
    unnamed = [one.id for one in messages if not one.provider_id and one.id in verdicts]
    strangers = in_collision(connection, unnamed) if unnamed and line.route.receipts else set()
    name_messages(line, connection, ((id_, verdicts[id_]) for id_ in unnamed if id_ not in strangers))


def suppress_unwilling(
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


def note_strange(line: Line, verdicts: Iterable[Verdict | Receipt]) -> int:
    """Log codes we do not know, and count them; they change nothing."""
    strange = [verdict.code for verdict in verdicts if verdict.strange]
    if strange:
        codes = ",".join(sorted(set(strange))[:10])
        log.warning("unknown_codes route=%s count=%d codes=%s", line.route.name, len(strange), codes)
    return len(strange)


def worst(failures: Iterable[Failure | None]) -> Failure | None:
    """Of several failures, the one whose remedy weighs most."""
    weight = {RouteAction.NONE: 0, RouteAction.BISECT: 1, RouteAction.PAUSE: 2, RouteAction.STOP: 3}
    return max(filter(None, failures), key=lambda failure: weight[failure.remedy], default=None)


def mend_route(runtime: Runtime, line: Line, connection: Connection, failure: Failure) -> None:
    """Do to the route what the failure asks for."""
    name = line.route.name
    if failure.remedy is RouteAction.STOP:
        stop_route(connection, name, str(failure))
    elif failure.remedy is not RouteAction.NONE:
        blind = failure.taken is Acceptance.UNKNOWN and line.doubt not in SETTLING
        streak = note_failure(connection, name, blind=blind)
        if streak.blind >= BLIND:  # to go on would bring the whole queue in doubt
            stop_route(connection, name, f"{streak.blind} failures left doubt nobody can settle; {failure}")
        else:
            wait = max(line.pause(streak.failures, runtime.chance()), failure.wait)
            pause_route(connection, name, wait, str(failure))
    log.warning("route_trouble route=%s remedy=%s failure=%r", name, failure.remedy.value, str(failure))


def first_looks(line: Line, package_ids: Iterable[int]) -> dict[int, Looks]:
    """When packages just sent are looked at for the first time."""
    look = Looks(poll=line.route.poll_first, rescue=line.route.doubt_first)
    return dict.fromkeys(package_ids, look)


def note_segments(line: Line, pairs: Iterable[tuple[int | None, int | None]]) -> None:
    """Log where they bill other segments than we count: (ours, theirs), None where either is unknown. A text
    that they change is not the one we counted."""
    if isinstance(line.dialect, Rewrites) and line.dialect.rewrites:
        return
    differing = [(ours, theirs) for ours, theirs in pairs if ours and theirs and ours != theirs]
    if differing:
        ours, theirs = (sum(counts) for counts in zip(*differing, strict=True))
        log.warning(
            "segments_differ route=%s messages=%d ours=%d theirs=%d",
            line.route.name,
            len(differing),
            ours,
            theirs,
        )
