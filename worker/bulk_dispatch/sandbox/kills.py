"""Answers that end with the death of whoever asked.

Each kills once the caller is where the script wants it, and the exchange goes on only when it is dead: so
what the caller had of the answer is the same each time.

A process of threads may have several exchanges here at once. Each is a hit of its rule, but a process dies
once: `kills` counts processes.
"""

import asyncio
from collections.abc import Callable

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bulk_dispatch.sandbox.client_processes import Caller
from bulk_dispatch.sandbox.wire import Dropped, hung_up

OnKill = Callable[[], None]


class Killed(Dropped):
    """Not a byte of an answer."""

    def __init__(self, transport: asyncio.Transport, caller: Caller, on_kill: OnKill) -> None:
        super().__init__(transport)
        self._caller, self._on_kill = caller, on_kill

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Kills, then hangs up on nobody."""
        if self._caller.kill():
            self._on_kill()
        await super().__call__(scope, receive, send)


class KilledAnswering(Response):
    """Half an answer, which the caller has read, under a head that promises the whole one."""

    def __init__(
        self, body: bytes, media_type: str, transport: asyncio.Transport, caller: Caller, on_kill: OnKill
    ) -> None:
        super().__init__(body, media_type=media_type)
        self._transport, self._caller, self._on_kill = transport, caller, on_kill

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Answers so far, kills, hangs up."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            await self._answer(send)
        finally:  # nor is it left stopped if we are told to end
            if self._caller.kill():
                self._on_kill()
        self._transport.abort()
        await hung_up(receive)

    async def _answer(self, send: Send) -> None:
        await self._say(send, bytes(self.body[: len(self.body) // 2]))
        await self._caller.has_read_all()

    async def _say(self, send: Send, part: bytes) -> None:
        """`more_body` for ever: the length in the head says where the answer ends."""
        await send({"type": "http.response.body", "body": part, "more_body": True})


class KilledAnswered(KilledAnswering):
    """The whole answer, its last byte still unread by the caller.

    The caller is stopped before that byte goes out: otherwise it would be a race how far it gets with the
    answer, and the books could hold it or not.
    """

    async def _answer(self, send: Send) -> None:
        await self._say(send, bytes(self.body[:-1]))
        await self._caller.has_read_all()
        await self._caller.stop()
        await self._say(send, bytes(self.body[-1:]))
        await self._caller.has_all()
