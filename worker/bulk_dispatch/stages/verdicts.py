"""What a verdict of a provider amounts to: a settling or a reporting move, or no news."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Protocol

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.status import TRANSITIONS, Status, Verb
from bulk_dispatch.ledger import receipts
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.ledger.transitions import Move, Read
from bulk_dispatch.providers.interface import Receipt, Rewrites, Statuses, Verdict
from bulk_dispatch.routing import Line
from bulk_dispatch.runtime import Runtime

log = logging.getLogger(__name__)

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
        return Move(item.id, package_id, Status.FAILED, code=code, tried=tried)
    delay = line.retry_delay(tries, runtime.chance()) if tried else timedelta(0)
    return Move(item.id, package_id, Status.QUEUED, code=code, delay=delay, tried=tried)


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
        code=verdict.code,
        provider_id=verdict.provider_id,
        segments=verdict.segments,
        happened_at=verdict.happened_at,
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


def reported(line: Line, message: OpenMessage, verdict: Verdict) -> Move | None:
    """The reporting move a verdict amounts to; None for no news, or none that a report can bring."""
    if verdict.status is None or not is_end(verdict, message.kind):
        return None
    return Move(
        message.id,
        message.package_id,
        verdict.status,
        code=verdict.code,
        provider_id=verdict.provider_id,
        segments=verdict.segments,
        happened_at=verdict.happened_at,
        behind=line.clock_tolerance,
    )


def reads(messages: Iterable[OpenMessage], verdicts: Mapping[int, Verdict]) -> list[Read]:
    """Which messages they say were read."""
    found = ((message.id, verdicts.get(message.id)) for message in messages)
    return [
        Read(id_, code=told.code, happened_at=told.happened_at) for id_, told in found if told and told.read
    ]


def note_strange(line: Line, verdicts: Iterable[Verdict | Receipt]) -> int:
    """Log codes we do not know, and count them; they change nothing."""
    strange = [verdict.code for verdict in verdicts if verdict.strange]
    if strange:
        codes = ",".join(sorted(set(strange))[:10])
        log.warning("unknown_codes route=%s count=%d codes=%s", line.route.name, len(strange), codes)
    return len(strange)


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
