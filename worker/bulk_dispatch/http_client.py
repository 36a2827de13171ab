"""Transport: one HTTP exchange, and an honest word about what happened to it.

Every failure of httpx is sorted by one question: can they have it? What is not proven unsent is in doubt.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from functools import cache
from ssl import SSLContext
from typing import Any

import httpcore
import httpx

from bulk_dispatch.content_coding import CodingError, plain
from bulk_dispatch.providers.failures import LOST, NOT_SENT, UNREADABLE, Failure
from bulk_dispatch.providers.interface import Reply, Request

HEADERS = {"User-Agent": "bulk-dispatch-worker", "Accept": "*/*", "Accept-Encoding": "identity"}
REPLY_LIMIT = 16 * 1024 * 1024  # bytes; a thousand reports take a hundred thousand
FRAMES = frozenset({"content-length", "transfer-encoding"})  # headers that tell where an answer ends
KEEPALIVE = timedelta(seconds=20)  # so long a connection may be idle, and be used again

SORTED: dict[type[Exception], Failure] = {
    # No connection was made, or none was free: not a byte of the request left.
    httpx.ConnectTimeout: NOT_SENT,
    httpx.ConnectError: NOT_SENT,  # refused, no route, no such host, TLS failed
    httpx.PoolTimeout: NOT_SENT,
    httpx.UnsupportedProtocol: NOT_SENT,
    httpx.ProxyError: NOT_SENT,  # the tunnel was refused
    httpx.InvalidURL: NOT_SENT,
    # The request was on its way, whole or in part; a part may be enough for them.
    httpx.ReadTimeout: LOST,
    httpx.WriteTimeout: LOST,
    httpx.ReadError: LOST,
    httpx.WriteError: LOST,
    httpx.CloseError: LOST,
    httpx.LocalProtocolError: LOST,
    httpx.RemoteProtocolError: LOST,
    httpx.DecodingError: UNREADABLE,
    httpx.TooManyRedirects: LOST,
}
"""Every way an exchange can fail, and what it means. A guard test fails when httpx grows a new one."""


def steady() -> float:
    """Seconds on a clock that nobody sets, and that goes on while the machine sleeps: who was held still must
    notice it."""
    return time.clock_gettime(_STEADY)


_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # the first is Linux's own


class Transport:
    """A pool of connections to providers, one for the process; safe to share between threads.

    httpx's transport without its client, which is half the work of a small request. Nearly all that it would
    add we must not have: redirects (a redirected POST may be sent twice), cookies (one account's session must
    not travel with another's request), a proxy that the environment happens to name (it would see texts and
    keys).
    """

    def __init__(self, http: httpx.BaseTransport | None = None, clock: Callable[[], float] = steady) -> None:
        self._patience = _Patience(clock)
        self._pools = _Pools(self._patience, http)

    def close(self) -> None:
        """Close the connections."""
        self._pools.close()

    def exchange(
        self,
        request: Request,
        *,
        connect: timedelta,
        whole: timedelta,
        until: float = math.inf,
        keepalive: timedelta = KEEPALIVE,
    ) -> Reply | Failure:
        """Send a request, which may take `whole`, and read its whole answer, which may take `whole` again.

        All of it ends after `connect` + 2 `whole`, whatever they do: a server that drips a byte a second, or
        takes one, does not keep us. Not a byte leaves after `until`, by our clock. It goes over a new
        connection, or one that has been idle for `keepalive` at most.
        """
        timeout = httpx.Timeout(whole.total_seconds(), connect=connect.total_seconds(), pool=5.0).as_dict()
        if not self._patience.begin(connect + 2 * whole, until):
            return NOT_SENT.because(detail="its lease had run out")
        try:
            return self._exchange(request, timeout, keepalive)
        except tuple(SORTED) as problem:
            return _failure(problem)

    def _exchange(
        self, request: Request, timeout: dict[str, float | None], keepalive: timedelta
    ) -> Reply | Failure:
        chunks: list[bytes] = []
        size = 0
        headers = {**HEADERS, **request.headers}
        if not keepalive:
            headers["Connection"] = "close"
        if request.body:
            headers["Content-Length"] = str(len(request.body))
        asked = httpx.Request(
            request.method,
            request.url,
            content=_once(request.body),
            headers=headers,
            extensions={"timeout": timeout},
        )
        if asked.url.userinfo:
            asked = next(httpx.BasicAuth(asked.url.username, asked.url.password).auth_flow(asked))
        with closing(self._pools.of(keepalive).handle_request(asked)) as response:
            assert isinstance(response.stream, httpx.SyncByteStream)
            for chunk in response.stream:
                chunks.append(chunk)
                size += len(chunk)
                if size > REPLY_LIMIT:
                    return UNREADABLE.because(detail=f"answer longer than {REPLY_LIMIT} bytes")
        return _reply(response.status_code, response.headers, b"".join(chunks))


def _reply(status: int, headers: httpx.Headers, body: bytes) -> Reply | Failure:
    """The answer, made plain if it came compressed. Of what is no good answer anyway the status will do."""
    ended = not headers.keys().isdisjoint(FRAMES)
    try:
        return Reply(status, plain(body, headers.get("content-encoding", ""), REPLY_LIMIT), ended)
    except CodingError as problem:
        if status == 200:
            return UNREADABLE.because(detail=f"the answer {problem}")
        return Reply(status, body, ended)


def _once(body: bytes) -> bytes | Iterator[bytes]:
    """The body, to be read once. httpx leaves a cycle of objects behind an exchange, which only a search for
    garbage frees; what was read to its end is not in it. Else each would keep a thousand messages."""
    return iter((body,)) if body else b""


def _failure(problem: Exception) -> Failure:
    """The failure an exception amounts to. Its text stays out: it can hold the URL."""
    for kind in type(problem).__mro__:
        if kind in SORTED:
            return SORTED[kind].because(detail=type(problem).__name__)
    raise problem  # not in the table: the caller caught too much


# -- the deadline ------------------------------------------------------------------------------------

PIECE = 65536  # bytes written at once: a write of more could go on in many small steps, each in time


class _Patience:
    """How long the exchange of this thread may still wait."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._thread = threading.local()

    def begin(self, whole: timedelta, until: float) -> bool:
        """An exchange begins, and must be over after `whole`, or at `until`. False if that is past."""
        now = self._clock()
        self._thread.deadline = min(now + whole.total_seconds(), until)
        return now < until

    def bound(self, timeout: float | None, late: type[httpcore.TimeoutException]) -> float:
        """The time-out, or what is left if that is less; raises `late` if nothing is."""
        left: float = getattr(self._thread, "deadline", math.inf) - self._clock()
        if left <= 0:
            raise late("the exchange took too long")
        return min(timeout or 60.0, left)


