"""The server of the door: a bound socket, one uvicorn, and how it ends."""

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from worker.ledger import Ledger
from worker.lines import Line
from worker.stages.receipts import take
from worker.web.door import Door
from worker.web.entrances import entrances
from worker.web.writer import PATIENCE, Writer

log = logging.getLogger(__name__)

KEEP_ALIVE = 75  # seconds of an idle connection
HEAD_SECONDS = 5.0  # for the head of a first request to arrive
HEAD_MOST = 65_536  # bytes of it
CONNECTIONS = 2000  # at once; more are turned away
GRACE = 10  # seconds for answers under way: longer than anybody waits for a commit


@dataclass(frozen=True, slots=True)
class Place:
    """Where to listen, and which proxies are believed when they say who called: addresses and networks, by
    commas."""

    host: str = "127.0.0.1"
    port: int = 8900
    trusted_proxies: str = "127.0.0.1"
    patience: float = PATIENCE  # seconds that a call waits for its commit


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with bounds on the head of a first request: who holds connections without one would close
    the door to all others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hang up unless a head comes soon."""
        super().connection_made(transport)
        self._head = 0
        self._hurry: asyncio.TimerHandle | None = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Count what is not yet a request."""
        super().data_received(data)
        if self._hurry:
            self._head += len(data)
            if self._head > HEAD_MOST:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        """It came."""
        self._calm()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """They hung up first."""
        self._calm()
        super().connection_lost(exc)

    def _calm(self) -> None:
        if self._hurry:
            self._hurry.cancel()
            self._hurry = None


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves signals to us: it would raise them again at the end."""

    def __init__(self, door: Door, writer: Writer, place: Place, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                door,
                http=_Protocol,  # httptools: twice as fast, and it reads on after an early answer
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # a line for each bad request is for whoever wants to fill the disk
                access_log=False,  # the path is a secret
                server_header=False,
                proxy_headers=True,
                forwarded_allow_ips=place.trusted_proxies,
                limit_concurrency=CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._writer = writer
        self._on_listening = on_listening

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """See `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listening from here on."""
        await super().startup(sockets)
        self._on_listening()

    async def run_on(self, bound: socket.socket) -> None:
        """Serve, with the writer at work."""
        async with self._writer:
            await self.serve([bound])

    def stop(self) -> None:
        """End soon."""
        self.should_exit = True


def serve(ledger: Ledger, lines: Mapping[str, Line], place: Place, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the base URL once it answers. Main thread only.

    Raises SettingsError for a route whose entrance cannot be, OSError if the address is taken.
    """

    async def run(server: _Server, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.run_on(bound)

    with _opened(ledger, lines, place, on_ready) as (server, bound):
        asyncio.run(run(server, bound))


@contextmanager
def running(ledger: Ledger, lines: Mapping[str, Line], place: Place) -> Iterator[str]:
    """The door in a thread of this process, for tests; yields its base URL."""
    ready: SimpleQueue[str] = SimpleQueue()
    with _opened(ledger, lines, place, ready.put) as (server, bound):
        thread = threading.Thread(target=lambda: asyncio.run(server.run_on(bound)), name="web")
        thread.start()
        try:
            yield ready.get(timeout=10)
        finally:
            server.stop()
            thread.join()


@contextmanager
def _opened(
    ledger: Ledger, lines: Mapping[str, Line], place: Place, on_ready: Callable[[str], None]
) -> Iterator[tuple[_Server, socket.socket]]:
    """The server and the socket it will listen on: bound first, so that a taken port fails at once."""
    found = entrances(lines)
    if not found:
        log.warning("no_entrance: no route has `receipts`")
    writer = Writer(partial(take, ledger, lines), place.patience)
    with closing(_bound_socket(place.host, place.port)) as bound:
        host, port = bound.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        yield _Server(Door(found, writer), writer, place, lambda: on_ready(url)), bound


def _bound_socket(host: str, port: int) -> socket.socket:
    """A socket with its port. The protocol is named because asyncio turns Nagle off only where it is."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
