"""The part of misbehaving that needs the socket itself."""

import asyncio
import time
from typing import cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP, which hands every request its transport, and when that had last answered one: ASGI
    itself has no way to hang up."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}

    def on_response_complete(self) -> None:
        """Idle from here on."""
        self.app_state["idle_since"] = time.monotonic()
        super().on_response_complete()


def transport_of(request: Request) -> asyncio.Transport:
    """The connection this request came by."""
    return cast("asyncio.Transport", request.state.transport)


def idle_of(request: Request) -> float | None:
    """Seconds this connection lay idle before this request; None before its first."""
    since = getattr(request.state, "idle_since", None)
    return None if since is None else time.monotonic() - since


async def hung_up(receive: Receive) -> None:
    """Returns once uvicorn knows that the connection is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Dropped(Response):
    """No answer: the connection is closed without a byte."""

    def __init__(self, transport: asyncio.Transport) -> None:
        super().__init__()
        self._transport = transport

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Returns once uvicorn knows of it: earlier, it would try to answer 500."""
        self._transport.abort()
        await hung_up(receive)


class Cut(Response):
    """Half an answer under a head that promises the whole one."""

    def __init__(self, body: bytes, media_type: str, transport: asyncio.Transport) -> None:
        super().__init__(body, media_type=media_type)
        self._transport = transport

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """`close` and not `abort`: what was written still goes out."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": half(self.body), "more_body": True})
        self._transport.close()
        await hung_up(receive)


class Truncated(Cut):
    """Half an answer under a head that promises nothing: that it ends, only the connection says."""

    async def __call__(self, _scope: Scope, receive: Receive, _send: Send) -> None:
        """Written past uvicorn, which would announce it in chunks."""
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {self.media_type}\r\nConnection: close\r\n\r\n"
        self._transport.write(head.encode() + half(self.body))
        self._transport.close()
        await hung_up(receive)


def half(body: bytes | memoryview) -> bytes:
    """The first half of an answer."""
    return bytes(body[: len(body) // 2])
