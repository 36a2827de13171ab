"""Cancel: withdraw what is queued, and ask the provider to forget what it holds; because somebody says so, or
because of the suppression list.

The first is sure; a provider may be too late, or unable. What is on the wire or in doubt is left alone:
nobody can say yet who has it. Each step is committed by itself: to be interrupted undoes nothing, and who
says it again goes on.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import partial

from bulk_dispatch.domain.message import Lane
from bulk_dispatch.domain.question import Question
from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Connection
from bulk_dispatch.ledger.collisions import in_collision
from bulk_dispatch.ledger.in_doubt import statuses
from bulk_dispatch.ledger.packages import (
    Held,
    OpenMessage,
    held_messages,
    listed_messages,
    live_packages,
    open_messages,
)
from bulk_dispatch.ledger.queries import now, route_names
from bulk_dispatch.ledger.transitions import (
    Clock,
    Queue,
    QueueCursor,
    Transition,
    cancel_named,
    cancel_next,
    suppress_next,
)
from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Answered, Cancels, Statuses, StatusReport
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.concurrency import calls
from bulk_dispatch.stages.outcomes import Outcome, first_looks, record
from bulk_dispatch.stages.provider_calls import asked_for, chunks, exchanged, spreads
from bulk_dispatch.stages.questions import heard, is_not_offered, refused_by_all
from bulk_dispatch.stages.status_reports import note_strange, reads, reported

log = logging.getLogger(__name__)

STEP = 5000  # messages withdrawn, or looked at, in one transaction
LOOKED_AT = 50_000  # queued messages looked through, in one transaction, for numbers of the suppression list
NAMES = 1000  # messages by name


class Fate(StrEnum):
    """What became of a message that was to be cancelled."""

    CANCELLED_QUEUED = "cancelled_queued"  # withdrawn before it left; suppressed, if for the suppression list
    CANCELLED_AT_PROVIDER = "cancelled_at_provider"  # the provider will not send it
    CANCELLED_BEFORE = "cancelled_before"  # it was cancelled already
    TOO_LATE = "too_late"  # it has left the provider, or come to another end
    CANNOT = (
        "cannot"  # its provider cannot, or does not do it for us; its route is gone, or another account's
    )
    UNKNOWN = "unknown"  # the provider does not know it, or not under an id we have; or the ledger does not
    UNANSWERED = "unanswered"  # the provider gave no answer that can be read: say it again
    ON_THE_WIRE = "on_the_wire"  # being sent: say it again
    IN_DOUBT = "in_doubt"  # nobody knows whether the provider has it


_STANDING = {
    Status.QUEUED: Fate.ON_THE_WIRE,  # it came back while we looked
    Status.SENDING: Fate.ON_THE_WIRE,
    Status.IN_DOUBT: Fate.IN_DOUBT,
    Status.CANCELLED: Fate.CANCELLED_BEFORE,
}


@dataclass(frozen=True, slots=True)
class CancelSelection:
    """Which messages are meant: all that fit every part given; all there are if none is."""

    route: str = ""
    campaign: str = ""
    producer: str = ""


# -- by name -----------------------------------------------------------------------------------------


def cancel_names(
    runtime: Runtime, client_ids: Sequence[str], reason: str, producer: str = ""
) -> Iterator[Mapping[str, Fate]]:
    """Cancel a producer's messages of these client ids, step by step; each yields what became of some."""
    for names in chunks(client_ids, NAMES):
        if runtime.stopping():
            return
        yield _cancel_names(runtime, names, reason, producer)


def _cancel_names(runtime: Runtime, names: Sequence[str], reason: str, producer: str) -> dict[str, Fate]:
    with runtime.ledger.begin() as connection:
        withdrawn = cancel_named(connection, names, reason, producer)
        standing = statuses(connection, names, producer)
        held = held_messages(connection, names, producer)
    fates = {name: _fate_of(standing.get(name)) for name in names}
    fates.update(dict.fromkeys(withdrawn, Fate.CANCELLED_QUEUED))
    for route in sorted({one.route for one in held}):
        fates.update(_recall_names(runtime, route, [one for one in held if one.route == route], reason))
    return fates


def _fate_of(status: Status | None) -> Fate:
    return Fate.UNKNOWN if status is None else _STANDING.get(status, Fate.TOO_LATE)


