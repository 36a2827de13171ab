"""One installation to be ill-treated: servers behind proxies, a sandbox, a fleet, and an application."""

import itertools
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy import TextClause, text

from bulk_dispatch.client import Dispatcher, EnqueueError
from bulk_dispatch.config.settings import Settings, child_environment
from bulk_dispatch.domain.doubt_policy import SETTLING
from bulk_dispatch.domain.message import Lane, Message
from bulk_dispatch.domain.status import FINAL, Status
from bulk_dispatch.intake import Intake
from bulk_dispatch.ledger import Connection, Ledger, LedgerError
from bulk_dispatch.ledger.audit import Finding, audit
from bulk_dispatch.ledger.migrate import upgrade
from bulk_dispatch.ledger.queries import RouteRow, route_rows
from bulk_dispatch.ledger.routes import open_route
from bulk_dispatch.ledger.suppressions import suppress
from bulk_dispatch.ledger.transitions import enqueue
from bulk_dispatch.monitoring.heartbeat import read_heartbeats
from bulk_dispatch.providers import PROVIDERS
from bulk_dispatch.sandbox.routes import SANDBOX_ROUTES, Table, routes_file, sandbox_pushes
from tests.faults import fleet, servers
from tests.faults.fleet import Fleet
from tests.faults.provider import Provider
from tests.faults.proxy import Proxy
from tests.faults.servers import Servers
from tests.faults.tally import Pardon, Tally, Told, count, times
from tests.ports import held_ports
from tests.waiting import eventually

SWIFT: Table = {
    "connect_timeout": "500ms",
    "timeout": "1s",
    "lease": "5s",
    "lease_margin": "1s",
    "retry_first": "200ms",
    "retry_max": "1s",
    "pause_first": "200ms",
    "pause_max": "1s",
    "attempts": 20,
    "poll_first": "300ms",
    "poll_max": "1s",
    "job_first": "200ms",
    "job_max": "500ms",
    "in_doubt_first": "200ms",
    "in_doubt_wait": "4s",
    "in_doubt_wait_job": "4s",
    "clock_tolerance": "2s",  # all clocks are one; see cases.collisions
}
"""Every wait is short. Doubt lasts longer than any request takes to reach the provider: the slowest of the
cases lies three seconds before it is taken."""

ACCOUNTS = {name.removeprefix("sandbox-"): own for name, own in SANDBOX_ROUTES.items()}
"""A route for each dialect, and for each mode of it."""

BOTH = ("sync", "async")
EVERY = tuple(ACCOUNTS)
AT_MOST_ONCE = frozenset(  # where doubt cannot be settled by asking
    name for name, own in ACCOUNTS.items() if PROVIDERS[str(own["provider"])].doubt not in SETTLING
)
UNASKED = {"horizon": "15s"}  # what no receipt comes for is unconfirmed, soon
HELD = "held"  # its doubt is left to people
ROUTES = (*EVERY, "far", HELD)
ENDS = FINAL | {Status.UNCONFIRMED}


@dataclass
class Batch:
    """The messages of one case."""

    name: str
    messages: list[Message]
    held: frozenset[str] = frozenset()  # routes whose doubt is left to people: no more to be waited for
    handed_over: list[Message] = field(default_factory=list)
    over_at: float | None = None  # when the fault ended, by the monotonic clock

    def over(self) -> None:
        """From here on nothing is broken any more; without this word, when the act returns."""
        self.over_at = time.monotonic()


