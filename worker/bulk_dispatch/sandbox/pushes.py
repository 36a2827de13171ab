"""States told by the provider itself: when they change, to whoever listens, again where nobody took them.

Nothing of it is in the journal. After a restart, what should have been told in the last minute is told,
perhaps once more: a listener has to bear that from any provider.
"""

import asyncio
import heapq
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from itertools import count
from typing import NamedTuple

from bulk_dispatch.sandbox.account import Record
from bulk_dispatch.sandbox.fault_effects import Misdeed, Moment
from bulk_dispatch.sandbox.faults import INNOCENT, PUSH, Script
from bulk_dispatch.sandbox.provider import News, Provider, Receipts
from bulk_dispatch.sandbox.push_client import Line, Unanswered

TICK = 0.02  # seconds between looks at the clock
OVERDUE = 60.0  # seconds back that are told after a restart
CONNECTIONS = 16  # to one listener
PAUSE = 1.0  # seconds before the second attempt, then twice as long each time [unknown in the sheets]


@dataclass
class PushTally:
    """News of messages, not calls; since the start or the last reset."""

    pushed: int = 0  # each attempt counted
    acknowledged: int = 0
    given_up: int = 0

    def shown(self) -> dict[str, int]:
        """For the counts."""
        return asdict(self)


class Piece(NamedTuple):
    """News on its way."""

    news: News
    attempt: int = 1
    innocent: bool = False  # the script has had its say


