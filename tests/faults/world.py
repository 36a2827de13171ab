"""One installation to be ill-treated: servers behind proxies, a sandbox, a fleet, and an application."""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from sqlalchemy import text

from tests.faults import fleet, servers
from tests.faults.fleet import Fleet
from tests.faults.proxy import Proxy
from tests.faults.servers import Servers
from tests.faults.tally import Tally, count, times, times_by_digest
from tests.waiting import eventually
from worker.cli import fleet as processes
from worker.dispatcher import Dispatcher, EnqueueError
from worker.ledger import Connection, Ledger, LedgerError
from worker.ledger.audit import Finding, audit
from worker.ledger.governor import open_route
from worker.ledger.migrate import upgrade
from worker.ledger.transitions import enqueue
from worker.settings import Settings
from worker.sms.message import Lane, Message
from worker.sms.status import FINAL, Status

SWIFT = """\
provider = "alphasms-xml"
key = "sandbox-key"
status_items = 1000
connect_timeout = "500ms"
timeout = "1s"
lease = "8s"
retry_first = "200ms"
retry_max = "1s"
pause_first = "200ms"
pause_max = "1s"
attempts = 20
poll_first = "300ms"
poll_max = "1s"
job_first = "200ms"
job_max = "500ms"
doubt_first = "200ms"
doubt_wait = "4s"
doubt_wait_job = "4s"
"""
"""A route whose every wait is short. Doubt lasts longer than any request takes to reach the provider: the
slowest of the cases lies three seconds before it is taken."""

REQUEST = 1000  # bytes; no request that sends is shorter
BOTH = ("sync", "async")
HELD = "held"  # its doubt is left to people
ROUTES = (*BOTH, "far", HELD)


@dataclass
class Batch:
    """The messages of one case."""

    name: str
    messages: list[Message]
    ends: frozenset[Status]  # where nothing more is to be waited for
    handed_over: list[Message] = field(default_factory=list)