@dataclass
class World:
    """An installation, and an application that uses it. Numbers go on over cases: contents never repeat."""

    servers: Servers
    settings: Settings
    provider: Provider
    fleet: Fleet
    web: Fleet  # the door for receipts
    door: str  # its address
    ledger: Ledger
    dispatcher: Dispatcher
    said: list[str]  # by all processes, a line each
    hear: Callable[[str], None]
    _fleets: list[Fleet] = field(default_factory=list)
    _serial: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    # -- the application

    def batch(self, name: str, size: int, routes: Sequence[str] = EVERY, **changes: Any) -> Batch:
        """New messages, over the routes in turn."""
        held = frozenset() if changes.get("in_doubt") else frozenset({HELD}) | AT_MOST_ONCE
        return Batch(name, [self._message(name, routes, changes) for _ in range(size)], held)

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

    def await_flow(self, routes: Sequence[str], within: float) -> None:
        """Until a lone message in each lane of each route has come to its end: every worker does its work."""
        batches = [self.batch(f"probe-{next(self._serial)}", len(routes), routes, lane=lane) for lane in Lane]
        for batch in batches:
            eventually(partial(self._handed_over, batch), within, every=0.1)
        for batch in batches:
            self.await_settled(batch, within)

    def _handed_over(self, batch: Batch) -> bool:
        try:
            self.enqueue(batch)
        except EnqueueError:
            return False  # an application would try again, too
        return True

    def fill_ledger(self, size: int) -> None:
        """Make the ledger large: so many messages to somebody on the suppression list."""
        with self.ledger.begin() as connection:
            suppress(connection, ["+380930000000"])
        filler = self.batch("filler", size, recipient="+380930000000").messages
        for start in range(0, size, 5000):
            with self.ledger.begin() as connection:
                enqueue(connection, filler[start : start + 5000])

    # -- what can be seen

    def statuses(self, batch: Batch) -> dict[str, Status]:
        """Where each message of a batch stands; nothing while PostgreSQL is away."""
        return {client_id: told.status for client_id, told in self.books(batch).items()}

    def books(self, batch: Batch) -> dict[str, Told]:
        """What is told of each message of a batch; nothing while PostgreSQL is away."""
        try:
            with self.ledger.begin() as connection:
                return _told(connection, batch.name)
        except LedgerError:
            return {}

    def status_counts(self, batch: Batch) -> Counter[Status]:
        """How many messages of a batch stand where; nothing while PostgreSQL is away."""
        try:
            with self.ledger.begin() as connection:
                rows = connection.execute(_COUNTED, {"name": batch.name}).all()
        except LedgerError:
            return Counter()
        return Counter({Status(status): count for status, count in rows})

    def await_status(self, batch: Batch, *wanted: Status, least: int = 1, within: float = 30) -> None:
        """Until so many messages of a batch stand in one of these statuses."""
        eventually(
            lambda: sum(self.status_counts(batch)[status] for status in wanted) >= least, within, every=0.01
        )

    def await_entered(self, batch: Batch, status: Status, *, least: int = 1, times: int = 1) -> None:
        """Until so many messages of a batch have entered a status so often, however soon they left it."""
        values = {"name": batch.name, "status": status.value, "times": times}
        eventually(lambda: self._number(_ENTERED, values) >= least, within=60, every=0.02)

    def doubted(self, batch: Batch) -> int:
        """How many of a batch were in doubt, if only for a moment."""
        return self._number(_ENTERED, {"name": batch.name, "status": Status.IN_DOUBT.value, "times": 1})

    def settled_of(self, batch: Batch) -> int:
        """How many of a batch have their end, or are in doubt where a person is to decide."""
        return self._number(_SETTLED, {"name": batch.name, "ends": [*ENDS], "held": [*batch.held]})

    def _number(self, statement: TextClause, values: dict[str, Any]) -> int:
        """A count out of the ledger; 0 while PostgreSQL is away."""
        try:
            with self.ledger.begin() as connection:
                return int(connection.execute(statement, values).scalar_one())
        except LedgerError:
            return 0

    def await_settled(self, batch: Batch, within: float) -> None:
        """Until every message handed over has its end, or is in doubt where a person is to decide."""
        eventually(lambda: self.settled_of(batch) >= len(batch.handed_over), within, every=0.1)

    def await_lock_waiter(self, statement: str) -> None:
        """Until such a statement of the fleet stands before a lock."""
        eventually(
            lambda: any(statement in one for one in self.servers.waiting_for_locks()), within=30, every=0.01
        )

    def await_said(self, process: str, words: str, since: int) -> None:
        """Until a process has said something, after the line of that number."""
        eventually(
            lambda: any(line.startswith(process) and words in line for line in self.said[since:]), within=30
        )

    def door_answers(self) -> bool:
        """Whether receipts get into the ledger."""
        try:
            return httpx.get(f"{self.door}/health", timeout=5).is_success
        except httpx.TransportError:
            return False

    def await_left(self, batch: Batch) -> None:
        """Until no message of a batch waits to leave."""
        eventually(lambda: self._number(_LEFT, {"name": batch.name}) >= len(batch.handed_over), within=60)

    def await_stopped(self, *routes: str) -> None:
        """Until the governor has stopped these routes."""
        eventually(lambda: self.stopped() >= set(routes))

    def stopped(self) -> set[str]:
        """The routes that the governor has stopped."""
        return {row.name for row in self._routes() if row.state == "stopped"}

    def _routes(self) -> list[RouteRow]:
        with self.ledger.begin() as connection:
            return route_rows(connection)

    def pids(self) -> dict[str, int]:
        """The processes of ours that run, by name."""
        return {**self.web.supervisor.pids(), **self.fleet.supervisor.pids()}

    def fleet_holds(self, *names: str) -> bool:
        """Whether each of these workers has a step in hand, by what it last said of itself."""
        with closing(Intake.connect(self.servers.ours.redis_url)) as intake:
            _, heartbeats = read_heartbeats(intake)
        return {heartbeat.node.partition("@")[0] for heartbeat in heartbeats if heartbeat.active}.issuperset(
            names
        )

    # -- an operator

    def resume(self, *routes: str) -> None:
        """What is done once the trouble with an account is over, and with it all calls that met it: one that
        ends later would stop its route again."""
        eventually(lambda: not any(row.on_the_wire for row in self._routes() if row.name in routes))
        with self.ledger.begin() as connection:
            for route in routes:
                open_route(connection, route)

    def command(self, *arguments: str, codes: Sequence[int] = (0,)) -> Any:
        """What a command of ours printed as JSON. Its stderr is the error, if it ends with another code."""
        command = self._command(*arguments)
        done = subprocess.run(command, env=self._own, capture_output=True, text=True, check=False)
        assert done.returncode in codes, f"worker {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout)

    @staticmethod
    def _command(*arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", "bulk_dispatch", *arguments)

    @property
    def _own(self) -> dict[str, str]:
        """The environment of our own commands, which reach the ledger past the proxies."""
        return {**child_environment(self.settings), "WORKER_DATABASE_URL": self.servers.ours.database_url}

    def cut_short(self, *arguments: str, when: Callable[[], None]) -> None:
        """A command of ours, killed -9 after `when` has returned."""
        command = self._command(*arguments)
        with subprocess.Popen(command, env=self._own, stdout=subprocess.DEVNULL) as process:
            try:
                when()
            finally:
                self.fleet.kill_process(psutil.Process(process.pid))

    def repair(self) -> None:
        """Whatever a case has left broken works again."""
        for proxy in (self.servers.postgres_proxy, self.servers.redis_proxy, self.provider.proxy):
            proxy.mend()
        self.servers.revive()
        eventually(self.provider.answers, within=30)
        eventually(self.door_answers, within=30)
        self.provider.script()
        self.resume(*ROUTES)

    # -- what came of it

    def tally(self, batch: Batch, pardon: Pardon) -> Tally:
        """Everything counted; call it when the batch has settled."""
        with self.ledger.snapshot() as connection:
            told = _told(connection, batch.name)
            broken = audit(connection)
        doubtful = any(one.status is Status.IN_DOUBT for one in told.values())
        return count(
            batch.handed_over,
            told,
            self.provider.delivered(),
            listed=self._listed() if doubtful else frozenset(),
            unbalanced=_breaches(broken),
            pardon=pardon,
        )

    def taken(self, batch: Batch) -> set[str]:
        """The client ids that the provider has, as it says itself."""
        delivered = self.provider.delivered()
        return {message.client_id for message in batch.messages if times(message, delivered)}

    def _listed(self) -> frozenset[str]:
        """The client ids that `worker resolve` names as in doubt."""
        found = self.command("resolve", "--json", "--limit", "0")
        return frozenset(message["client_id"] for message in found["messages"])

    @property
    def kills(self) -> int:
        """Processes we have killed with -9 so far."""
        return sum(one.kills for one in (self.provider.process, self.fleet, self.web, *self._fleets))

    @contextmanager
    def second_fleet(self, **how: Any) -> Iterator[Fleet]:
        """More workers and another beat on the same servers; see `fleet.running`."""
        with fleet.running(self.settings, self.hear, suffix="2", **how) as second:
            self._fleets.append(second)
            second.await_ready()
            yield second


_SETTLED = text("""
    SELECT count(*) FROM messages WHERE campaign = :name
    AND (status = ANY(CAST(:ends AS text[]))
         OR (status = 'in_doubt' AND route = ANY(CAST(:held AS text[]))))
""")
_LEFT = text("SELECT count(*) FROM messages WHERE campaign = :name AND status NOT IN ('queued', 'sending')")
_ENTERED = text("""
    SELECT count(*) FROM messages m WHERE m.campaign = :name
    AND (SELECT count(*) FROM events e WHERE e.message_id = m.id AND e.to_status = :status) >= :times
""")
_COUNTED = text("SELECT status, count(*) FROM messages WHERE campaign = :name GROUP BY status")
_TOLD = text("""
    SELECT m.client_id, m.status, EXISTS (
        SELECT FROM events e WHERE e.message_id = m.id AND e.to_status = 'sent'
    ), (SELECT coalesce(code, '') FROM events e WHERE e.message_id = m.id ORDER BY id DESC LIMIT 1)
    FROM messages m WHERE m.campaign = :name
""")


def _told(connection: Connection, name: str) -> dict[str, Told]:
    rows = connection.execute(_TOLD, {"name": name})
    return {client_id: Told(Status(status), sent, code) for client_id, status, sent, code in rows}


def _breaches(broken: Sequence[Finding]) -> list[str]:
    return [f"{row.kind} {row.name}: {row.wrong}" for finding in broken for row in finding.breaches]


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
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        log(line)

    with ExitStack() as stack:
        pair = stack.enter_context(servers.running(parent))
        port, door = stack.enter_context(held_ports(2))
        url = f"http://127.0.0.1:{port}"
        proxy = stack.enter_context(Proxy(("127.0.0.1", port)))
        routes = _tables(url, f"http://127.0.0.1:{proxy.port}", package_items, parallel)
        settings = _settings(pair, routes)
        ledger = stack.enter_context(closing(Ledger.connect(pair.ours.database_url)))
        upgrade(ledger)
        dispatcher = stack.enter_context(closing(Dispatcher(settings)))
        journal = pair.folder / "sandbox.journal"
        address = f"http://127.0.0.1:{door}"
        sandbox = stack.enter_context(
            fleet.sandbox_running(settings, port, journal, hear, sandbox_pushes(address, ACCOUNTS))
        )
        provider = Provider(url, sandbox, proxy)
        web = stack.enter_context(fleet.web_running(settings, door, hear))
        workers = stack.enter_context(fleet.running(settings, hear, pool=pool))
        workers.await_ready()
        eventually(provider.answers, within=30)
        yield World(pair, settings, provider, workers, web, address, ledger, dispatcher, said, hear)


def _tables(url: str, through_proxy: str, package_items: int, parallel: int) -> str:
    """A route for each account, one through the proxy, one that nobody asks about doubt."""
    extent: Table = {**SWIFT, "parallel": parallel}
    held = url.replace("127.0.0.1", "localhost")  # an account may stand in the file once a mode and address
    tables: dict[str, dict[str, str | int]] = {
        name: {**own, "url": url, **extent} for name, own in ACCOUNTS.items()
    }
    tables["smartswitch"] |= UNASKED
    tables["http"] |= UNASKED  # an answer that is cut in the id leaves a number that nobody knows
    tables["far"] = {**tables["sync"], "url": through_proxy}
    tables[HELD] = {**tables["sync"], "url": held, "in_doubt": "hold"}
    for name in (*BOTH, "far", HELD):
        tables[name] |= {"package_items": package_items}
    return routes_file(tables)


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
