"""One HTTP connection to a listener, kept alive. Thousands of small calls a second go through a few of them;
a whole HTTP client would spend more on one call than the sandbox on a message."""

import asyncio
import ssl
from urllib.parse import SplitResult, urlsplit

import h11

PATIENCE = 5.0  # seconds for an answer
LARGEST_ANSWER = 2**20
BLOCK = 2**16


class Unanswered(Exception):
    """Nobody there, no HTTP, too slow, or hung up: the listener may have it or not."""


class Line:
    """POSTs, one after the other."""

    def __init__(self) -> None:
        self._open: tuple[asyncio.StreamReader, asyncio.StreamWriter, h11.Connection] | None = None
        self._place: tuple[str, str] | None = None

    async def post(self, url: str, body: bytes, media_type: str) -> tuple[int, bytes]:
        """Status and body; raises `Unanswered`. A connection that was idle may be gone: then by a new one."""
        target = urlsplit(url)
        place = (target.scheme, target.netloc)
        if self._place != place:
            self.hang_up()
        was_open = self._open is not None
        try:
            return await self._post(target, body, media_type)
        except Unanswered:
            if not was_open:
                raise
        return await self._post(target, body, media_type)

    def hang_up(self) -> None:
        """The next call opens it again."""
        if self._open:
            self._open[1].close()
        self._open = None

    async def _post(self, target: SplitResult, body: bytes, media_type: str) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(target, body, media_type)
        except (OSError, h11.ProtocolError, EOFError, asyncio.IncompleteReadError) as problem:
            self.hang_up()
            raise Unanswered(type(problem).__name__) from None
        except asyncio.CancelledError:
            self.hang_up()
            raise

    async def _exchange(self, target: SplitResult, body: bytes, media_type: str) -> tuple[int, bytes]:
        reader, writer, http = self._open or await self._connect(target)
        address = (target.path or "/") + (f"?{target.query}" if target.query else "")
        headers = [
            ("Host", target.netloc.rpartition("@")[2]),
            ("Content-Type", media_type),
            ("Content-Length", str(len(body))),
        ]
        head = http.send(h11.Request(method="POST", target=address, headers=headers))
        said = [head, http.send(h11.Data(data=body)), http.send(h11.EndOfMessage())]
        writer.write(b"".join(part for part in said if part))
        status, answer = 0, b""
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(BLOCK))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                answer += event.data
                if len(answer) > LARGEST_ANSWER:
                    raise EOFError
            elif isinstance(event, h11.EndOfMessage):
                break
            elif isinstance(event, h11.ConnectionClosed):
                raise EOFError
        if http.our_state is h11.DONE and http.their_state is h11.DONE:
            http.start_next_cycle()
        else:
            self.hang_up()
        return status, answer

    async def _connect(
        self, target: SplitResult
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, h11.Connection]:
        secure = ssl.create_default_context() if target.scheme == "https" else None
        port = target.port or (443 if secure else 80)
        reader, writer = await asyncio.open_connection(target.hostname, port, ssl=secure)
        self._place = (target.scheme, target.netloc)
        self._open = reader, writer, h11.Connection(h11.CLIENT)
        return self._open
