"""Packing: messages by the hundred, for the intake. Nothing made before a failure is lost."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.package import CHUNK

if TYPE_CHECKING:  # loads Redis
    from bulk_dispatch.intake import Parcel

T = TypeVar("T")


def parcels(messages: Iterable[Message]) -> "Iterator[Parcel]":
    """Messages packed for the intake: as many as go into one entry, of one lane each, in order.

    If making one fails, those before it come first, then the failure.
    """
    from bulk_dispatch.intake import Parcel

    for head in _heads(messages, CHUNK):
        for lane in Lane:
            if chunk := [message for message in head if message.lane is lane]:
                yield Parcel.of(lane, chunk)


def of_one_lane(packed: "Iterable[Parcel]", most: int) -> "Iterator[list[Parcel]]":
    """Parcels that are handed over together: of so many, those of one lane, in order."""
    for head in _heads(packed, most):
        for lane in Lane:
            if some := [parcel for parcel in head if parcel.lane is lane]:
                yield some


def _heads(made: Iterable[T], most: int) -> Iterator[list[T]]:
    """So many at a time. If making one fails, those before it come first, then the failure."""
    stream = iter(made)
    failure: Exception | None = None
    while failure is None:
        head: list[T] = []
        try:
            for one in islice(stream, most):
                head.append(one)  # noqa: PERF402 - what was made before a failure must not be lost
        except Exception as problem:
            failure = problem
        if head:
            yield head
        elif failure is None:
            return
    raise failure