def _recall_names(runtime: Runtime, route: str, held: Sequence[Held], reason: str) -> dict[str, Fate]:
    fates = _Recall(runtime, route, reason).run([one.message for one in held])
    return {one.client_id: fates[one.message.id] for one in held}


# -- by selection, and by the suppression list ---------------------------------------------------------------


def cancel_all(runtime: Runtime, selection: CancelSelection, reason: str) -> Iterator[Mapping[Fate, int]]:
    """Cancel a selection, step by step; each yields what became of how many.

    What is queued comes first, before it leaves. Messages that have come to their end are not counted, and
    what is enqueued after this began is not meant.
    """
    find = partial(open_messages, campaign=selection.campaign, producer=selection.producer)
    chosen = _Choice(selection, cancel_next, STEP, find)
    until, routes = _scope(runtime, selection.route)
    for route in routes:
        yield from _withdraw(runtime, route, until, chosen, reason)
    for route in routes:
        yield from _recall(runtime, route, chosen, reason)
        yield from _withdraw(runtime, route, until, chosen, reason)  # what was on the wire, and came back


def cancel_listed(runtime: Runtime, reason: str, numbers: Sequence[str] = ()) -> Iterator[Mapping[Fate, int]]:
    """The same for the suppression list, or for these numbers of it: what is queued is suppressed. What comes
    back from the wire meanwhile is left to the next claim.

    For the whole list it costs hardly more than for one number, makes good what was interrupted, and finds
    whom a provider's word has put there.
    """
    withdraw, find = partial(suppress_next, numbers=numbers), partial(listed_messages, numbers=numbers)
    chosen = _Choice(CancelSelection(), withdraw, LOOKED_AT, find)
    until, routes = _scope(runtime, "")
    for route in routes:
        yield from _withdraw(runtime, route, until, chosen, reason)
    for route in routes:
        yield from _recall(runtime, route, chosen, reason)


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which messages are meant: how those that are queued are withdrawn, the next `step` at a time, and those
    in packages found."""

    selection: CancelSelection
    withdraw: Callable[[Connection, Queue, QueueCursor | None, int, str], tuple[int, QueueCursor | None]]
    step: int
    find: Callable[[Connection, Sequence[int]], Sequence[OpenMessage]]


def _scope(runtime: Runtime, route: str) -> tuple[datetime, Sequence[str]]:
    """The instant until which messages are meant, and whose: of a route, or of all there are."""
    with runtime.ledger.begin() as connection:
        return now(connection), [route] if route else route_names(connection)


def _withdraw(
    runtime: Runtime, route: str, until: datetime, chosen: _Choice, reason: str
) -> Iterator[Mapping[Fate, int]]:
    meant = chosen.selection
    for lane in Lane:
        queue = Queue(route, lane, meant.campaign, until, meant.producer)
        yield from _withdraw_queue(runtime, queue, chosen, reason)


def _withdraw_queue(
    runtime: Runtime, queue: Queue, chosen: _Choice, reason: str
) -> Iterator[Mapping[Fate, int]]:
    """What is queued, in the order it would leave."""
    place: QueueCursor | None = None
    while not runtime.stopping():
        with runtime.ledger.begin() as connection:
            count, place = chosen.withdraw(connection, queue, place, chosen.step, reason)
        yield {Fate.CANCELLED_QUEUED: count}
        if place is None:
            return


def _recall(runtime: Runtime, route: str, chosen: _Choice, reason: str) -> Iterator[Mapping[Fate, int]]:
    """What is in packages, package by package."""
    with runtime.ledger.begin() as connection:
        packages = live_packages(connection, route)
    recall = _Recall(runtime, route, reason)
    for package_ids in _parts(packages):
        if runtime.stopping():
            return
        with runtime.ledger.begin() as connection:
            messages = chosen.find(connection, package_ids)
        held = [message for message in messages if message.status is Status.SENT]
        fates = Counter(_fate_of(message.status) for message in messages if message.status is not Status.SENT)
        fates.update(recall.run(held).values())
        yield fates


def _parts(packages: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    """Packages, given as (id, messages), in parts of about STEP messages."""
    part: list[int] = []
    held = 0
    for package_id, items in packages:
        part.append(package_id)
        held += items
        if held >= STEP:
            yield part
            part, held = [], 0
    if part:
        yield part


# -- the provider ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Recall:
    """The provider of a route, asked to forget messages. Once it does not answer it is not asked again."""

    runtime: Runtime
    route: str
    reason: str
    unreachable: bool = False

    def run(self, messages: Sequence[OpenMessage]) -> dict[int, Fate]:
        """What became of each message, by its id in the ledger; the book has it by then."""
        route = self.runtime.routes.get(self.route)
        if route is None or not isinstance(route.dialect, Cancels):
            return {message.id: Fate.CANNOT for message in messages}
        fates = {message.id: _before_asking(route, message) for message in messages}
        askable = [message for message in messages if fates[message.id] is Fate.UNANSWERED]
        self._ask(route, route.dialect, askable, fates)
        return fates

    def _ask(
        self, route: Route, dialect: Cancels, messages: Sequence[OpenMessage], fates: dict[int, Fate]
    ) -> None:
        def question(part: Sequence[OpenMessage]) -> Answered | Failure:
            asked = [asked_for(route, message) for message in part]
            answer = exchanged(
                self.runtime, route, dialect.cancel(asked), partial(dialect.read_cancel, asked)
            )
            told = answer.reports if isinstance(answer, Answered) else ()
            return refused_by_all(told) or answer

        parts = chunks(messages, dialect.cancel_items)
        failures: list[Failure] = []
        for ended in calls(question, parts, route.dialect.limits.in_flight, lambda: not self.unreachable):
            for part, answer in ended:
                if isinstance(answer, Failure):
                    log.warning("cancel_failed route=%s failure=%r", self.route, str(answer))
                    failures.append(answer)
                    self.unreachable |= spreads(answer)
                else:
                    fates.update(self._record(route, part, answer.reports))
        unanswered = [message.id for message in messages if fates[message.id] is Fate.UNANSWERED]
        if len(unanswered) < len(messages):
            heard(self.runtime, route, Question.CANCEL, None)
        elif failures:
            heard(self.runtime, route, Question.CANCEL, failures[0])
            if is_not_offered(failures[0]):
                fates.update(dict.fromkeys(unanswered, Fate.CANNOT))

    def _record(
        self, route: Route, messages: Sequence[OpenMessage], reports: Sequence[StatusReport]
    ) -> dict[int, Fate]:
        """Write down what they say: a message they could not cancel may have come to another end. What they
        say of a stranger's is no fate of ours. Whose turn the next look is stays as it was."""
        by_reference = {report.reference: report for report in reports}
        asked = {message.id: asked_for(route, message).reference for message in messages}
        told = {
            message_id: by_reference[reference]
            for message_id, reference in asked.items()
            if reference in by_reference
        }
        note_strange(route, told.values())
        news = [
            self._noted(move) for message in messages if (move := _news(route, message, told.get(message.id)))
        ]
        fates = {message.id: _judged(told.get(message.id)) for message in messages}
        if news:
            outcome = Outcome(
                looks=first_looks(route, {message.package_id for message in messages}),
                news=news,
                reads=reads(messages, told),
                keeps=tuple(Clock),
            )
            with self.runtime.ledger.begin() as connection:
                moved = record(self.runtime, route, connection, outcome).moved
                strangers = in_collision(connection, list(fates)) if moved.get(Status.IN_DOUBT) else ()
            fates.update(dict.fromkeys(strangers, Fate.IN_DOUBT))
        return fates

    def _noted(self, move: Transition) -> Transition:
        return move._replace(note=self.reason) if move.to_status is Status.CANCELLED else move


def _before_asking(route: Route, message: OpenMessage) -> Fate:
    """What is to be said of a message if they say nothing."""
    nameless = isinstance(route.dialect, Statuses) and not route.dialect.by_reference
    if not route.knows(message.account):
        return Fate.CANNOT
    return Fate.UNKNOWN if nameless and not message.provider_message_id else Fate.UNANSWERED


def _news(route: Route, message: OpenMessage, report: StatusReport | None) -> Transition | None:
    return reported(route, message, report) if report else None


def _judged(report: StatusReport | None) -> Fate:
    """A message that is missing from a good answer is one they do not know. What failed, or is not to be
    understood, may go well the next time."""
    if report is None or not report.known:
        return Fate.UNKNOWN
    if report.strange or report.failure:
        return Fate.UNANSWERED
    return Fate.CANCELLED_AT_PROVIDER if report.status is Status.CANCELLED else Fate.TOO_LATE
