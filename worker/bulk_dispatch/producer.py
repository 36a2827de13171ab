"""Producer: what it takes to hand messages over to the intake, as the task `bulk_dispatch.enqueue` does."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bulk_dispatch.domain.message import Lane, Message, check_send_at
from bulk_dispatch.domain.package import CHUNK
from bulk_dispatch.domain.validation import MessageError
from bulk_dispatch.intake import DeadLetter, Intake, Parcel
from bulk_dispatch.messaging.wakeup import Notifier
from bulk_dispatch.routing import (
    Route,
    UnknownRoute,
    accept,
    named_lane,
    named_route,
    region_of_route,
    unknown_route,
)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """How many messages the intake has taken, and how many are dead letters."""

    taken: int
    dead: int


@dataclass(frozen=True, slots=True)
class Producer:
    """The intake, and the wake-ups of those who read it: no ledger."""

    intake: Intake
    notifier: Notifier

    def hand_over(self, offered: Iterable[Any], routes: Mapping[str, Route]) -> HandedOver:
        """Put messages, as plain values, into the intake, all of them or none.

        What cannot be a message becomes a dead letter with its reason. What names a route that is not known
        waits in the intake for it. Raises IntakeError.
        """
        parcels, dead = _sorted(offered, routes)
        if parcels or dead:
            self.intake.take_in(parcels, dead)
        for lane in {parcel.lane for parcel in parcels}:
            self.notifier.notify("ingest", lane.value)
        return HandedOver(taken=sum(parcel.count for parcel in parcels), dead=len(dead))

    def refuse(self, offered: Sequence[Any], reason: str) -> HandedOver:
        """Make one dead letter of all that a task carries. Raises IntakeError."""
        self.intake.bury(DeadLetter.about(Lane.BULK, f"task: {reason}", offered))
        return HandedOver(taken=0, dead=len(offered))


def _sorted(offered: Iterable[Any], routes: Mapping[str, Route]) -> tuple[list[Parcel], list[DeadLetter]]:
    messages: dict[Lane, list[Message]] = {}
    unsure: dict[Lane, list[Any]] = {}
    dead: list[DeadLetter] = []
    for raw in offered:
        try:
            message = Message.from_dict(raw, region_of_route(named_route(raw), routes))
            if message.send_at:
                check_send_at(message.send_at, datetime.now(UTC))
            message = accept(message, routes)
        except UnknownRoute:  # another worker may know it: the one that ingests decides
            messages.setdefault(message.lane, []).append(message)
        except MessageError as problem:
            if unknown_route(raw, routes) is not None and problem.field == "recipient":
                # Its route may say of which country it is: the worker that ingests decides that, too.
                unsure.setdefault(named_lane(raw), []).append(raw)
            else:
                # Without the value: if columns are mixed up it is a text or somebody's number.
                dead.append(DeadLetter.about(Lane.BULK, f"{problem.field}: {problem.problem}", raw))
        else:
            messages.setdefault(message.lane, []).append(message)
    return [*_packed(Parcel.of, messages), *_packed(Parcel.of_plain, unsure)], dead


def _packed(pack: Callable[[Lane, Any], Parcel], by_lane: Mapping[Lane, Sequence[Any]]) -> Iterator[Parcel]:
    for lane, messages in by_lane.items():
        for start in range(0, len(messages), CHUNK):
            yield pack(lane, messages[start : start + CHUNK])