class Teller:
    """Tells the listener of one provider."""

    def __init__(self, provider: Provider, receipts: Receipts, script: Script, tally: PushTally) -> None:
        self._provider, self._receipts, self._script, self._tally = provider, receipts, script, tally
        self._account = provider.account
        self._order = count()
        self._ready: asyncio.Queue[list[Piece]] = asyncio.Queue()
        self._workers: list[asyncio.Task[None]] = []
        self._begun = time.time()
        self._not_before = self._begun
        self.forget()

    def begin(self) -> None:
        """Who listens already has listened before a restart, too."""
        self._begun = time.time()

    def forget(self) -> None:
        """Nothing is told of what was."""
        self._waiting: list[tuple[float, int, Piece]] = []
        while not self._ready.empty():
            self._ready.get_nowait()
        self._listening = False
        self._seen = self._seen_changes = 0
        self._own: set[int] = set()  # numbers of messages that came by this door
        self._told_early: set[int] = set()

    @property
    def _url(self) -> str | None:
        return self._account.push_urls.get(self._provider.name)

    def tick(self, now: float) -> None:
        """Find what is new, and hand over what is due."""
        if self._url is None:
            if self._listening:
                self.forget()
            return
        if not self._listening:
            self._listening = True
            since = self._account.push_urls.since[self._provider.name]
            self._not_before = since if since > self._begun else self._begun - OVERDUE
            self._workers = self._workers or [asyncio.create_task(self._work()) for _ in range(CONNECTIONS)]
        self._find()
        due: list[Piece] = []
        while self._waiting and self._waiting[0][0] <= now:
            due.append(heapq.heappop(self._waiting)[2])
        for piece in range(0, len(due), self._receipts.most):
            self._ready.put_nowait(due[piece : piece + self._receipts.most])

    async def tell_early(self, numbers: Iterable[int]) -> None:
        """The ends of these messages, now."""
        records = [record for number in numbers if (record := self._account.by_number(number))]
        pieces = [
            Piece(News(record, record.final_at), innocent=True)
            for record in records
            if self._receipts.instants(record)
        ]
        self._told_early.update(piece.news.record.number for piece in pieces)
        line = Line()
        most = self._receipts.most
        for first in range(0, len(pieces) if self._url else 0, most):
            await self._tell(pieces[first : first + most], INNOCENT, line)
        line.hang_up()

    async def stop(self) -> None:
        """Leave what is waiting."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        self._workers = []

    def _find(self) -> None:
        """What was changed, and what was taken, since the last time: new messages are seen as changed."""
        changes = self._account.changes
        for number in changes[self._seen_changes :]:
            changed = self._account.by_number(number)
            if number in self._own and changed:
                self._await(changed)
        self._seen_changes = len(changes)
        for record in self._account.records(self._provider.name, self._seen):
            self._seen += 1
            self._own.add(record.number)
            self._await(record)

    def _await(self, record: Record) -> None:
        for at in self._receipts.instants(record):
            if at >= self._not_before:
                self._put(at, Piece(News(record, at)))

    def _put(self, due: float, piece: Piece) -> None:
        heapq.heappush(self._waiting, (due, next(self._order), piece))

    async def _work(self) -> None:
        line = Line()
        try:
            while True:
                pieces = await self._ready.get()
                met = [piece for piece in pieces if not piece.innocent]
                misdeed = self._meet(met) if met else INNOCENT
                pieces = self._let_go(self._still_true(pieces), misdeed)
                if pieces:
                    await self._tell(pieces, misdeed, line)
        finally:
            line.hang_up()

    def _meet(self, pieces: Sequence[Piece]) -> Misdeed:
        return self._script.meet(
            Moment.PUSH,
            self._provider.name,
            PUSH,
            lambda: [piece.news.record.recipient.removeprefix("+") for piece in pieces],
        )

    def _still_true(self, pieces: Sequence[Piece]) -> list[Piece]:
        """Without what was changed since, or forgotten, or has been told early."""
        return [piece for piece in pieces if self._stands(piece)]

    def _stands(self, piece: Piece) -> bool:
        record, at = piece.news
        if record.number in self._told_early and not piece.innocent:
            return False
        current = self._account.by_number(record.number)
        return current == record or (current is not None and at in self._receipts.instants(current))

    def _let_go(self, pieces: list[Piece], misdeed: Misdeed) -> list[Piece]:
        """Those to be told now. What the misdeed wants later, waits."""
        now: list[Piece] = []
        for piece in pieces:
            record, at = piece.news
            if misdeed.wait_before:
                self._put(time.time() + misdeed.wait_before, piece._replace(innocent=True))
            elif misdeed.newest_first and at < record.final_at:
                self._put(record.final_at + 3 * TICK, piece._replace(innocent=True))
            else:
                now.append(piece)
        return now[::-1] if misdeed.newest_first else now

    async def _tell(self, pieces: Sequence[Piece], misdeed: Misdeed, line: Line) -> None:
        news = [piece.news for piece in pieces]
        strangers = self._receipts.strangers(misdeed.strangers, time.time()) if misdeed.strangers else []
        taken: set[int] = set()
        for _ in range(misdeed.times):
            taken |= await self._call(news, line)
            self._tally.pushed += len(news)
        for first in range(0, len(strangers), self._receipts.most):
            await self._call(strangers[first : first + self._receipts.most], line)
        for piece in pieces:
            if piece.news.record.number in taken:
                self._tally.acknowledged += 1
            elif piece.attempt < self._receipts.attempts:
                pause = PAUSE * 2 ** (piece.attempt - 1)
                self._put(time.time() + pause, piece._replace(attempt=piece.attempt + 1, innocent=True))
            else:
                self._tally.given_up += 1

    async def _call(self, news: Sequence[News], line: Line) -> set[int]:
        """The numbers it was taken for."""
        url = self._url
        if url is None:
            return set()
        push = self._receipts.push(news)
        try:
            status, body = await line.post(url, push.body, push.media_type)
        except Unanswered:
            return set()
        return set(self._receipts.acknowledged(status, body, news))


class Pusher:
    """All tellers, by one clock."""

    def __init__(self, providers: Sequence[Provider], script: Script) -> None:
        self.tallies = {one.name: PushTally() for one in providers}
        self._tellers = {
            one.name: Teller(one, one.receipts, script, self.tallies[one.name])
            for one in providers
            if one.receipts
        }
        self._ticking: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Tell from now on; needs the running loop."""
        for teller in self._tellers.values():
            teller.begin()
        self._ticking = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Tell nothing more."""
        if self._ticking:
            self._ticking.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticking
        for teller in self._tellers.values():
            await teller.stop()

    def forget(self) -> None:
        """The accounts are new."""
        for name in self.tallies:
            tally = self.tallies[name]
            tally.pushed = tally.acknowledged = tally.given_up = 0
        for teller in self._tellers.values():
            teller.forget()

    async def push_early(self, provider: Provider, numbers: Iterable[int]) -> None:
        """Before the answer that tells the customer these numbers."""
        await self._tellers[provider.name].tell_early(numbers)

    async def _tick(self) -> None:
        while True:
            now = time.time()
            for teller in self._tellers.values():
                teller.tick(now)
            await asyncio.sleep(TICK)
