"""Whoever listens for states: an HTTP server that writes down what it was told, and answers as it is told."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.sandbox.customer import eventually


@dataclass(frozen=True)
class Told:
    """One call."""

    path: str
    media_type: str
    body: bytes


@dataclass
class Listener:
    """`answer` may be replaced: call to status and body."""

    url: str = ""
    answer: Callable[[Told], tuple[int, bytes]] = lambda _: (200, b"OK")
    calls: list[Told] = field(default_factory=list)
    connections: int = 0

    def wait_for(self, calls: int) -> list[Told]:
        """Until there were so many."""
        return eventually(lambda: list(self.calls), lambda seen: len(seen) >= calls)


@contextmanager
def listening(port: int = 0) -> Iterator[Listener]:
    """A listener on the loopback address."""
    listener = Listener()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer is one write

        def setup(self) -> None:
            super().setup()
            listener.connections += 1

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told = Told(self.path, self.headers["Content-Type"], body)
            listener.calls.append(told)
            status, answer = listener.answer(told)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Nothing: an address may be secret."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True  # idle connections stay open on the sandbox's side

    with Server(("127.0.0.1", port), Handler) as server:
        listener.url = f"http://127.0.0.1:{server.server_address[1]}/told/secret?a=1"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield listener
        finally:
            server.shutdown()
            thread.join()
