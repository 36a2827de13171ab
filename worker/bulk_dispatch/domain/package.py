"""Package: messages that leave in one request, and the rule that decides which leave together."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate, islice, takewhile
from typing import NamedTuple

from bulk_dispatch.domain.content import Content, Kind
from bulk_dispatch.domain.validation import mask


class PackageState(StrEnum):
    """What became of a request. The package id is the fence for writes about its messages."""

    OPEN = "open"  # leased by a dispatcher; the request may be on the wire; settled, or in doubt by rescue
    SETTLED = (
        "settled"  # every message has its status report; those taken are polled; closed when none is open
    )
    JOB = "job"  # taken as an asynchronous job; messages stay sending until the job ends
    IN_DOUBT = "in_doubt"  # some of its messages are in doubt; rescue asks, or a person decides
    REFUSED = "refused"  # refused as a whole, surely not taken; its messages are queued again, or halved
    UNSENT = "unsent"  # the request never left; its messages are queued again
    CLOSED = "closed"  # nothing more to learn


class OutboundMessage(NamedTuple):
    """A message as it leaves. `reference` is our id at the provider: digits, allocated by the ledger.

    `send_at` is set only if the provider is to hold it until then. The ends of validity lie within what the
    provider takes (`Limits`); `leaves_at` is when it leaves, by the ledger's clock, of one that has such an
    end. `campaign` is ours: empty for none. `segments_estimated` is our own count of when
    it came.
    """

    id: int
    reference: int
    recipient: str
    sender: str
    content: Content
    attempts: int = 0  # tries used up so far
    leaves_at: datetime | None = None
    send_at: datetime | None = None
    valid_until: datetime | None = None
    viber_valid_until: datetime | None = None
    campaign: str = ""
    segments_estimated: int | None = None

    @property
    def kind(self) -> Kind:
        """The kind of its content."""
        return self.content.kind

    def __repr__(self) -> str:
        return f"Item(id={self.id}, reference={self.reference}, recipient={mask(self.recipient)!r})"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a provider takes: at most `items` messages a package, and about `octets` bytes a request.

    A package leaves in one request, or in several of `call` messages each, `in_flight` of them at once.
    `measure` tells the bytes of a message in a request, where the general reckoning is too far from it.
    `once`: equal contents stand once in a request, whoever gets them. Validity may last from `shortest` to
    `longest`.
    """

    items: int
    octets: int
    call: int = 0  # messages a request; 0: all of a package
    in_flight: int = 1
    measure: Callable[[OutboundMessage], int] | None = field(default=None, compare=False, repr=False)
    once: bool = False
    shortest: timedelta = timedelta(0)
    longest: timedelta = timedelta(days=366)


CHUNK = 1000  # messages that are handed over together: one entry of the intake
OVERHEAD = 200  # bytes of mark-up about one message, on the generous side


def fitting(items: Sequence[OutboundMessage], limits: Limits) -> Sequence[OutboundMessage]:
    """The longest head of `items` that may leave together. Never empty: one message always fits alone."""
    if limits.call:  # each request is small
        return items[: limits.items]
    measure = limits.measure or reckoned
    sizes = _once(items, measure) if limits.once else map(measure, items)
    totals = accumulate(islice(sizes, limits.items))
    return items[: max(1, sum(1 for _ in takewhile(lambda total: total <= limits.octets, totals)))]


def _once(items: Iterable[OutboundMessage], measure: Callable[[OutboundMessage], int]) -> Iterator[int]:
    """Bytes about each message, where a content that stood before takes none."""
    seen: set[tuple[str, Content, str]] = set()  # by campaign too, which some are told
    for item in items:
        what = (item.sender, item.content, item.campaign)
        yield OVERHEAD if what in seen else measure(item)
        seen.add(what)


def reckoned(item: OutboundMessage) -> int:
    """Bytes about a message, on the generous side. Four a character: the most UTF-8 takes, and about what
    escaping "&" costs."""
    return OVERHEAD + 4 * item.content.size
