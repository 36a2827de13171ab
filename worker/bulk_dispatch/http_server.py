"""HTTP served: a bound socket, one uvicorn, and how it ends. What is served is for others to say."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import uvicorn
from starlette.types import ASGIApp


class HttpServer(uvicorn.Server):
    """uvicorn that says when it listens, and leaves signals to us: it would raise them again at the end.

    `options` are those of uvicorn.Config. Addresses are not logged: they may hold a secret.
    """

    def __init__(self, app: ASGIApp, **options: Any) -> None:
        super().__init__(
            uvicorn.Config(app, ws="none", lifespan="off", log_config=None, access_log=False, **options)
        )
        self._on_ready: Callable[[str], None] = lambda _: None

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """See `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listening from here on."""
        await super().startup(sockets)
        for bound in sockets or []:
            self._on_ready(_url(bound))

    async def answer(self, bound: socket.socket, on_ready: Callable[[str], None]) -> None:
        """Answer calls there, until `stop`; `on_ready` gets the base URL as soon as that is so."""
        self._on_ready = on_ready
        await self.serve([bound])

    def stop(self) -> None:
        """End soon."""
        self.should_exit = True


def serve(server: HttpServer, bound: socket.socket, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the base URL once it answers. Main thread only."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.answer(bound, on_ready)

    asyncio.run(run())


@contextmanager
def running(server: HttpServer, bound: socket.socket) -> Iterator[str]:
    """Served in a thread of this process, for tests; yields the base URL."""
    ready: SimpleQueue[str] = SimpleQueue()
    thread = threading.Thread(target=lambda: asyncio.run(server.answer(bound, ready.put)), name="serving")
    thread.start()
    try:
        yield ready.get(timeout=10)
    finally:
        server.stop()
        thread.join()


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket with its port, bound before anything else so that a taken one fails at once with OSError.

    The protocol is named because asyncio turns Nagle off only where it is: a large request would take 40 ms
    longer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def _url(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
