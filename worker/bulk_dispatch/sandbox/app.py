"""The sandbox over HTTP: the providers' addresses, and beside them the control of the make-believe.

GET  /sandbox/health          {"ok": true}
GET  /sandbox/counts          what was asked, taken, sent twice, refused, pushed, and who was killed
GET  /sandbox/messages/ID     one message by own id, and its state now
GET  /sandbox/deliveries      [[own id, recipient, content digest, times sent], ...]
GET, POST, DELETE /sandbox/faults     the script: shown, replaced by a JSON list, cleared
GET, POST /sandbox/pushes     {provider: URL or null}: who is told of states; those not named stay
POST /sandbox/reset           new accounts: messages, jobs, money, counts, script and journal

`counts`, `messages` and `deliveries` are about all providers, or about one: ?provider=NAME.
"""

import time
from collections.abc import Callable, Sequence
from json import JSONDecodeError
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bulk_dispatch.sandbox.account import Account
from bulk_dispatch.sandbox.counts import counts_of, together
from bulk_dispatch.sandbox.exchange import Exchange
from bulk_dispatch.sandbox.faults import Script
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions, check_listener
from bulk_dispatch.sandbox.provider import Provider
from bulk_dispatch.sandbox.providers import FAMILIES
from bulk_dispatch.sandbox.pushes import Pusher
from bulk_dispatch.sandbox.traffic import Traffic


