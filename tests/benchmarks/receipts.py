"""How many receipts a second come through the door: python -m tests.benchmarks.receipts

Real servers, `worker web` as a process, and a provider as another one, all on this machine. Every message is
sent and named before; then all receipts come in, shuffled, over kept connections, and each call is answered
after its commit. `web_us` and `postgres_us` are processor time a receipt. Ends with one JSON line.
"""

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import text

from bulk_dispatch.domain.status import Status
from bulk_dispatch.ledger import Ledger, receipts
from bulk_dispatch.ledger.migrate import upgrade
from bulk_dispatch.ledger.transitions import Transition, settle
from bulk_dispatch.local.servers.ephemeral import throwaway
from bulk_dispatch.local.servers.server_pair import Addresses
from tests.benchmarks.installation import spent
from tests.factories import messages
from tests.ledger.book import LOOK, Book

SECRET = "a-secret-of-some-length"
CONNECTIONS = 64
RECEIPTS = 30_000  # a case
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/receipts")
ROUTES = f"""
[routes.form]
provider = "smartswitch"
url = "http://127.0.0.1:1"
login = "shop"
password = "secret"
webhook_secret = "{SECRET}"
webhook_per_second = 1000000

[routes.xml]
provider = "webcom-xml"
url = "http://127.0.0.1:1"
login = "shop"
password = "secret"
webhook_secret = "{SECRET}"
webhook_per_second = 1000000
"""


