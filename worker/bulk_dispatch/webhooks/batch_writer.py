"""The writer: what waits is written together, and each is told once its own is committed.

One commit takes milliseconds, whatever it holds. So while one is under way the others gather, and the busier
it gets, the more leave at once. Where a commit fails though the ledger is there, each is written by itself,
so that none takes the others along.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

from bulk_dispatch.domain.delivery_receipt import DeliveryReceipt
from bulk_dispatch.ledger import REFUSALS, LedgerError

log = logging.getLogger(__name__)

Write = Callable[[Mapping[str, Sequence[DeliveryReceipt]]], object]
"""Commits receipts, by route."""

PATIENCE = 4.0  # seconds that one waits for its commit; providers are known to wait for 5
AGAIN = 0.2  # seconds between tries while the ledger is away
MOST = 2000  # receipts in a commit, about


class RefusedError(Exception):
    """The ledger does not take these, and never will."""


@dataclass(frozen=True, slots=True)
class _Piece:
    route: str
    receipts: Sequence[DeliveryReceipt] = field(repr=False)
    written: "asyncio.Future[bool]"


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

    async def put(self, route: str, receipts: Sequence[DeliveryReceipt]) -> bool:
        """Whether they were committed in time. If not, they may be yet: the ledger bears to be told twice.

        Raises RefusedError.
        """
        piece = _Piece(route, receipts, asyncio.get_running_loop().create_future())
        self._waiting.append(piece)
        self._some.set()
        try:
            async with asyncio.timeout(self._patience):
                return await piece.written
        except TimeoutError:
            return False

    async def works(self) -> bool:
        """Whether a commit goes through."""
        return await self.put("", ())

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            if left := await self._commit(self._gathered()):
                self._waiting.extendleft(reversed(left))
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

    async def _commit(self, pieces: Sequence[_Piece]) -> Sequence[_Piece]:
        """Write these together. Returns those that must wait, for the ledger is away."""
        told: dict[str, list[DeliveryReceipt]] = {}
        for piece in pieces:
            if piece.receipts:
                told.setdefault(piece.route, []).extend(piece.receipts)
        try:
            await asyncio.get_running_loop().run_in_executor(self._hand, self._write, told)
        except LedgerError as problem:
            self._note(problem)
            return pieces
        except Exception as problem:
            return await self._apart(pieces, problem)
        self._note(None)
        for piece in pieces:
            if not piece.written.done():
                piece.written.set_result(True)
        return ()

    async def _apart(self, pieces: Sequence[_Piece], problem: Exception) -> Sequence[_Piece]:
        """Something in these cannot be written; each by itself shows whose it is."""
        if len(pieces) == 1:
            self._fail(pieces[0], problem)
            return ()
        for at, piece in enumerate(pieces):
            if await self._commit([piece]):
                return pieces[at:]
        return ()

    def _fail(self, piece: _Piece, problem: Exception) -> None:
        """Answer for one that cannot be written. What the ledger refuses it will always refuse; of what
        nobody expected we know only that we do not have it."""
        refused = isinstance(problem, REFUSALS)
        event = "receipts_refused" if refused else "receipts_failed"
        # The name of the problem only: the rest may quote what came in.
        log.warning("%s route=%s problem=%s", event, piece.route, type(problem).__name__)
        if piece.written.done():
            return
        if refused:
            piece.written.set_exception(RefusedError())
        else:
            piece.written.set_result(False)

    def _note(self, problem: LedgerError | None) -> None:
        """Say when the ledger goes and when it comes, and not in between."""
        if problem and not self._away:
            log.warning("ledger_away problem=%s", problem)
        if self._away and not problem:
            log.info("ledger_back")
        self._away = problem is not None
