"""How soon a lone urgent message is at the provider's socket: from before `enqueue` to the first byte of its
request there, with nothing else to do and beside a campaign on the same route."""

import re
import socket
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from bulk_dispatch.client import Dispatcher
from bulk_dispatch.domain.message import Lane, Message
from tests.benchmarks.installation import (
    ROUTE,
    STUCK,
    Installation,
    await_workers,
    sending,
    workers,
    working,
    write_campaign,
)
from tests.waiting import eventually

PROBE = re.compile(rb"\+38067\d{7}")  # numbers that no campaign has
WARM_UP = 20
PAUSE = 0.05  # seconds between two probes
SLOWEST = 500  # messages a second of a campaign
LOST = 30.0  # seconds after which a probe is missed


@dataclass
class Relay:
    """Stands before the sandbox, passes every byte on, and notes when a probe came by."""

    target: int
    listening: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0)))
    seen: dict[str, float] = field(default_factory=dict)
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.listening.getsockname()[1])

    def serve(self) -> None:
        """Until it is closed."""
        with suppress(OSError):
            while True:
                near, _ = self.listening.accept()
                far = socket.create_connection(("127.0.0.1", self.target))
                for one, other in ((near, far), (far, near)):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def await_probe(self, recipient: str) -> float:
        """When it came by, by `perf_counter`."""
        with self.news:
            if not self.news.wait_for(lambda: recipient in self.seen, LOST):
                raise RuntimeError("an urgent message did not arrive")
            return self.seen[recipient]

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            tail = b""  # a number may come in two parts
            while part := source.recv(1 << 18):
                now = time.perf_counter()
                if probes := PROBE.findall(tail + part):
                    with self.news:
                        for probe in probes:
                            self.seen.setdefault(probe.decode(), now)
                        self.news.notify_all()
                sink.sendall(part)
                tail = part[-12:]
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so great a share of them does not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


@dataclass(frozen=True)
class Latency:
    """Milliseconds, of so many probes."""

    probes: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """Of what was measured."""
        told = [one * 1000 for one in seconds]
        return cls(len(told), statistics.median(told), percentile(told, 0.99), max(told))


@contextmanager
def probing(place: Installation) -> Iterator["Prober"]:
    """Workers behind a relay, and who sends probes through them."""
    place.migrate()
    relay = Relay(place.port)
    threading.Thread(target=relay.serve, daemon=True).start()
    place.write_routes(relay.port)
    dispatcher = Dispatcher(place.settings)
    try:
        with working(place, workers(place)):
            await_workers(place)
            prober = Prober(place, dispatcher, relay)
            prober.probe(WARM_UP)
            yield prober
    finally:
        dispatcher.close()
        relay.listening.close()


@dataclass
class Prober:
    """Sends one urgent message after another."""

    place: Installation
    dispatcher: Dispatcher
    relay: Relay
    number: int = 0

    def idle(self, count: int) -> Latency:
        """With nothing else to do."""
        return Latency.of(self.probe(count))

    def beside(self, campaign: int) -> Latency:
        """While a campaign of so many messages is sent: from when the provider has the first of them until it
        has all."""
        file = write_campaign(self.place.folder / "beside.csv", campaign)
        before, found = self.number, list[float]()
        with sending(self.place, file):
            eventually(lambda: self.place.taken() > before)
            end = time.monotonic() + STUCK + campaign / SLOWEST
            while not found or self.place.taken() < campaign + self.number:
                if time.monotonic() > end:
                    raise RuntimeError("the campaign beside urgent messages came to no end")
                found += self.probe(40)
        return Latency.of(found)

    def probe(self, count: int) -> list[float]:
        """Seconds that each of so many took. They leave at a fixed pace, however late the last one is, and
        count from the instant they were due: who waits for a slow one would not see how many it held up."""
        began = time.perf_counter()
        due = {self._send(began + place * PAUSE): began + place * PAUSE for place in range(count)}
        return [self.relay.await_probe(recipient) - instant for recipient, instant in due.items()]

    def _send(self, instant: float) -> str:
        """One, at this instant of `perf_counter`. Returns its recipient."""
        time.sleep(max(0.0, instant - time.perf_counter()))
        self.number += 1
        message = Message(
            client_id=f"probe-{self.number}",
            recipient=f"+38067{self.number:07d}",
            sender="Shop",
            text=f"Your code is {self.number}",
            lane=Lane.URGENT,
            route=ROUTE,
        )
        self.dispatcher.enqueue(message)
        return message.recipient
