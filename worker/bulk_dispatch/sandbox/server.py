"""The door of the sandbox: who is told of states while it serves, and how it ends."""

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext

from bulk_dispatch import http_server
from bulk_dispatch.sandbox.app import Sandbox
from bulk_dispatch.sandbox.journal import Journal
from bulk_dispatch.sandbox.options import SandboxOptions
from bulk_dispatch.sandbox.outcomes import Mix, Timings
from bulk_dispatch.sandbox.wire import CuttableProtocol

__all__ = ["Mix", "SandboxOptions", "Timings", "running", "serve"]

GRACE = 3  # seconds for answers under way


class _Server(http_server.HttpServer):
    """The sandbox, and its pushes at work."""

    def __init__(self, sandbox: Sandbox, keep_alive: float) -> None:
        super().__init__(
            sandbox.app(),
            http=CuttableProtocol,
            log_level="warning",
            timeout_keep_alive=keep_alive,
            timeout_graceful_shutdown=GRACE,
        )
        self._sandbox = sandbox

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Nobody can call before it pushes."""
        self._sandbox.pusher.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Those a fault keeps waiting get their answer now."""
        self._sandbox.stop_waiting()
        await super().shutdown(sockets)
        await self._sandbox.pusher.stop()


def serve(options: SandboxOptions, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the base URL once it answers. Main thread only.

    Raises OSError if the address is taken, RuntimeError if the journal is not one or another
    sandbox uses it.
    """
    with _opened(options) as (server, bound):
        http_server.serve(server, bound, on_ready)


@contextmanager
def running(options: SandboxOptions) -> Iterator[str]:
    """A sandbox in a thread of this process, for tests; yields its base URL."""
    with _opened(options) as (server, bound), http_server.running(server, bound) as url:
        yield url


@contextmanager
def _opened(options: SandboxOptions) -> Iterator[tuple[_Server, socket.socket]]:
    """The server and the socket it will listen on: bound first, so that a taken port fails at once."""
    with (
        http_server.bound_socket(options.host, options.port) as bound,
        closing(Journal(options.journal)) if options.journal else nullcontext() as journal,
    ):
        yield _Server(Sandbox(options, journal), options.keep_alive), bound
