"""What a status report of a provider amounts to: a settling or a reporting move, or no news."""

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Protocol

from bulk_dispatch.domain.content import Kind
from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import TRANSITIONS, EventType, Status
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.ledger.transitions import Read, Transition
from bulk_dispatch.providers.interface import Rewrites, Statuses, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime

log = logging.getLogger(__name__)

_SETTLED = TRANSITIONS[EventType.SETTLE][Status.SENDING]
_REPORTED = TRANSITIONS[EventType.REPORT][Status.SENT]


class Tried(Protocol):
    """A message with the attempts it has used up: one being sent, or one asked about."""

    @property
    def id(self) -> int: ...
    @property
    def attempts(self) -> int: ...


def requeue(
    runtime: Runtime, route: Route, package_id: int, item: Tried, *, tried: bool, code: str = ""
) -> Transition:
    """Queue a message again that was surely not taken; failed once its attempts are used up."""
    tries = item.attempts + int(tried)
    if tries >= route.config.attempts:
        return Transition(item.id, package_id, Status.FAILED, code=code, tried=tried)
    delay = route.retry_delay(tries, runtime.chance()) if tried else timedelta(0)
    return Transition(item.id, package_id, Status.QUEUED, code=code, delay=delay, tried=tried)


def settled(
    runtime: Runtime, route: Route, package_id: int, item: Tried, report: StatusReport
) -> Transition | None:
    """The settling transition a status report amounts to; None for no news."""
    if report.status is None:
        return None
    if report.status is Status.QUEUED:  # a failure of the route is not the message's fault
        return requeue(runtime, route, package_id, item, tried=report.failure is None, code=report.code)
    # A message found delivered (or otherwise ended in the network) was sent first: two lines of history.
    may_settle = report.status in _SETTLED and not report.first_channel
    target = report.status if may_settle else Status.SENT
    return Transition(
        item.id,
        package_id,
        target,
        code=report.code,
        provider_message_id=report.provider_message_id,
        segments_billed=report.segments,
        happened_at=report.happened_at,
        behind=route.clock_tolerance,
    )


def is_end(news: StatusReport | DeliveryReceipt, kind: Kind) -> bool:
    """Whether a report can bring this news. The end of a first channel is none for what falls back."""
    if news.status is None or (news.first_channel and kind is Kind.VIBER_SMS):
        return False
    return news.status in _REPORTED


def dated(route: Route) -> Collection[str]:
    """The words of an end beside which their page promises its instant."""
    return route.dialect.dated if isinstance(route.dialect, Statuses) else ()


def is_undated(news: StatusReport | DeliveryReceipt, promised: Collection[str]) -> bool:
    """Whether it is an end without the instant that their page promises, see `dated`. Only that instant could
    tell whether the message is ours, where they may know another one by the same id."""
    return news.happened_at is None and news.status in _REPORTED and news.code in promised


def reported(route: Route, message: OpenMessage, report: StatusReport) -> Transition | None:
    """The reporting transition a status report amounts to; None for no news, or none that it can bring."""
    if report.status is None or not is_end(report, message.kind):
        return None
    return Transition(
        message.id,
        message.package_id,
        report.status,
        code=report.code,
        provider_message_id=report.provider_message_id,
        segments_billed=report.segments,
        happened_at=report.happened_at,
        behind=route.clock_tolerance,
    )


def reads(messages: Iterable[OpenMessage], reports: Mapping[int, StatusReport]) -> list[Read]:
    """Which messages they say were read."""
    found = ((message.id, reports.get(message.id)) for message in messages)
    return [
        Read(id_, code=told.code, happened_at=told.happened_at) for id_, told in found if told and told.read
    ]


def note_strange(route: Route, reports: Iterable[StatusReport | DeliveryReceipt]) -> int:
    """Log codes we do not know, and count them; they change nothing."""
    strange = [report.code for report in reports if report.strange]
    if strange:
        codes = ",".join(sorted(set(strange))[:10])
        log.warning("unknown_codes route=%s count=%d codes=%s", route.config.name, len(strange), codes)
    return len(strange)


def note_segments(route: Route, pairs: Iterable[tuple[int | None, int | None]]) -> None:
    """Log where they bill other segments than we count: (ours, theirs), None where either is unknown. A text
    that they change is not the one we counted."""
    if isinstance(route.dialect, Rewrites) and route.dialect.rewrites:
        return
    differing = [(ours, theirs) for ours, theirs in pairs if ours and theirs and ours != theirs]
    if differing:
        ours, theirs = (sum(counts) for counts in zip(*differing, strict=True))
        log.warning(
            "segments_differ route=%s messages=%d ours=%d theirs=%d",
            route.config.name,
            len(differing),
            ours,
            theirs,
        )
