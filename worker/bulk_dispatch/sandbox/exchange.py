"""One exchange with one provider, from the head of a request to the end of its answer."""

import asyncio
import time
from contextlib import suppress

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HttpRequest
from starlette.responses import PlainTextResponse, Response

from bulk_dispatch.sandbox.client_processes import Caller, Spared
from bulk_dispatch.sandbox.fault_effects import KILLING, Ending, Misdeed, Moment
from bulk_dispatch.sandbox.faults import Script
from bulk_dispatch.sandbox.kills import Killed, KilledAnswered, KilledAnswering
from bulk_dispatch.sandbox.provider import Call, Provider, Refused, Reply, Request
from bulk_dispatch.sandbox.pushes import Pusher
from bulk_dispatch.sandbox.traffic import Traffic
from bulk_dispatch.sandbox.wire import Cut, Dropped, Truncated, idle_of, transport_of

NOTHING = Reply(b"", "text/plain")  # of what was never looked at


class Exchange:
    """All exchanges with this provider."""

    def __init__(
        self, provider: Provider, script: Script, traffic: Traffic, pusher: Pusher, parallel_limit: int | None
    ) -> None:
        self.provider = provider
        self.traffic = traffic
        self.patience = asyncio.Event()  # set: nobody waits any longer; a reset begins a new one
        self._script = script
        self._pusher = pusher
        self._limit = parallel_limit if provider.throttled else None

    def forget(self) -> None:
        """A new account: whoever still waits belongs to the one that was."""
        self.patience = asyncio.Event()
        self.traffic.clear()

    async def serve(self, request: HttpRequest) -> Response:
        """The provider's address."""
        if request.method not in self.provider.paths[request.url.path]:  # HEAD, which a GET would let in
            return PlainTextResponse("Method Not Allowed", 405)
        with self.traffic.session():
            too_many = self._limit is not None and self.traffic.now > self._limit
            transport = transport_of(request)
            misdeed = self._script.meet_head(self.provider.name)
            if misdeed.ending in KILLING:
                self.traffic.count("unread")
                return await self._fatal(None, misdeed, transport)
            try:
                body = await request.body()
            except ClientDisconnect:
                return Dropped(transport)
            query = request.scope["query_string"]
            call = Call(request.method, request.url.path, query, request.headers, body)
            return await self._exchange(call, too_many, transport, idle_of(request))

    async def _exchange(
        self, call: Call, too_many: bool, transport: asyncio.Transport, idle: float | None
    ) -> Response:
        if too_many:
            assert self.provider.throttled is not None
            self.traffic.count("throttled")
            return _response(self.provider.throttled)
        try:
            asked = self.provider.read(call)
        except Refused as refused:
            self.traffic.count(refused.command)
            return _response(refused.reply)
        self.traffic.count(asked.command)
        misdeed = self._meet(Moment.ASKED, asked, idle)
        if misdeed.ending in KILLING:
            return await self._fatal(asked, misdeed, transport)
        patience = self.patience
        await _wait(misdeed.wait_before, patience)
        if patience is not self.patience:  # a reset in between: this belongs to the account that was
            return Dropped(transport)
        reply = await self._answer(asked, misdeed)
        await _wait(misdeed.wait_after, patience)
        return _ended(misdeed, reply, transport)

    async def _fatal(self, asked: Request | None, misdeed: Misdeed, transport: asyncio.Transport) -> Response:
        """An exchange the caller does not survive. One that must be spared gets 500, and nothing is taken."""
        try:
            caller = Caller.of(transport)
        except Spared as why:
            return PlainTextResponse(f"the caller is spared: {why}", 500)
        reply = await self._answer(asked, misdeed) if asked else NOTHING
        if misdeed.ending is Ending.KILLED:
            return Killed(transport, caller, self.traffic.count_kill)
        late = KilledAnswering if misdeed.ending is Ending.KILLED_ANSWERING else KilledAnswered
        return late(reply.body, reply.media_type, transport, caller, self.traffic.count_kill)

    async def _answer(self, asked: Request, misdeed: Misdeed) -> Reply:
        """What is answered, once what it tells is in the account."""
        reply = NOTHING
        if misdeed.take:
            first = self.provider.account.next_number()
            reply = self._truth(asked, misdeed)
            if self._meet(Moment.TAKEN, asked).early:
                numbers = range(first, self.provider.account.next_number())
                await self._pusher.push_early(self.provider, numbers)
        if misdeed.instead:
            return misdeed.instead(self.provider)
        return misdeed.spoil(reply) if misdeed.spoil else reply

    def _truth(self, asked: Request, misdeed: Misdeed) -> Reply:
        answer = self.provider.answer(asked, misdeed.orders, time.time())
        items = answer.items
        if misdeed.items:
            items = misdeed.items(self.provider, asked.command, items)
        return answer.write(items)

    def _meet(self, moment: Moment, asked: Request, idle: float | None = None) -> Misdeed:
        return self._script.meet(moment, self.provider.name, asked.command, lambda: asked.recipients, idle)


async def _wait(seconds: float, patience: asyncio.Event) -> None:
    if seconds:
        with suppress(TimeoutError):
            await asyncio.wait_for(patience.wait(), seconds)


def _response(reply: Reply) -> Response:
    headers = {"content-encoding": reply.coding} if reply.coding else None
    return Response(reply.body, reply.status, headers=headers, media_type=reply.media_type)


def _ended(misdeed: Misdeed, reply: Reply, transport: asyncio.Transport) -> Response:
    """The answer as it goes out on the wire, or does not."""
    if misdeed.ending is Ending.DROPPED:
        return Dropped(transport)
    if misdeed.ending is Ending.CUT:
        return Cut(reply.body, reply.media_type, transport)
    if misdeed.ending is Ending.TRUNCATED:
        return Truncated(reply.body, reply.media_type, transport)
    return _response(reply)
