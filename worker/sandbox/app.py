"""The sandbox over HTTP: the provider's address, and beside it the control of the make-believe.

POST /api/xml.php             AlphaSMS XML (sheet section 1)
GET  /sandbox/health          {"ok": true}
GET  /sandbox/counts          what was asked, taken, sent twice, refused, and who was killed
GET  /sandbox/messages/ID     one message by own id, and its state now
GET  /sandbox/deliveries      [[own id, recipient, content digest, times sent], ...]
GET, POST, DELETE /sandbox/faults     the script: shown, replaced by a JSON list, cleared
POST /sandbox/reset           a new account: messages, jobs, counts, script and journal
"""

import asyncio
import time
from contextlib import suppress
from json import JSONDecodeError

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from worker.sandbox.account import Account
from worker.sandbox.alphasms import Desk
from worker.sandbox.answers import LABEL, document, error
from worker.sandbox.callers import Caller, Spared
from worker.sandbox.codes import RequestError, State
from worker.sandbox.faults import HEAD, Script
from worker.sandbox.journal import Journal
from worker.sandbox.kills import Killed, KilledAnswered, KilledAnswering
from worker.sandbox.misdeeds import KILLING, Ending, Misdeed
from worker.sandbox.options import SandboxOptions
from worker.sandbox.reading import Reader, RequestRefused
from worker.sandbox.reading import Request as Asked
from worker.sandbox.traffic import Traffic
from worker.sandbox.wire import Cut, Dropped, transport_of


