"""The writer: what waits is written together, and each is told once its own is committed.

One commit takes milliseconds, whatever it holds. So while one is under way the others gather, and the busier
it gets, the more leave at once.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from worker.ledger import REFUSALS, LedgerError
from worker.providers.contract import Receipt

log = logging.getLogger(__name__)

Write = Callable[[Mapping[str, Sequence[Receipt]]], object]
"""Commits receipts, by route."""

PATIENCE = 4.0  # seconds that one waits for its commit; providers are known to wait for 5
AGAIN = 0.2  # seconds between tries while the ledger is away
MOST = 2000  # receipts in a commit, about


class RefusedError(Exception):
    """The ledger does not take these, and never will."""


@dataclass(frozen=True, slots=True)
class _Piece:
    route: str
    receipts: Sequence[Receipt] = field(repr=False)
    written: "asyncio.Future[None]"


class Writer:
    """Groups and commits, for one event loop. Use it as an asynchronous context."""

    def __init__(self, write: Write, patience: float = PATIENCE) -> None:
        self._write = write
        self._patience = patience
        self._waiting: deque[_Piece] = deque()
        self._some = asyncio.Event()
        self._away = False

    async def __aenter__(self) -> Self:
        self._hand = ThreadPoolExecutor(1, "writer")
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is being written is waited for; nobody is told of it any more."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await asyncio.to_thread(self._hand.shutdown)

    async def put(self, route: str, receipts: Sequence[Receipt]) -> bool:
        """Whether they were committed in time. If not, they may be yet: the ledger bears to be told twice.

        Raises RefusedError.
        """
        piece = _Piece(route, receipts, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        self._some.set()
        try:
            async with asyncio.timeout(self._patience):
                await piece.written
        except TimeoutError:
            return False
        return True

    async def works(self) -> bool:
        """Whether a commit goes through."""
        return await self.put("", ())

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            if not await self._commit(self._gathered()):
                await asyncio.sleep(AGAIN)
            if not self._waiting:
                self._some.clear()

    def _gathered(self) -> list[_Piece]:
        pieces: list[_Piece] = []
        count = 0
        while self._waiting and count < MOST:
            piece = self._waiting.popleft()
            if not piece.written.done():  # else nobody waits for it any more
                pieces.append(piece)
                count += len(piece.receipts)
        return pieces

    async def _commit(self, pieces: Sequence[_Piece]) -> bool:
        """Write these together. False if the ledger is away: then they wait again."""
        told: dict[str, list[Receipt]] = {}
        for piece in pieces:
            if piece.receipts:
                told.setdefault(piece.route, []).extend(piece.receipts)
        try:
            await asyncio.get_running_loop().run_in_executor(self._hand, self._write, told)
        except REFUSALS as problem:
            return await self._refused(pieces, problem)
        except Exception as problem:
            # Whatever it is: nobody is told that we have them, and the next try is as good as this one.
            self._waiting.extendleft(reversed(pieces))
            self._note(away=True, problem=problem)
            return False
        self._note(away=False)
        for piece in pieces:
            if not piece.written.done():
                piece.written.set_result(None)
        return True

    async def _refused(self, pieces: Sequence[_Piece], problem: Exception) -> bool:
        """Something in it does not fit into the ledger; each by itself shows whose it is."""
        if len(pieces) > 1:
            return all([await self._commit([piece]) for piece in pieces])
        log.warning("receipts_refused route=%s problem=%s", pieces[0].route, type(problem).__name__)
        if not pieces[0].written.done():
            pieces[0].written.set_exception(RefusedError())
        return True

    def _note(self, *, away: bool, problem: Exception | None = None) -> None:
        """Say when the ledger goes and when it comes, and not in between."""
        if away and not self._away:
            # Of what we do not know, the name only: it may quote what came in.
            log.warning(
                "ledger_away problem=%s",
                problem if isinstance(problem, LedgerError) else type(problem).__name__,
            )
        if self._away and not away:
            log.info("ledger_back")
        self._away = away