class Sandbox:
    """All accounts, their script, and the requests that reach them."""

    def __init__(self, options: SandboxOptions, journal: Journal | None) -> None:
        self._providers = [one for opened in FAMILIES for one in opened(options, journal)]
        self._accounts: dict[str, Account[Any]] = {one.account.name: one.account for one in self._providers}
        self._urls = _checked(dict(options.pushes), self._providers)
        self._journal = journal
        self._revive()
        self._script = Script(self._providers, options.may_kill)
        self._traffic = Traffic()
        self.pusher = Pusher(self._providers, self._script)
        self._exchanges = {
            one.name: Exchange(one, self._script, Traffic(self._traffic), self.pusher, options.parallel_limit)
            for one in self._providers
        }
        self._listen(self._urls)

    def app(self) -> Starlette:
        """What a web server serves."""
        doors = [
            Route(path, exchange.serve, methods=list(methods))
            for exchange in self._exchanges.values()
            for path, methods in exchange.provider.paths.items()
        ]
        app = Starlette(
            routes=[
                *doors,
                Route("/sandbox/health", self.health),
                Route("/sandbox/counts", self.counts),
                Route("/sandbox/messages/{own_id:int}", self.message),
                Route("/sandbox/deliveries", self.deliveries),
                Route("/sandbox/faults", self.show_faults, methods=["GET"]),
                Route("/sandbox/faults", self.put_faults, methods=["POST"]),
                Route("/sandbox/faults", self.clear_faults, methods=["DELETE"]),
                Route("/sandbox/pushes", self.show_pushes, methods=["GET"]),
                Route("/sandbox/pushes", self.put_pushes, methods=["POST"]),
                Route("/sandbox/reset", self.reset, methods=["POST"]),
            ]
        )
        app.router.redirect_slashes = False
        return app

    def stop_waiting(self) -> None:
        """From now on nobody is kept waiting, so that a stop does not take as long as the slowest fault."""
        for exchange in self._exchanges.values():
            exchange.patience.set()

    async def health(self, _: Request) -> Response:
        """Answers as soon as the sandbox listens."""
        return JSONResponse({"ok": True})

    async def counts(self, request: Request) -> Response:
        """Messages since the account is new; requests, sessions at once, pushes since the process started."""
        chosen = self._chosen(request)
        if not chosen:
            return _no_provider()
        now = time.time()
        each = {
            one.name: counts_of(one, self._exchanges[one.name].traffic, self.pusher.tallies[one.name], now)
            for one in chosen
        }
        if "provider" in request.query_params:
            return JSONResponse(each[chosen[0].name])
        peak, kills = self._traffic.peak, self._traffic.kills
        return JSONResponse(
            {**together(list(each.values())), "peak_parallel": peak, "kills": kills, "by_provider": each}
        )

    async def message(self, request: Request) -> Response:
        """404 if this own id was never taken."""
        for one in self._chosen(request):
            record = one.account.by_own_id(request.path_params["own_id"])
            if record is not None:
                return JSONResponse(record.shown(time.time()))
        return JSONResponse({"error": "no message was taken under this own id"}, status_code=404)

    async def deliveries(self, request: Request) -> Response:
        """For comparing with the books of whoever used us."""
        chosen = self._chosen(request)
        if not chosen:
            return _no_provider()
        return JSONResponse([row for one in chosen for row in one.account.deliveries(one.name)])

    async def show_faults(self, _: Request) -> Response:
        """The rules as put, with "seen" and "hits"."""
        return JSONResponse(self._script.shown())

    async def put_faults(self, request: Request) -> Response:
        """400 with a sentence if a word of it is unknown; then the old script stays."""
        return await _put(request, self._script.replace, self._script.shown)

    async def clear_faults(self, _: Request) -> Response:
        """From now on nothing goes wrong."""
        self._script.replace([])
        return JSONResponse([])

    async def show_pushes(self, _: Request) -> Response:
        """Provider to URL or null."""
        return JSONResponse(self._listeners())

    async def put_pushes(self, request: Request) -> Response:
        """400 with a sentence if it names no provider; then nothing changes."""
        return await _put(request, lambda put: self._listen(_checked(put, self._providers)), self._listeners)

    async def reset(self, _: Request) -> Response:
        """Forget everything but the options. Who is kept waiting by a fault is let go."""
        self.stop_waiting()
        if self._journal:
            self._journal.clear()
        for account in self._accounts.values():
            account.forget()
            account.push_urls.clear()
        self._script.replace([])
        self._traffic.clear()
        for exchange in self._exchanges.values():
            exchange.forget()
        self.pusher.forget()
        self._listen(self._urls)
        return JSONResponse({"ok": True})

    def _revive(self) -> None:
        for line, written in enumerate(self._journal.entries() if self._journal else (), 1):
            match written:
                case [str(name), *entry] if name in self._accounts:
                    self._accounts[name].revive(entry)
                case _:
                    raise RuntimeError(f"the journal's line {line}: not written by this sandbox")

    def _listen(self, urls: dict[str, str | None]) -> None:
        for one in self._providers:
            if one.name not in urls:
                continue
            url = urls[one.name]
            if url is None:
                one.account.push_urls.pop(one.name, None)
            else:
                one.account.push_urls[one.name] = url

    def _listeners(self) -> dict[str, str | None]:
        return {one.name: one.account.push_urls.get(one.name) for one in self._providers if one.receipts}

    def _chosen(self, request: Request) -> Sequence[Provider]:
        wanted = request.query_params.get("provider")
        return [one for one in self._providers if wanted in {None, one.name}]


def _no_provider() -> Response:
    return JSONResponse({"error": "there is no such provider"}, status_code=404)


def _checked(urls: object, providers: Sequence[Provider]) -> dict[str, str | None]:
    """Raises ValueError with a sentence."""
    if not isinstance(urls, dict):
        raise ValueError("pushes are an object: provider to URL or null")
    names = [one.name for one in providers if one.receipts]
    for name, url in urls.items():
        if name not in names:
            raise ValueError(f"{name!r} pushes nothing; there are {', '.join(names)}")
        if url is not None:
            check_listener(name, url)
    return urls


async def _put(request: Request, put: Callable[[Any], None], shown: Callable[[], object]) -> Response:
    try:
        put(await request.json())
    except (JSONDecodeError, UnicodeDecodeError):
        return JSONResponse({"error": "this is not JSON"}, status_code=400)
    except ValueError as problem:
        return JSONResponse({"error": str(problem)}, status_code=400)
    return JSONResponse(shown())
