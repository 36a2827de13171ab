"""Transport: one HTTP exchange, and an honest word about what happened to it.

Every failure of httpx is sorted by one question: can they have it? What is not proven unsent is in doubt.
"""

import time
from collections.abc import Callable
from datetime import timedelta

import httpx

from worker.providers.contract import LOST, NOT_SENT, UNREADABLE, Failure, Reply, Request

REPLY_LIMIT = 16 * 1024 * 1024  # bytes; a thousand verdicts take a hundred thousand

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


class Transport:
    """A pool of connections to providers, one for the process; safe to share between threads."""

    def __init__(
        self, client: httpx.Client | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client or httpx.Client(
            limits=httpx.Limits(max_connections=64, max_keepalive_connections=32, keepalive_expiry=20),
            headers={"User-Agent": "bulk-dispatch-worker", "Accept-Encoding": "identity"},
            follow_redirects=False,  # a redirected POST may be sent twice
            trust_env=False,  # proxies would see texts and keys; set one in the route's url if you mean it
        )
        self._clock = clock

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def exchange(self, request: Request, *, connect: timedelta, whole: timedelta) -> Reply | Failure:
        """Send a request, which may take `whole`, and read its whole answer, which may take `whole` again.

        The deadline holds for the answer as a whole: a server that drips a byte a second does not keep us.
        """
        timeout = httpx.Timeout(whole.total_seconds(), connect=connect.total_seconds(), pool=5.0)
        try:
            return self._exchange(request, timeout, connect + whole)
        except tuple(SORTED) as problem:
            return _failure(problem)

    def _exchange(self, request: Request, timeout: httpx.Timeout, whole: timedelta) -> Reply | Failure:
        deadline = self._clock() + whole.total_seconds()
        chunks: list[bytes] = []
        size = 0
        with self._client.stream(
            request.method, request.url, content=request.body, headers=dict(request.headers), timeout=timeout
        ) as response:
            for chunk in response.iter_raw():
                chunks.append(chunk)
                size += len(chunk)
                if size > REPLY_LIMIT:
                    return UNREADABLE.because(detail=f"answer longer than {REPLY_LIMIT} bytes")
                if self._clock() > deadline:
                    return LOST.because(detail="the answer took too long")
            return Reply(response.status_code, b"".join(chunks))


def _failure(problem: Exception) -> Failure:
    """The failure an exception amounts to. Its text stays out: it can hold the URL."""
    for kind in type(problem).__mro__:
        if kind in SORTED:
            return SORTED[kind].because(detail=type(problem).__name__)
    raise problem  # not in the table: the caller caught too much
