"""The webhooks: an ASGI application. Receipts come to /receipts/ROUTE/SECRET; /health says if they get on.

They come by POST or by GET, as the provider's side is set, and to the address with a slash behind it, too.
A receipt is acknowledged after its commit and not before. Nothing that comes in is logged, nor where it came
in: the address is the secret, and its query names messages. A caller that is turned away is counted.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from starlette.types import Receive, Scope, Send

from bulk_dispatch.providers.failures import Failure
from bulk_dispatch.providers.interface import Push
from bulk_dispatch.webhooks.access import Endpoint, authenticate
from bulk_dispatch.webhooks.batch_writer import RefusedError, Writer

log = logging.getLogger(__name__)

BODY_MOST = 2**20  # bytes of a body
BODY_SECONDS = 10.0  # for it to arrive
BODIES = 1000  # held at once
HELD_MOST = 64 * 2**20  # bytes of all of them
TELLING = 10.0  # seconds between lines in the log about who was turned away


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said. `retry_after`: seconds, if it may be said again."""

    status: int
    body: bytes = field(default=b"", repr=False)
    media_type: str = "text/plain"
    retry_after: int = 0

    def headers(self) -> list[tuple[bytes, bytes]]:
        """As ASGI wants them."""
        found = [
            (b"content-type", self.media_type.encode("latin-1")),
            (b"content-length", b"%d" % len(self.body)),
        ]
        return [*found, (b"retry-after", b"%d" % self.retry_after)] if self.retry_after else found


HEALTHY = Answer(200, b'{"ok": true}', "application/json")
UNHEALTHY = Answer(503, b'{"ok": false}', "application/json", retry_after=1)
NOBODY = Answer(404, b"not found")
NOT_SO = Answer(405, b"method not allowed")
TOO_SLOW = Answer(408, b"too slow")
UNREADABLE = Answer(400, b"cannot be understood")
TOO_LARGE = Answer(413, b"too large")
FAILED = Answer(500, b"failed")
FULL = Answer(503, b"too much at once", retry_after=1)
AWAY = Answer(503, b"cannot be kept now", retry_after=2)


class _GoneError(Exception):
    """They hung up."""


class WebhookApp:
    """The application, for the endpoints there are."""

    def __init__(
        self, endpoints: Mapping[str, Endpoint], writer: Writer, clock: Callable[[], float] = monotonic
    ) -> None:
        self._endpoints = endpoints
        self._writer = writer
        self._turned_away = _RefusalLog(clock)
        self._bodies = self._held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            answer = await self._answer(scope, receive)
        except _GoneError:
            return
        headers = answer.headers()
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        match scope["path"].split("/"):
            case ["", "health"]:
                return HEALTHY if await self._writer.works() else UNHEALTHY
            case ["", "receipts", route, secret] | ["", "receipts", route, secret, ""]:
                endpoint = authenticate(self._endpoints, route, secret, _address(scope))
                if endpoint is not None:
                    return await self._receive(endpoint, scope, receive)
                known = route if route in self._endpoints else "-"  # what else stands there is theirs
                self._turned_away.note("stranger", known)
                return NOBODY
        self._turned_away.note("stranger")
        return NOBODY

    async def _receive(self, endpoint: Endpoint, scope: Scope, receive: Receive) -> Answer:
        """What is answered to somebody who may come in, with one place in the room for the body."""
        if scope["method"] not in ("POST", "GET"):
            return self._refuse(endpoint, NOT_SO)
        if self._bodies >= BODIES:
            return self._refuse(endpoint, FULL)
        self._bodies += 1
        body = bytearray()
        try:
            if refusal := await self._read(body, receive):
                return self._refuse(endpoint, refusal)
            return await self._take(endpoint, _push(scope, body))
        finally:
            self._bodies -= 1
            self._held -= len(body)

    async def _read(self, body: bytearray, receive: Receive) -> Answer | None:
        """Read a body, as far as there is room for it. Returns what to say if there is not."""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                more = True
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        raise _GoneError
                    part, more = message["body"], message["more_body"]
                    if len(body) + len(part) > BODY_MOST:
                        return TOO_LARGE
                    if self._held + len(part) > HELD_MOST:
                        return FULL
                    body += part
                    self._held += len(part)
        except TimeoutError:
            return TOO_SLOW
        return None

    async def _take(self, endpoint: Endpoint, push: Push) -> Answer:
        """Read, count, write, acknowledge."""
        if wait := endpoint.bucket.wait():
            return self._refuse(endpoint, Answer(429, b"too fast", retry_after=wait))
        endpoint.bucket.spend(1)
        try:
            receipts = endpoint.dialect.read_receipts(push)
        except Exception as problem:
            # Without what it says, for that may quote what came in.
            log.error("receipts_crashed route=%s problem=%s", endpoint.route, type(problem).__name__)
            return self._refuse(endpoint, FAILED)
        if isinstance(receipts, Failure):
            return self._refuse(endpoint, UNREADABLE)
        endpoint.bucket.spend(len(receipts) - 1)
        try:
            written = await self._writer.put(endpoint.route, receipts)
        except RefusedError:
            return self._refuse(endpoint, UNREADABLE)
        if not written:
            return self._refuse(endpoint, AWAY)
        said = endpoint.dialect.acknowledge(receipts)
        return Answer(200, said.body, said.media_type)

    def tell(self) -> None:
        """Say at the end who was turned away and is not told of yet."""
        self._turned_away.tell()

    def _refuse(self, endpoint: Endpoint, answer: Answer) -> Answer:
        self._turned_away.note(str(answer.status), endpoint.route)
        return answer


class _RefusalLog:
    """Counts callers that were turned away, and says it now and then: callers must not fill the log."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._counts: Counter[tuple[str, str]] = Counter()
        self._next = 0.0
        self._later: asyncio.TimerHandle | None = None

    def note(self, reason: str, route: str = "-") -> None:
        """One more. What is not said now is said in a while, whether anybody comes again or not."""
        self._counts[reason, route] += 1
        wait = self._next - self._clock()
        if wait <= 0:
            self.tell()
        elif self._later is None:
            self._later = asyncio.get_running_loop().call_later(wait, self.tell)

    def tell(self) -> None:
        """A line for each route and reason."""
        if self._later:
            self._later.cancel()
            self._later = None
        for (reason, name), count in self._counts.items():
            log.warning("receipts_turned_away route=%s reason=%s count=%d", name, reason, count)
        self._counts.clear()
        self._next = self._clock() + TELLING


def _address(scope: Scope) -> str:
    client: tuple[str, int] | None = scope.get("client")
    return client[0] if client else ""


def _push(scope: Scope, body: bytearray) -> Push:
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    kind: Any = next((value for name, value in headers if name == b"content-type"), b"")
    return Push(bytes(body), scope["query_string"].decode("latin-1"), kind.decode("latin-1"))
