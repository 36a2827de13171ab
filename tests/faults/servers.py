"""A PostgreSQL and a Redis of our own, behind proxies, with every way to ill-treat them.

The fleet reaches them over TCP, through proxies that can cut and silence. Whoever watches looks past the
proxies, at the servers' own sockets.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bulk_dispatch.local.servers.ephemeral import throwaway
from bulk_dispatch.local.servers.server import Durability, first_number
from bulk_dispatch.local.servers.server_pair import Addresses, Pair
from bulk_dispatch.local.servers.shared import revive
from tests.faults.proxy import Proxy
from tests.waiting import eventually

UNLIMITED = -1
SEGMENT = 16 * 2**20  # bytes of a WAL segment: PostgreSQL cannot live without room for one


@dataclass(frozen=True)
class Servers:
    """The pair, its proxies, and its addresses: `fleet` for the processes, `ours` for whoever watches."""

    folder: Path
    pair: Pair
    ours: Addresses
    fleet: Addresses
    postgres_proxy: Proxy
    redis_proxy: Proxy

    def revive(self) -> None:
        """Start again what was killed; returns once it answers."""
        revive(self.folder, Durability.KILL, lambda _: None)

    # -- Redis

    @property
    def redis_server(self) -> psutil.Process:
        """The server's process."""
        return psutil.Process(first_number(self.pair.redis.pid_file))

    def client(self, database: int = 0) -> "redis.Redis":
        """A client past the proxy, which asks once and waits. Database 0 is the intake's, 1 the broker's."""
        once = Retry(NoBackoff(), 0)
        path = str(self.pair.redis.socket)
        return redis.Redis(unix_socket_path=path, db=database, socket_timeout=60, retry=once)

    def end_redis(self, number: signal.Signals = signal.SIGKILL) -> None:
        """TERM: it stops as for a restart. KILL: it is killed."""
        _end(self.redis_server, number)

    # -- PostgreSQL

    @property
    def postmaster(self) -> psutil.Process:
        """The parent of all backends."""
        return psutil.Process(first_number(self.pair.postgres.pid_file))

    def end_postgres(self, number: signal.Signals) -> None:
        """INT: a fast restart. QUIT: its children are killed. KILL: the postmaster is."""
        _end(self.postmaster, number)

    def backends(self) -> list[psutil.Process]:
        """The processes that serve the fleet's connections."""
        rows = self.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'worker'")
        return [psutil.Process(pid) for (pid,) in rows]

    def ask(self, statement: str) -> list[Any]:
        """The rows of one statement, as the administrator, past the proxy."""
        with self.administrator() as connection:
            found = connection.execute(statement)
            return list(found) if found.description else []

    def administrator(self) -> "psycopg.Connection[Any]":
        """A connection past the proxy that commits each statement; a context manager."""
        return psycopg.connect(
            host=str(self.pair.place.run_dir), user="postgres", dbname="worker", autocommit=True
        )

    @contextmanager
    def held(self, lock: str) -> Iterator[None]:
        """Hold a lock that others run into: `TABLE journal IN SHARE MODE` stops every write of history."""
        with self.administrator() as connection, connection.transaction():
            connection.execute(f"LOCK {lock}")
            yield

    def waiting_for_locks(self) -> list[str]:
        """The statements of the fleet that stand before a lock."""
        rows = self.ask("""
            SELECT query FROM pg_stat_activity
            WHERE application_name = 'worker' AND wait_event_type = 'Lock'
        """)
        return [query for (query,) in rows]

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """No file grows beyond what the table of messages has now; a WAL segment of 16 MiB still fits."""
        [(size,)] = self.ask("SELECT pg_relation_size('messages')")
        assert size > SEGMENT, "the table is too small to be what fills the disk"
        self._limit_files(size)
        try:
            yield
        finally:
            self._limit_files(UNLIMITED)

    def said_by_postgres(self) -> str:
        """Its log since the last start."""
        return self.pair.postgres.log.read_text(errors="replace")

    def _limit_files(self, octets: int) -> None:
        """Done as the account they run as: limiting somebody else's process takes a right root may lack."""
        account = self.pair.place.account
        for process in (self.postmaster, *self.postmaster.children()):
            limited = subprocess.run(
                ("prlimit", f"--pid={process.pid}", f"--fsize={octets}:"),  # of util-linux; soft alone
                user=account.uid if account else None,
                group=account.gid if account else None,
                check=False,
            )
            assert limited.returncode == 0 or not process.is_running(), "the server cannot be limited"


def _end(process: psutil.Process, number: signal.Signals) -> None:
    process.send_signal(number)
    eventually(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, every=0.01)


@contextmanager
def running(parent: Path) -> Iterator[Servers]:
    """New servers in a folder of their own under `parent`; gone afterwards."""
    with ExitStack() as stack:
        folder, ours = stack.enter_context(throwaway(parent))
        pair = Pair.of(folder, Durability.KILL, lambda _: None)
        postgres = stack.enter_context(Proxy(pair.place.run_dir / ".s.PGSQL.5432"))
        cache = stack.enter_context(Proxy(pair.redis.socket))
        fleet = Addresses(
            f"postgresql+psycopg://postgres@127.0.0.1:{postgres.port}/worker",
            f"redis://127.0.0.1:{cache.port}/0",
            f"redis://127.0.0.1:{cache.port}/1",
        )
        yield Servers(folder, pair, ours, fleet, postgres, cache)
