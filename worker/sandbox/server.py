"""The door of the sandbox: a bound socket, one uvicorn, and how it ends."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from queue import SimpleQueue

import uvicorn

from worker.sandbox.app import Sandbox
from worker.sandbox.journal import Journal
from worker.sandbox.mix import Mix, Timings
from worker.sandbox.options import SandboxOptions
from worker.sandbox.wire import CuttableProtocol

__all__ = ["Mix", "SandboxOptions", "Timings", "running", "serve"]

# Longer than any client keeps an idle connection, so that we never close one that is just being used again:
# that would look like a dropped request nobody scripted.
KEEP_ALIVE = 120
GRACE = 3  # seconds for answers under way


class _Server(uvicorn.Server):
    """uvicorn that says when it listens, and leaves signals to us: it would raise them again at the end."""

    def __init__(self, sandbox: Sandbox, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app(),
                http=CuttableProtocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,  # an address line may carry an own id
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=GRACE,
            )
        )
        self._sandbox = sandbox
        self._on_listening = on_listening

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """See `serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listening from here on."""
        await super().startup(sockets)
        self._sandbox.pusher.start()
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Those a fault keeps waiting get their answer now."""
        self._sandbox.stop_waiting()
        await super().shutdown(sockets)
        await self._sandbox.pusher.stop()

    def stop(self) -> None:
        """End `serve` soon."""
        self.should_exit = True


def serve(options: SandboxOptions, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `on_ready` gets the base URL once it answers. Main thread only.

    Raises OSError if the address is taken, RuntimeError if the journal is not one or another
    sandbox uses it.
    """

    async def run(server: _Server, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        await server.serve([bound])

    with _opened(options, on_ready) as (server, bound):
        asyncio.run(run(server, bound))


@contextmanager
def running(options: SandboxOptions) -> Iterator[str]:
    """A sandbox in a thread of this process, for tests; yields its base URL."""
    ready: SimpleQueue[str] = SimpleQueue()
    with _opened(options, ready.put) as (server, bound):
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), name="sandbox")
        thread.start()
        try:
            yield ready.get(timeout=10)
        finally:
            server.stop()
            thread.join()


@contextmanager
def _opened(
    options: SandboxOptions, on_ready: Callable[[str], None]
) -> Iterator[tuple[_Server, socket.socket]]:
    """The server and the socket it will listen on: bound first, so that a taken port fails at once."""
    with ExitStack() as stack:
        bound = stack.enter_context(bound_socket(options.host, options.port))
        host, port = bound.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        journal = stack.enter_context(closing(Journal(options.journal))) if options.journal else None
        yield _Server(Sandbox(options, journal), lambda: on_ready(url)), bound


def bound_socket(host: str, port: int) -> socket.socket:
    """A socket with its port.

    The protocol is named because asyncio turns Nagle off only where it is: a large request would take 40 ms
    longer.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound
