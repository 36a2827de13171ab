"""What a provider's word does to a message, and what a failure does to its route. Shared by the stages."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Protocol

from worker.ledger import Connection
from worker.ledger.governor import pause_route, route_failures, stop_route
from worker.ledger.queries import OpenMessage
from worker.ledger.transitions import Looks, Move
from worker.lines import Line
from worker.providers.contract import LOST, NOT_SENT, THROTTLED, Answered, Asked, Failure, Remedy, Verdict
from worker.runtime import Runtime
from worker.sms.status import Status, Verb, sources

log = logging.getLogger(__name__)

_SPREADING = {failure.name for failure in (NOT_SENT, LOST, THROTTLED)}  # the next question fails too

PATIENCE = 0.5  # of its lease, how much a round may spend asking


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
    may_settle = Status.SENDING in sources(Verb.SETTLE, verdict.status)
    target = verdict.status if may_settle else Status.SENT
    return Move(
        item.id, package_id, target, verdict.code, verdict.provider_id, verdict.segments, verdict.happened_at
    )


def reported(package_id: int, message_id: int, verdict: Verdict) -> Move | None:
    """The reporting move a verdict amounts to; None for no news, or none that a report can bring."""
    if verdict.status is None or Status.SENT not in sources(Verb.REPORT, verdict.status):
        return None
    return Move(
        message_id,
        package_id,
        verdict.status,
        verdict.code,
        verdict.provider_id,
        verdict.segments,
        verdict.happened_at,
    )


def note_strange(line: Line, verdicts: Iterable[Verdict]) -> int:
    """Log codes we do not know, and count them; they change nothing."""
    strange = [verdict.code for verdict in verdicts if verdict.strange]
    if strange:
        codes = ",".join(sorted(set(strange))[:10])
        log.warning("unknown_codes route=%s count=%d codes=%s", line.route.name, len(strange), codes)
    return len(strange)


def worst(failures: Iterable[Failure | None]) -> Failure | None:
    """Of several failures, the one whose remedy weighs most."""
    weight = {Remedy.NONE: 0, Remedy.HALVE: 1, Remedy.PAUSE: 2, Remedy.STOP: 3}
    return max(filter(None, failures), key=lambda failure: weight[failure.remedy], default=None)


def stopping(failure: Failure | None) -> Failure | None:
    """A failure of a question, as far as it concerns the sending: only what shuts the door altogether."""
    return failure if failure and failure.remedy is Remedy.STOP else None


def mend_route(runtime: Runtime, line: Line, connection: Connection, failure: Failure) -> None:
    """Do to the route what the failure asks for."""
    name = line.route.name
    if failure.remedy is Remedy.STOP:
        stop_route(connection, name, str(failure))
    elif failure.remedy is not Remedy.NONE:
        failures = route_failures(connection, name) + 1
        pause_route(connection, name, line.pause(failures, runtime.chance()), str(failure))
    log.warning("route_trouble route=%s remedy=%s failure=%r", name, failure.remedy.value, str(failure))


def first_looks(line: Line, package_ids: Iterable[int]) -> dict[int, Looks]:
    """When packages just sent are looked at for the first time."""
    look = Looks(poll=line.route.poll_first, rescue=line.route.doubt_first)
    return dict.fromkeys(package_ids, look)


def ask(
    runtime: Runtime, line: Line, messages: Sequence[OpenMessage]
) -> tuple[Mapping[int, Verdict], Failure | None]:
    """Ask the provider for the state of messages, in as few requests as it allows.

    Returns the verdicts by ledger id, and the worst failure of a question, if one failed. A failure that the
    next question would meet too cuts the asking short, and so do slow answers, well before our lease runs
    out. A message that was asked for and is missing from a good answer is one they do not know.
    """
    found: dict[int, Verdict] = {}
    failures: list[Failure] = []
    deadline = runtime.clock() + line.route.lease.total_seconds() * PATIENCE
    offset = line.route.reference_offset
    size = line.dialect.status_items
    for start in range(0, len(messages), size):
        if runtime.clock() > deadline:
            break
        part = messages[start : start + size]
        asked = [Asked(message.reference + offset, message.provider_id) for message in part]
        reply = runtime.exchange(line.route, line.dialect.status(asked))
        answer = reply if isinstance(reply, Failure) else line.dialect.read_status(asked, reply)
        if not isinstance(answer, Answered):
            log.warning("status_failed route=%s failure=%r", line.route.name, str(answer))
            failures.append(answer)
            if answer.remedy is Remedy.STOP or answer.name in _SPREADING:
                break
            continue
        by_reference = {verdict.reference: verdict for verdict in answer.verdicts}
        for message, about in zip(part, asked, strict=True):
            unknown = Verdict(about.reference, None, known=False)
            found[message.id] = by_reference.get(about.reference, unknown)
    return found, worst(failures)