@dataclass
class World:
    """Everything a case needs. Numbers go on over cases, so that contents never repeat."""

    servers: Servers
    settings: Settings
    url: str  # of the sandbox
    provider: Fleet
    provider_proxy: Proxy  # what the route "far" goes through
    fleet: Fleet
    ledger: Ledger
    dispatcher: Dispatcher
    log: Callable[[str], None]
    _fleets: list[Fleet] = field(default_factory=list)
    _serial: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # -- the application

    def batch(self, name: str, size: int, routes: Sequence[str] = BOTH, **changes: Any) -> Batch:
        """New messages, over the routes in turn."""
        held = HELD in routes and not changes.get("in_doubt")
        messages = [self._message(name, routes, changes) for _ in range(size)]
        return Batch(name, messages, FINAL | {Status.IN_DOUBT} if held else FINAL)

    def _message(self, name: str, routes: Sequence[str], changes: dict[str, Any]) -> Message:
        number = next(self._serial)
        values = {
            "client_id": f"{name}-{number}",
            "recipient": f"+38093{number:07d}",
            "sender": "Faults",
            "text": f"{name} {number}",
            "route": routes[number % len(routes)],
            "campaign": name,
        }
        return Message(**{**values, **changes})

    def enqueue(self, batch: Batch, part: slice = slice(None)) -> None:
        """Hand a batch over, or a part of it, as an application does. Raises EnqueueError as it would."""
        chosen = batch.messages[part]
        self.dispatcher.enqueue_many(chosen)
        batch.handed_over += chosen

    def fill_ledger(self, size: int) -> None:
        """Make the ledger large: so many messages to somebody on the stop list."""
        with self.ledger.begin() as connection:
            connection.execute(text("INSERT INTO stop_list VALUES ('+380930000000') ON CONFLICT DO NOTHING"))
        filler = self.batch("filler", size, recipient="+380930000000").messages
        for start in range(0, size, 5000):
            with self.ledger.begin() as connection:
                enqueue(connection, filler[start : start + 5000])

    # -- what can be seen

    def status_counts(self, batch: Batch) -> Counter[Status]:
        """How many messages of a batch stand where; nothing while PostgreSQL is away."""
        return Counter(self.statuses(batch).values())

    def statuses(self, batch: Batch) -> dict[str, Status]:
        """Where each message of a batch stands; nothing while PostgreSQL is away."""
        try:
            with self.ledger.begin() as connection:
                return _statuses(connection, batch.name)
        except LedgerError:
            return {}

    def await_status(self, batch: Batch, *wanted: Status, least: int = 1, within: float = 30) -> None:
        """Until so many messages of a batch stand in one of these statuses."""
        eventually(
            lambda: sum(self.status_counts(batch)[status] for status in wanted) >= least, within, every=0.01
        )

    def await_settled(self, batch: Batch, within: float) -> None:
        """Until every message handed over has its end, or is in doubt where a person is to decide."""
        eventually(lambda: self.settled_of(batch) >= len(batch.handed_over), within, every=0.2)

    def settled_of(self, batch: Batch) -> int:
        """How many of a batch have their end, or are in doubt where a person is to decide."""
        counts = self.status_counts(batch)
        return sum(counts[status] for status in batch.ends)

    def await_lock_waiter(self, statement: str) -> None:
        """Until such a statement of the fleet stands before a lock."""
        eventually(
            lambda: any(statement in one for one in self.servers.waiting_for_locks()), within=30, every=0.01
        )

    def probe(self, routes: Sequence[str], within: float) -> float:
        """Seconds until a lone urgent message on each route has left: then it flows again."""
        started = time.monotonic()
        batch = self.batch(f"probe-{next(self._serial)}", len(routes), routes, lane=Lane.URGENT)
        eventually(lambda: self._handed_over(batch), within, every=0.1)
        eventually(lambda: self._left(batch) == len(routes), within, every=0.02)
        return time.monotonic() - started

    def _handed_over(self, batch: Batch) -> bool:
        try:
            self.enqueue(batch)
        except EnqueueError:
            return False  # an application would try again, too
        return True

    def _left(self, batch: Batch) -> int:
        counts = self.status_counts(batch)
        return sum(counts[status] for status in batch.ends | {Status.SENT})

    # -- the provider

    def provider_answers(self) -> bool:
        """Whether the sandbox is there."""
        try:
            return httpx.get(f"{self.url}/sandbox/health", timeout=1).is_success
        except httpx.TransportError:
            return False

    def unread_by_provider(self) -> bool:
        """Whether a request lies in the provider's sockets; the end of a connection alone counts as 1."""
        port = f":{urlsplit(self.url).port:04X}"
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        return any(row[1].endswith(port) and int(row[4].partition(":")[2], 16) > REQUEST for row in rows)

    def script(self, *rules: dict[str, Any]) -> None:
        """Make the sandbox misbehave."""
        httpx.post(f"{self.url}/sandbox/faults", json=list(rules), timeout=10).raise_for_status()

    def met(self) -> int:
        """How often the script has come up."""
        found = httpx.get(f"{self.url}/sandbox/faults", timeout=10).json()
        return sum(rule["hits"] for rule in found)

    def await_met(self, times: int = 1) -> None:
        """Until the script has come up so often."""
        eventually(lambda: self.met() >= times, within=60, every=0.02)

    def resume(self, *routes: str) -> None:
        """What an operator does once the trouble with an account is over."""
        with self.ledger.begin() as connection:
            for route in routes:
                open_route(connection, route)

    # -- what came of it

    def tally(self, batch: Batch, forgiven: frozenset[Status] = frozenset()) -> Tally:
        """Everything counted; call it when the batch has settled."""
        with self.ledger.snapshot() as connection:
            statuses = _statuses(connection, batch.name)
            broken = audit(connection)
        delivered = self._delivered()
        doubtful = [client_id for client_id, status in statuses.items() if status is Status.IN_DOUBT]
        listed = self.listed() if doubtful else frozenset()
        return count(batch.handed_over, statuses, delivered, listed, _breaches(broken), forgiven)

    def taken(self, batch: Batch) -> set[str]:
        """The client ids that the provider has, as it says itself."""
        delivered = self._delivered()
        return {message.client_id for message in batch.messages if times(message, delivered)}

    def _delivered(self) -> Mapping[str, int]:
        return times_by_digest(httpx.get(f"{self.url}/sandbox/deliveries", timeout=60).json())

    def listed(self) -> frozenset[str]:
        """The client ids that `worker resolve` names as in doubt."""
        found = self.command("resolve", "--json", "--limit", "0")
        return frozenset(message["client_id"] for message in found["messages"])

    def command(self, *arguments: str) -> Any:
        """What a command of ours printed as JSON. Its stderr is the error, should it fail."""
        env = {**processes.environment(self.settings), "WORKER_DATABASE_URL": self.servers.ours.database_url}
        done = subprocess.run(
            (sys.executable, "-m", "worker", *arguments), env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"worker {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout)

    @property
    def fleet_kills(self) -> int:
        """Processes we have killed with -9 so far."""
        return sum(one.kills for one in (self.provider, self.fleet, *self._fleets))

    def sandbox_kills(self, since: int = 0) -> int:
        """Callers the sandbox has killed, less `since`; it forgets its count when it dies itself."""
        kills = int(httpx.get(f"{self.url}/sandbox/counts", timeout=10).json()["kills"])
        return kills - since if kills >= since else kills

    def repair(self) -> None:
        """Whatever a case has left broken works again."""
        for proxy in (self.servers.postgres_proxy, self.servers.redis_proxy, self.provider_proxy):
            proxy.mend()
        self.servers.revive()
        eventually(self.provider_answers, within=30)
        self.script()
        self.resume(*ROUTES)

    @contextmanager
    def second_fleet(self, **how: Any) -> Iterator[Fleet]:
        """More workers and another beat on the same servers; see `fleet.running`."""
        with fleet.running(self.settings, self.log, suffix="2", **how) as second:
            self._fleets.append(second)
            second.await_ready()
            yield second


def _breaches(broken: Sequence[Finding]) -> list[str]:
    return [f"{row.kind} {row.name}: {row.wrong}" for finding in broken for row in finding.breaches]


def _statuses(connection: Connection, name: str) -> dict[str, Status]:
    rows = connection.execute(
        text("SELECT client_id, status FROM messages WHERE campaign = :name"), {"name": name}
    )
    return {client_id: Status(status) for client_id, status in rows}


def _routes(url: str, through_proxy: str, common: str) -> str:
    """Two routes straight to the sandbox, one through the proxy, one that nobody asks about doubt."""
    held = url.replace("127.0.0.1", "localhost")  # an account may stand in the file once a mode and address
    tables = {
        "sync": f'url = "{url}"\nmode = "sync"',
        "async": f'url = "{url}"\nmode = "async"',
        "far": f'url = "{through_proxy}"\nmode = "sync"',
        "held": f'url = "{held}"\nmode = "sync"\nin_doubt = "hold"',
    }
    return "\n".join(f"[routes.{name}]\n{common}{table}\n" for name, table in tables.items())


@contextmanager
def running(
    parent: Path,
    log: Callable[[str], None],
    *,
    pool: str = "threads",
    package_items: int = 200,
    parallel: int = 4,
) -> Iterator[World]:
    """A world in a folder of its own under `parent`, ready for work; gone afterwards. `log` is told what its
    processes say."""
    with ExitStack() as stack:
        pair = stack.enter_context(servers.running(parent))
        port = processes.free_port()
        url = f"http://127.0.0.1:{port}"
        proxy = stack.enter_context(Proxy(("127.0.0.1", port)))
        extent = f"package_items = {package_items}\nparallel = {parallel}\n"
        settings = _settings(pair, _routes(url, f"http://127.0.0.1:{proxy.port}", SWIFT + extent))
        ledger = stack.enter_context(closing(Ledger.connect(pair.ours.database_url)))
        upgrade(ledger)
        dispatcher = stack.enter_context(closing(Dispatcher(settings)))
        journal = pair.folder / "sandbox.journal"
        provider = stack.enter_context(fleet.sandbox_running(settings, port, journal, log))
        workers = stack.enter_context(fleet.running(settings, log, pool=pool))
        world = World(pair, settings, url, provider, proxy, workers, ledger, dispatcher, log)
        workers.await_ready()
        eventually(world.provider_answers, within=30)
        yield world


def _settings(pair: Servers, routes: str) -> Settings:
    path = pair.folder / "routes.toml"
    path.write_text(routes, "utf-8")
    return Settings(
        database_url=pair.fleet.database_url,
        redis_url=pair.fleet.redis_url,
        broker_url=pair.fleet.broker_url,
        routes=path,
        data_dir=pair.folder,
        log_level="INFO",
    )