class _Network(httpcore.NetworkBackend):
    """Where the pools get their connections from, with waits that add up.

    httpcore bounds each wait alone, so that a peer which drips its headers, or sips our request, could keep
    an exchange beyond its lease: on the wire while its messages are sent again.
    """

    def __init__(self, patience: _Patience) -> None:
        self._sockets = httpcore.SyncBackend()
        self._patience = patience

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        left = self._patience.bound(timeout, httpcore.ConnectTimeout)
        stream = self._sockets.connect_tcp(host, port, left, local_address, socket_options)
        return _Connection(stream, self._patience)


class _Connection(httpcore.NetworkStream):
    """A connection of such a network."""

    def __init__(self, stream: httpcore.NetworkStream, patience: _Patience) -> None:
        self._stream = stream
        self._patience = patience

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._patience.bound(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), PIECE):
            left = self._patience.bound(timeout, httpcore.WriteTimeout)
            self._stream.write(buffer[start : start + PIECE], left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._patience.bound(timeout, httpcore.ConnectTimeout)
        return _Connection(self._stream.start_tls(ssl_context, server_hostname, left), self._patience)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


# -- the connections ---------------------------------------------------------------------------------


class _Pools:
    """A pool for each length of time that its connections may be idle: httpcore knows one for a whole pool.

    It never uses a connection again that it knows to be closed. But their end, or our request, may be under
    way: a server that hangs up just then has read nothing, and we cannot know that.
    """

    def __init__(self, patience: _Patience, http: httpx.BaseTransport | None) -> None:
        self._patience = patience
        self._given = http
        self._pools: dict[timedelta, httpx.BaseTransport] = {}
        self._lock = threading.Lock()
        self._tls = _tls() if http is None else None

    def of(self, keepalive: timedelta) -> httpx.BaseTransport:
        """The pool whose connections may be idle for so long."""
        if self._given:
            return self._given
        with self._lock:
            if keepalive not in self._pools:
                self._pools[keepalive] = self._pool(keepalive)
            return self._pools[keepalive]

    def close(self) -> None:
        """Close the connections of all."""
        with self._lock:
            for pool in filter(None, [self._given, *self._pools.values()]):
                pool.close()

    def _pool(self, keepalive: timedelta) -> httpx.BaseTransport:
        # It would log addresses, and with some providers these hold credentials.
        logging.getLogger("httpcore").setLevel(logging.WARNING)
        assert self._tls is not None
        return _PooledTransport(
            httpcore.ConnectionPool(
                ssl_context=self._tls,
                max_connections=64,
                max_keepalive_connections=32 if keepalive else 0,
                keepalive_expiry=keepalive.total_seconds(),
                network_backend=_Network(self._patience),
            )
        )


@cache
def _tls() -> SSLContext:
    """The certificates that are trusted, read once a process: it takes longer than many exchanges."""
    return httpx.create_ssl_context(trust_env=False)


class _PooledTransport(httpx.BaseTransport):
    """httpx's requests and answers over a pool of httpcore's, whose network may be chosen: httpx's own
    transport makes its pool itself."""

    def __init__(self, pool: httpcore.ConnectionPool) -> None:
        self._pool = pool

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _renamed():
            answer = self._pool.handle_request(sent)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        self._pool.close()


class _Body(httpx.SyncByteStream):
    """The body of an answer, as it comes."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        with _renamed():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


RENAMED: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.ProxyError: httpx.ProxyError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}
"""What httpcore raises, and httpx's name for it. A guard test fails when httpcore grows a new one."""


@contextmanager
def _renamed() -> Iterator[None]:
    """Raises what httpcore raises as httpx does. What is in no table travels up untouched."""
    try:
        yield
    except tuple(RENAMED) as problem:
        kind = next(kind for kind in type(problem).__mro__ if kind in RENAMED)
        raise RENAMED[kind](str(problem)) from problem
