"""How a provider is spoken to: what leaves, what comes back, and what a failure to understand it amounts to.

Shared by the stages. No database connection is held meanwhile.
"""

import logging
import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import TypeAlias, TypeVar

from bulk_dispatch.domain.package import OutboundMessage
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger.packages import OpenMessage
from bulk_dispatch.providers.failures import (
    LOST,
    MALFORMED,
    NOT_OFFERED,
    NOT_SENT,
    THROTTLED,
    UNREADABLE,
    Failure,
    RouteAction,
)
from bulk_dispatch.providers.interface import (
    Answered,
    Asked,
    JobTaken,
    Reply,
    Request,
    Statuses,
    StatusReport,
)
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.concurrency import calls
from bulk_dispatch.stages.questions import refused_by_all
from bulk_dispatch.stages.route_health import worst
from bulk_dispatch.stages.status_reports import dated, is_undated

log = logging.getLogger(__name__)

HASTE = timedelta(seconds=1)  # before its lease runs out, a package has left or does not leave at all
PATIENCE = 0.5  # of its lease, how much a round may spend asking

_SPREADING = {
    failure.name for failure in (NOT_SENT, LOST, THROTTLED, NOT_OFFERED)
}  # the next question fails too

Message = TypeVar("Message")
Answer = TypeVar("Answer")

Submitted: TypeAlias = Answered | JobTaken | Failure
"""What a request that sends comes to."""


def lease_end(runtime: Runtime, route: Route) -> float:
    """Until when a lease that is about to begin lets us send, by our own clock.

    Taken before the lease is, so that it ends sooner here than in the ledger. A process that is held still,
    or told late that its claim was committed, would otherwise send what others have taken up meanwhile.
    """
    return runtime.clock() + (route.config.lease - HASTE).total_seconds()


def submit(runtime: Runtime, route: Route, items: Sequence[OutboundMessage], until: float) -> Submitted:
    """Send items in one request, with no database connection held and nothing of it after `until`; the
    references in what comes back are ours.

    A request that cannot even be written was surely not sent, and one of its messages may be to blame. An
    answer over which the dialect stumbles tells nothing.
    """
    offset = route.config.reference_offset
    sent = [item._replace(reference=item.reference + offset) for item in items] if offset else items
    try:
        request = route.dialect.submit(sent)
    except Exception as problem:
        _note_stumble("cannot_write", route, problem)
        return MALFORMED.because(detail=f"we cannot write it: {type(problem).__name__}")
    read = partial(route.dialect.read_submit, sent)
    outcome: Submitted = exchanged(runtime, route, request, read, until)
    if isinstance(outcome, Answered):
        return Answered(_by_our_reference(route, outcome.reports))
    return outcome


def _by_our_reference(route: Route, reports: Sequence[StatusReport]) -> Sequence[StatusReport]:
    offset = route.config.reference_offset
    return [one._replace(reference=one.reference - offset) for one in reports] if offset else reports


def exchanged(
    runtime: Runtime,
    route: Route,
    request: Request,
    read: Callable[[Reply], Answer | Failure],
    until: float = math.inf,
) -> Answer | Failure:
    """What a provider answers, as `read` reads it; with no database connection held."""
    reply = runtime.exchange(route.config, request, until, route.keepalive)
    return reply if isinstance(reply, Failure) else understood(route, partial(read, reply))


def understood(route: Route, read: Callable[[], Answer | Failure]) -> Answer | Failure:
    """What a reader of the dialect makes of an answer. One over which it stumbles tells nothing."""
    try:
        return read()
    except Exception as problem:
        _note_stumble("cannot_read", route, problem)
        return UNREADABLE.because(detail=f"we stumble over it: {type(problem).__name__}")


def _note_stumble(what: str, route: Route, problem: Exception) -> None:
    """Where, and over what kind of thing. Its own words may quote a text or a number."""
    [*_, place] = traceback.extract_tb(problem.__traceback__)
    log.error(
        "%s route=%s problem=%s at=%s:%s",
        what,
        route.config.name,
        type(problem).__name__,
        place.filename,
        place.lineno,
    )