@dataclass(frozen=True)
class Case:
    """One way to push."""

    name: str
    route: str
    package_items: int
    states: int  # a call
    known: bool = True  # whether the messages are named before

    def body(self, ids: Sequence[str]) -> bytes:
        """What is pushed for these."""
        if self.route == "form":
            return urlencode({"message_id": ids[0], "message_state": "delivered"}).encode()
        states = "".join(
            f'<state id_sms="{one}" time="2031-03-04 09:31:07" sms="deliver">deliver</state>' for one in ids
        )
        return f'<?xml version="1.0" encoding="utf-8"?><response>{states}</response>'.encode()

    def call(self, ids: Sequence[str]) -> bytes:
        """The whole request."""
        kind = "application/x-www-form-urlencoded" if self.route == "form" else "text/xml; charset=utf-8"
        body = self.body(ids)
        head = (
            f"POST /receipts/{self.route}/{SECRET} HTTP/1.1\r\nHost: worker\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        return head.encode() + body


CASES = (
    Case("form, one a call", "form", 50, 1),
    Case("XML, 100 a call", "xml", 500, 100),
    Case("XML, one a call", "xml", 500, 1),
    Case("form, of messages not known yet", "form", 50, 1, known=False),
)


# -- the provider, a process of its own


class _Line(asyncio.Protocol):
    """One kept connection: a call, its answer, the next call."""

    def __init__(self, calls: Iterator[bytes], taken: list[float], ended: asyncio.Future[None]) -> None:
        self._calls, self._taken, self._ended = calls, taken, ended
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        call = next(self._calls, None)
        if call is None:
            self._transport.close()
            self._ended.set_result(None)
            return
        self._began = time.perf_counter()
        self._transport.write(call)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        head, found, body = self._heard.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(body) >= length:
            assert head.startswith(b"HTTP/1.1 200"), head
            self._taken.append(time.perf_counter() - self._began)
            self._heard = b""
            self._next()


async def _push(port: int, calls: Sequence[bytes]) -> tuple[float, list[float]]:
    loop = asyncio.get_running_loop()
    waiting, taken = iter(calls), list[float]()
    ends = [loop.create_future() for _ in range(CONNECTIONS)]
    began = time.perf_counter()
    for end in ends:
        await loop.create_connection(lambda end=end: _Line(waiting, taken, end), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*ends)
    return time.perf_counter() - began, taken


def provide() -> None:
    """Read a case, a port and ids from stdin, push, and print how long it took."""
    told = json.load(sys.stdin)
    case = Case(**told["case"])
    ids = told["ids"]
    calls = [case.call(ids[at : at + case.states]) for at in range(0, len(ids), case.states)]
    seconds, taken = asyncio.run(_push(told["port"], calls))
    sys.stdout.write(json.dumps({"seconds": seconds, "taken": sorted(taken)}))


# -- the rest


def _send(book: Book, case: Case, count: int, first: int) -> list[str]:
    """Messages sent on the case's route; their names, shuffled."""
    names: list[str] = []
    everything = [
        one.__class__.from_dict({**one.as_dict(), "client_id": f"{case.name}-{one.client_id}"})
        for one in messages(count, route=case.route)
    ]
    for at in range(0, count, 1000):
        book.enqueue(everything[at : at + 1000])
    while package := book.claim(route=case.route, items=case.package_items).package:
        moves = [Transition(item.id, package.id, Status.SENT) for item in package.items]
        named = [(str(first + item.id), item.id) for item in package.items]
        with book.ledger.begin() as connection:
            settle(connection, moves, {package.id: LOOK})
            if case.known:
                receipts.name_messages(connection, case.route, named)
        names += [name for name, _ in named]
    random.Random(1).shuffle(names)
    return names


@contextmanager
def _web(addresses: Addresses, folder: Path) -> Iterator[tuple[int, int]]:
    """`worker web`; its port and its process id."""
    routes = folder / "routes.toml"
    routes.write_text(ROUTES, "utf-8")
    environment = {
        **os.environ,
        "WORKER_DATABASE_URL": addresses.database_url,
        "WORKER_REDIS_URL": addresses.redis_url,
        "WORKER_ROUTES": str(routes),
        "WORKER_LOG_LEVEL": "WARNING",
    }
    command = [sys.executable, "-m", "bulk_dispatch", "web", "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as web:
        try:
            assert web.stderr is not None
            yield port_of(web.stderr), web.pid
        finally:
            web.terminate()


def port_of(said: Iterable[str]) -> int:
    """Where `worker web` listens. Before it says so it may have remarks about the servers."""
    for line in said:
        if told := ADDRESS.search(line):
            return int(told[1])
    raise RuntimeError("worker web ended before it listened")


@dataclass(frozen=True)
class Found:
    """What a case took. `web_us`, `postgres_us`: processor time a receipt, of `worker web` and behind it."""

    case: str
    receipts: int
    per_second: int
    calls_per_second: int
    p50_ms: float
    p99_ms: float
    web_us: int
    postgres_us: int
    commits: int
    ended: int


def measure(folder: Path, count: int) -> Iterator[Found]:
    """Every case, on servers of its own in a folder."""
    with throwaway(folder) as (_, addresses):
        ledger = Ledger.connect(addresses.database_url)
        upgrade(ledger)
        with _web(addresses, folder) as web:
            for case in CASES:
                yield _measure(Book(ledger), case, count, web)
        ledger.close()


def _measure(book: Book, case: Case, count: int, web: tuple[int, int]) -> Found:
    names = _send(book, case, count, first=10**12)
    with book.ledger.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    told = json.dumps({"case": vars(case), "ids": names, "port": web[0]})
    with urllib.request.urlopen(f"http://127.0.0.1:{web[0]}/health", timeout=10) as healthy:
        healthy.read()  # connected now
    processes = [row.pid for row in book.rows("SELECT pid FROM pg_stat_activity")]
    before, postgres_before = spent(web[1]), sum(map(spent, processes))
    commits, ended = _commits(book), _ended(book)
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.receipts", "--provide"],
        input=told,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    taken = found["taken"]
    return Found(
        case=case.name,
        receipts=count,
        per_second=round(count / found["seconds"]),
        calls_per_second=round(len(taken) / found["seconds"]),
        p50_ms=round(taken[len(taken) // 2] * 1000, 1),
        p99_ms=round(taken[len(taken) * 99 // 100] * 1000, 1),
        web_us=round((spent(web[1]) - before) / count * 1e6),
        postgres_us=round((sum(map(spent, processes)) - postgres_before) / count * 1e6),
        commits=_commits(book) - commits,
        ended=_ended(book) - ended,
    )


def _ended(book: Book) -> int:
    found: int = book.one("SELECT count(*) FROM messages WHERE status = 'delivered'")
    return found


def _commits(book: Book) -> int:
    found: int = book.one("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()")
    return found


def main() -> None:
    """Measure every case, print a line each, and all as one JSON object."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--receipts", type=int, default=RECEIPTS, help="a case")
    options.add_argument("--provide", action="store_true", help="be the provider")
    chosen = options.parse_args()
    if chosen.provide:
        provide()
        return
    everything = []
    with tempfile.TemporaryDirectory(prefix="worker-bench-", ignore_cleanup_errors=True) as path:
        for found in measure(Path(path), chosen.receipts):
            everything.append(asdict(found))
            sys.stderr.write("  ".join(f"{name} {value}" for name, value in everything[-1].items()) + "\n")
    sys.stdout.write(json.dumps({"receipts": everything}) + "\n")


if __name__ == "__main__":
    main()