class Sandbox:
    """One account, its script, and the requests that reach it."""

    def __init__(self, options: SandboxOptions, journal: Journal | None) -> None:
        self._account = Account(journal)
        self._reader = Reader(options)
        self._desk = Desk(options, self._account)
        self._script = Script(options.may_kill)
        self._traffic = Traffic(options.parallel_limit)
        self._patience = asyncio.Event()  # set: nobody waits any longer; a reset begins a new one

    def app(self) -> Starlette:
        """What a web server serves."""
        return Starlette(
            routes=[
                Route("/api/xml.php", self.xml, methods=["POST"]),
                Route("/sandbox/health", self.health),
                Route("/sandbox/counts", self.counts),
                Route("/sandbox/messages/{own_id:int}", self.message),
                Route("/sandbox/deliveries", self.deliveries),
                Route("/sandbox/faults", self.show_faults, methods=["GET"]),
                Route("/sandbox/faults", self.put_faults, methods=["POST"]),
                Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
                Route("/sandbox/reset", self.reset, methods=["POST"]),
            ]
        )

    def stop_waiting(self) -> None:
        """From now on nobody is kept waiting, so that a stop does not take as long as the slowest fault."""
        self._patience.set()

    async def xml(self, request: Request) -> Response:
        """One exchange with the provider."""
        with self._traffic.session() as too_many:
            transport = transport_of(request)
            misdeed = self._script.meet(HEAD)
            if misdeed.ending in KILLING:
                self._traffic.requests[HEAD.command] += 1
                return self._fatal(HEAD, misdeed, transport)
            try:
                body = await request.body()
            except ClientDisconnect:
                return Dropped(transport)
            return await self._exchange(body, too_many, transport)

    async def _exchange(self, body: bytes, too_many: bool, transport: asyncio.Transport) -> Response:
        if too_many:
            self._traffic.requests["throttled"] += 1
            return Response(error(RequestError.THROTTLE), media_type=LABEL)
        try:
            asked = self._reader.read(body)
        except RequestRefused as refused:
            self._traffic.requests[refused.command] += 1
            return Response(error(refused.code), media_type=LABEL)
        self._traffic.requests[asked.command] += 1
        misdeed = self._script.meet(asked)
        if misdeed.ending in KILLING:
            return self._fatal(asked, misdeed, transport)
        patience = self._patience
        await _wait(misdeed.wait_before, patience)
        if patience is not self._patience:  # a reset in between: this belongs to the account that was
            return Dropped(transport)
        answer = self._answer(asked, misdeed)
        await _wait(misdeed.wait_after, patience)
        return _ended(misdeed, misdeed.body(answer), transport)

    def _fatal(self, asked: Asked, misdeed: Misdeed, transport: asyncio.Transport) -> Response:
        """An exchange the caller does not survive. One that must be spared gets 500, and nothing is taken."""
        try:
            caller = Caller.of(transport)
        except Spared as why:
            return PlainTextResponse(f"the caller is spared: {why}", 500)
        answer = self._answer(asked, misdeed)
        if misdeed.ending is Ending.KILLED:
            return Killed(transport, caller, self._traffic.count_kill)
        late = KilledAnswering if misdeed.ending is Ending.KILLED_ANSWERING else KilledAnswered
        return late(answer, misdeed.media_type, transport, caller, self._traffic.count_kill)

    def _answer(self, asked: Asked, misdeed: Misdeed) -> bytes:
        """The document, once what it tells is in the account."""
        return document(self._desk.answer(asked, misdeed, time.time())) if misdeed.take else b""

    async def health(self, _: Request) -> Response:
        """Answers as soon as the sandbox listens."""
        return JSONResponse({"ok": True})

    async def counts(self, _: Request) -> Response:
        """Messages since the account is new; requests, sessions at once since the process started."""
        account = self._account
        return JSONResponse(
            {
                "requests": dict(self._traffic.requests),
                "taken": account.taken,
                "twice": account.twice,
                "repeats_refused": account.repeats,
                "refused": account.refused,
                "jobs": account.jobs,
                "by_state": account.by_state(time.time()),
                "largest_package": account.largest_package,
                "peak_parallel": self._traffic.peak,
                "kills": self._traffic.kills,
            }
        )

    async def message(self, request: Request) -> Response:
        """404 if this own id was never taken."""
        taken, now = self._account.by_own_id(request.path_params["own_id"]), time.time()
        if taken is None:
            return JSONResponse({"error": "no message was taken under this own id"}, status_code=404)
        end = State(taken.end).name.lower()
        known = now >= taken.known_at
        code = taken.state(now) if known else None
        return JSONResponse({**taken._asdict(), "end": end, "end_code": taken.end, "code": code})

    async def deliveries(self, _: Request) -> Response:
        """For comparing with the books of whoever used us."""
        return JSONResponse(self._account.deliveries())

    async def show_faults(self, _: Request) -> Response:
        """The rules as put, with "seen" and "hits"."""
        return JSONResponse(self._script.shown())

    async def put_faults(self, request: Request) -> Response:
        """400 with a sentence if a word of it is unknown; then the old script stays."""
        try:
            self._script.replace(await request.json())
        except (JSONDecodeError, UnicodeDecodeError):
            return JSONResponse({"error": "this is not JSON"}, status_code=400)
        except ValueError as problem:
            return JSONResponse({"error": str(problem)}, status_code=400)
        return JSONResponse(self._script.shown())

    async def clear_faults(self, _: Request) -> Response:
        """From now on nothing goes wrong."""
        self._script.replace([])
        return JSONResponse([])

    async def reset(self, _: Request) -> Response:
        """Forget everything but the options. Who is kept waiting by a fault is let go."""
        self._patience.set()
        self._patience = asyncio.Event()
        self._account.forget()
        self._script.replace([])
        self._traffic.clear()
        return JSONResponse({"ok": True})


async def _wait(seconds: float, patience: asyncio.Event) -> None:
    if seconds:
        with suppress(TimeoutError):
            await asyncio.wait_for(patience.wait(), seconds)


def _ended(misdeed: Misdeed, body: bytes, transport: asyncio.Transport) -> Response:
    """The answer as it goes out on the wire, or does not."""
    if misdeed.ending is Ending.DROPPED:
        return Dropped(transport)
    if misdeed.ending is Ending.CUT:
        return Cut(body, misdeed.media_type, transport)
    return Response(body, misdeed.status, media_type=misdeed.media_type)