def ask(
    runtime: Runtime, route: Route, messages: Sequence[OpenMessage]
) -> tuple[Mapping[int, StatusReport], Failure | None]:
    """Ask the provider for the state of messages, in as few requests as it allows.

    Returns the reports by ledger id, and the worst failure of a question, if one failed; who refuses it
    message by message has refused it as much as who does so once. A failure that the next question would meet
    too cuts the asking short, and so do slow answers, well before our lease runs out. A message that was
    asked for and is missing from a good answer is one they do not know. Where they know messages by their own
    id only, those that have none yet are not asked for; nor are those that left by another account, which
    would deny them.
    """
    dialect = route.dialect
    if not isinstance(dialect, Statuses):
        return {}, None
    found: dict[int, StatusReport] = {}
    failures: list[Failure] = []
    deadline = runtime.clock() + route.config.lease.total_seconds() * PATIENCE

    def question(part: Sequence[OpenMessage]) -> Answered | Failure:
        asked = [asked_for(route, message) for message in part]
        return exchanged(runtime, route, dialect.status(asked), partial(dialect.read_status, asked))

    def go_on() -> bool:
        return runtime.clock() <= deadline and not any(map(spreads, failures))

    parts = chunks(askable(route, messages), dialect.status_items)
    for ended in calls(question, parts, dialect.status_in_flight, go_on):
        for part, answer in ended:
            if isinstance(answer, Failure):
                log.warning("status_failed route=%s failure=%r", route.config.name, str(answer))
                failures.append(answer)
                continue
            told = _by_our_reference(route, answer.reports)
            by_reference = {report.reference: report for report in told}
            for message in part:
                told_of = by_reference.get(message.reference)
                found[message.id] = told_of or StatusReport(message.reference, None, known=False)
    if refusal := refused_by_all(found.values()):
        return {}, worst([*failures, refusal])
    return _believed(route, messages, found), worst(failures)


def _believed(
    route: Route, messages: Sequence[OpenMessage], told: Mapping[int, StatusReport]
) -> Mapping[int, StatusReport]:
    """What they say, as far as it can be told from a stranger's: an end without its instant is no news, but
    of a message that they have taken under our own id. A number of theirs may be an old one, given for an id
    that was used; and of what left in a job, or is in doubt, nobody has said yet that they took it."""
    promised = dated(route)
    by_ours = isinstance(route.dialect, Statuses) and route.dialect.by_reference
    undated = {
        message.id: StatusReport(message.reference, None, told[message.id].code)
        for message in messages
        if message.id in told
        and not (by_ours and message.status is Status.SENT)
        and is_undated(told[message.id], promised)
    }
    if undated:
        log.warning("ends_without_instant route=%s messages=%d", route.config.name, len(undated))
    return {**told, **undated} if undated else told


def askable(route: Route, messages: Sequence[OpenMessage]) -> list[OpenMessage]:
    """Those about which the provider can be asked, of messages that it may have."""
    dialect = route.dialect
    if not isinstance(dialect, Statuses):
        return []
    known = set(filter(route.knows, {message.account for message in messages}))
    named = (message for message in messages if dialect.by_reference or message.provider_message_id)
    return [message for message in named if message.account in known]


def asked_for(route: Route, message: OpenMessage) -> Asked:
    """A message as a question names it."""
    return Asked(message.reference + route.config.reference_offset, message.provider_message_id)


def spreads(failure: Failure) -> bool:
    """Whether the next question would fail too."""
    return failure.remedy is RouteAction.STOP or failure.name in _SPREADING


def chunks(messages: Sequence[Message], size: int) -> list[Sequence[Message]]:
    """Messages in parts of at most `size`."""
    return [messages[start : start + size] for start in range(0, len(messages), size)]
