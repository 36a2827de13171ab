"""The server of the webhooks: the writer at work beside it, and bounds on callers."""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from bulk_dispatch import http_server
from bulk_dispatch.ledger import Ledger
from bulk_dispatch.routing import Route
from bulk_dispatch.stages.receipts import take
from bulk_dispatch.webhooks.access import endpoints
from bulk_dispatch.webhooks.app import WebhookApp
from bulk_dispatch.webhooks.batch_writer import PATIENCE, Writer

log = logging.getLogger(__name__)

KEEP_ALIVE = 75  # seconds of an idle connection
HEAD_SECONDS = 5.0  # for the head of a first request to arrive
HEAD_MOST = 65_536  # bytes of it
CONNECTIONS = 2000  # at once; more are turned away
GRACE = 10  # seconds for answers under way: longer than anybody waits for a commit


@dataclass(frozen=True, slots=True)
class BindAddress:
    """Where to listen, and which proxies are believed when they say who called: addresses and networks, by
    commas."""

    host: str = "127.0.0.1"
    port: int = 8900
    trusted_proxies: str = "127.0.0.1"
    patience: float = PATIENCE  # seconds that a call waits for its commit


class _Protocol(HttpToolsProtocol):
    """uvicorn's, with bounds on the head of a first request: a caller that holds connections without one
    would close the door to all others."""

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


class _Server(http_server.HttpServer):
    """The webhooks, and its writer at work."""

    def __init__(self, app: WebhookApp, writer: Writer, trusted_proxies: str) -> None:
        super().__init__(
            app,
            http=_Protocol,  # httptools: twice as fast, and it reads on after an early answer
            log_level="error",  # a line for each bad request is for whoever wants to fill the disk
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=trusted_proxies,
            limit_concurrency=CONNECTIONS,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=GRACE,
        )
        self._writer = writer
        self._door = app

    async def answer(self, bound: socket.socket, on_ready: Callable[[str], None]) -> None:
        """The writer outlives the last call; then the door says whom it turned away."""
        async with self._writer:
            await super().answer(bound, on_ready)
        self._door.tell()


def serve(
    ledger: Ledger, routes: Mapping[str, Route], place: BindAddress, on_ready: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the base URL once it answers. Main thread only.

    Raises SettingsError for a route whose endpoint cannot be, OSError if the address is taken.
    """
    server = _server(ledger, routes, place)
    with http_server.bound_socket(place.host, place.port) as bound:
        http_server.serve(server, bound, on_ready)


@contextmanager
def running(ledger: Ledger, routes: Mapping[str, Route], place: BindAddress) -> Iterator[str]:
    """The webhooks in a thread of this process, for tests; yields its base URL."""
    server = _server(ledger, routes, place)
    with http_server.bound_socket(place.host, place.port) as bound, http_server.running(server, bound) as url:
        yield url


def _server(ledger: Ledger, routes: Mapping[str, Route], place: BindAddress) -> _Server:
    found = endpoints(routes)
    if not found:
        log.warning("no_entrance: no route has `receipts`")
    writer = Writer(partial(take, ledger, routes), place.patience)
    return _Server(WebhookApp(found, writer), writer, place.trusted_proxies)
