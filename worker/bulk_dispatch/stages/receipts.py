"""Receipts: write down what providers tell without being asked.

A receipt is a report that comes by another way, so the rules are those of polling: an end is reported, news
on the way is none, and what has ended stays as it is. An end of a message in doubt says first of all that
they have it, so it was sent. What comes before the book knows its message is kept, and `match` looks again.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.domain.status import FINAL, EventType, Status, sources
from bulk_dispatch.ledger import Connection, Ledger, receipts
from bulk_dispatch.ledger.receipts import Matched
from bulk_dispatch.ledger.transitions import Clock, Looks, Read, Transition, lock_packages, read, settle
from bulk_dispatch.providers.interface import Receipts
from bulk_dispatch.routing import Route
from bulk_dispatch.runtime import Runtime
from bulk_dispatch.stages.outcomes import first_looks
from bulk_dispatch.stages.status_reports import dated, is_end, is_undated, note_strange

log = logging.getLogger(__name__)

WORDS = 5000  # a round of `match`
ROUNDS = 5  # a step
NAME_MOST = 64  # characters; what is longer names no message of ours
CODE_MOST = 64  # characters that are kept of their word
YEARS = range(2000, 2100)  # of the instants they name: the ends of the calendar are not to be had in SQL

_ENDS = frozenset(status for status in Status if Status.SENT in sources(EventType.REPORT, status))
_OPEN = frozenset(status for end in _ENDS for status in sources(EventType.REPORT, end)) | {Status.IN_DOUBT}


@dataclass(frozen=True, slots=True)
class ReceiptCounts:
    """What receipts came to, in numbers. `more` if there may be more to match at once."""

    receipts: int = 0
    settled: int = 0  # messages in doubt that they turned out to have
    ended: int = 0  # messages that came to their end by them
    read: int = 0  # messages noted as read
    sooner: int = 0  # packages that are polled sooner for a hint
    kept: int = 0  # receipts whose message is not known yet
    dropped: int = 0  # kept ones that have waited too long, or are too many
    strange: int = 0  # receipts with a word that we do not know
    more: bool = False

    def __add__(self, other: "ReceiptCounts") -> "ReceiptCounts":
        return ReceiptCounts(*(getattr(self, one.name) + getattr(other, one.name) for one in _COUNTS))


_COUNTS = [one for one in fields(ReceiptCounts) if one.name != "more"]


def take(
    ledger: Ledger, routes: Mapping[str, Route], told: Mapping[str, Sequence[DeliveryReceipt]]
) -> ReceiptCounts:
    """Write down receipts, by route, in one transaction. When this returns they are ours for ever.

    Raises LedgerError; then nothing of them is written.
    """
    words = {route: _words(routes[route], given) for route, given in told.items()}
    with ledger.begin() as connection:
        written = _write(connection, routes, words)
    strange = sum(note_strange(routes[route], given) for route, given in told.items())
    done = replace(written, receipts=sum(map(len, told.values())), strange=strange)
    _log(logging.DEBUG, told, done)  # a line for each commit: a hundred a second, of one receipt each
    return done


def match(runtime: Runtime, route: str) -> ReceiptCounts:
    """Write down receipts that came before the book knew their message; forget those that are too old, or too
    many.

    A receipt and the answer to the sending may be written at the same moment, and then neither sees the
    other. This brings them together.
    """
    done, more = ReceiptCounts(), True
    for _ in range(ROUNDS):
        if not more or runtime.stopping():
            break
        with runtime.ledger.begin() as connection:
            words = receipts.take_kept(connection, route, WORDS)
            written = _write(connection, runtime.routes, {route: words})
        done += replace(written, receipts=len(words))
        more = len(words) == WORDS
    with runtime.ledger.begin() as connection:
        dropped = receipts.drop_old(connection, route) + receipts.drop_surplus(connection, route)
    done += ReceiptCounts(dropped=dropped)
    _log(logging.INFO, [route], done)
    return replace(done, more=more)


def _words(route: Route, given: Iterable[DeliveryReceipt]) -> list[DeliveryReceipt]:
    """What may change something; the rest need not trouble the book. Strangers may say anything, and SQL does
    not take everything."""
    named = (
        receipt
        for receipt in given
        if _fits(receipt.provider_message_id, NAME_MOST) and receipt.provider_message_id
    )
    if isinstance(route.dialect, Receipts) and route.dialect.hints:
        return [
            DeliveryReceipt(id_, None)
            for id_ in dict.fromkeys(receipt.provider_message_id for receipt in named)
        ]
    promised = dated(route)
    return [
        DeliveryReceipt(
            provider_message_id=receipt.provider_message_id,
            status=receipt.status,
            code=receipt.code if _fits(receipt.code, CODE_MOST) else "",
            happened_at=_told_at(receipt),
            first_channel=receipt.first_channel,
            read=receipt.read,
        )
        for receipt in named
        if receipt.status in _ENDS and not is_undated(receipt, promised)
    ]


def _told_at(receipt: DeliveryReceipt) -> datetime | None:
    """When it happened, as they say, if that is an instant that SQL can hold."""
    at = receipt.happened_at
    return at if at and at.year in YEARS else None


def _fits(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()


@dataclass(slots=True)
class _Found:
    """What words amount to: doubts, reports and reads by message, and the packages to lock for them."""

    doubts: dict[int, Transition] = field(default_factory=dict)
    news: dict[int, Transition] = field(default_factory=dict)
    reads: dict[int, Read] = field(default_factory=dict)
    looks: dict[int, Looks] = field(default_factory=dict)
    hinted: set[int] = field(default_factory=set)
    behind: timedelta = timedelta(0)  # so far may the clock of those who tell be behind ours

    def add(self, route: Route, matched: Iterable[Matched]) -> None:
        """The words of a route, oldest first."""
        packages: set[int] = set()
        self.behind = route.clock_tolerance
        for one in matched:
            if one.package_id is None:
                continue  # it ended without having left
            if one.word.status is None:
                if one.status is Status.SENT:  # of what is in doubt, rescue asks for the state too
                    self.hinted.add(one.package_id)
            elif self._is_found(one) | self._ends(one) | self._is_read(one):
                packages.add(one.package_id)
        self.looks.update(first_looks(route, packages))

    def _is_found(self, one: Matched) -> bool:
        """What they tell an end of, they have; be it the end of a first channel only."""
        if one.status is not Status.IN_DOUBT:
            return False
        word = one.word
        move = Transition(
            one.message_id,
            one.package_id,
            Status.SENT,
            code=word.code,
            happened_at=word.happened_at,
            note="told by a receipt",
            behind=self.behind,
        )
        self.doubts.setdefault(one.message_id, move)
        return True

    def _ends(self, one: Matched) -> bool:
        """The first end counts; that there will be no final report is none, if there is one after all."""
        word, known = one.word, self.news.get(one.message_id)
        if word.status is None or one.status not in _OPEN or not is_end(word, one.kind):
            return False
        if known is None or (known.to_status not in FINAL and word.status in FINAL):
            self.news[one.message_id] = Transition(
                one.message_id,
                one.package_id,
                word.status,
                code=word.code,
                happened_at=word.happened_at,
                behind=self.behind,
            )
        return True

    def _is_read(self, one: Matched) -> bool:
        if one.word.read and (one.status in _OPEN or one.status is Status.DELIVERED):
            known = Read(one.message_id, code=one.word.code, happened_at=one.word.happened_at)
            self.reads.setdefault(one.message_id, known)
            return True
        return False


def _write(
    connection: Connection, routes: Mapping[str, Route], words: Mapping[str, Sequence[DeliveryReceipt]]
) -> ReceiptCounts:
    """All words in few statements. The packages of all routes are locked at once, in their order."""
    found, done = _Found(), ReceiptCounts()
    for route, some in words.items():
        if some:
            matched, unknown = receipts.match(connection, route, some)
            found.add(routes[route], matched)
            receipts.keep(connection, route, unknown)
            done += ReceiptCounts(kept=len(unknown))
    if found.looks and found.hinted:
        lock_packages(connection, found.looks.keys() | found.hinted)
    if found.looks:
        doubts, news = list(found.doubts.values()), list(found.news.values())
        moved = settle(connection, doubts, found.looks, news=news, keeps=tuple(Clock))
        settled = moved.get(Status.SENT, 0)
        ended = sum(moved.values()) - settled
        done += ReceiptCounts(settled=settled, ended=ended, read=read(connection, list(found.reads.values())))
    if found.hinted:
        done += ReceiptCounts(sooner=receipts.look_now(connection, found.hinted))
    return done


def _log(level: int, routes: Iterable[str], done: ReceiptCounts) -> None:
    if done != ReceiptCounts():
        counts = " ".join(f"{one.name}={count}" for one in _COUNTS if (count := getattr(done, one.name)))
        log.log(level, "receipts_taken routes=%s %s", ",".join(routes), counts)
