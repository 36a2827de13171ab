"""The whole way: messages from a file through `worker send`, Celery workers, beat and the sandbox to their
ends; over an empty ledger or a full one, with few processes or many, by this build or another. What it costs
in processor time, disk and memory, and proof that nothing was lost or sent twice meanwhile."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from tests.benchmarks.installation import (
    AS_SHIPPED,
    Installation,
    await_ended,
    await_workers,
    peak_mb,
    sending,
    servers,
    spent,
    spent_by_ended_children,
    workers,
    working,
    write_campaign,
)

Tell = Callable[[int], None]

ENDED = "SELECT count(*), max(finalized_at) FROM messages WHERE id > %s AND finalized_at IS NOT NULL"
"""How many have ended, and when the last one did. All that is known here of a ledger's tables: both builds of
a comparison must have it."""


@dataclass(frozen=True)
class Run:
    """One run. Rates are messages a second, sizes MB of 10^6 bytes."""

    messages: int
    seconds: float
    cpu_s: float  # processor time of our processes and of both servers
    ledger_mb: float  # what these messages added to the database
    wal_mb: float  # and to its write-ahead log
    rss_mb: dict[str, float]  # of each process at its peak

    @property
    def per_second(self) -> float:
        """From the start of `worker send` to the end of the last message."""
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        """Processor time a message, in microseconds."""
        return self.cpu_s / self.messages * 1e6

    @property
    def ledger_mb_per_million(self) -> float:
        """Of the database."""
        return self.ledger_mb / self.messages * 1e6

    @property
    def wal_mb_per_million(self) -> float:
        """Of the write-ahead log."""
        return self.wal_mb / self.messages * 1e6


def run(
    place: Installation, count: int, tell: Tell = lambda _: None, processes: int = AS_SHIPPED, number: int = 0
) -> Run:
    """Send so many messages over the ledger as it is; `number` tells several runs over one apart."""
    place.migrate()
    file = write_campaign(place.folder / "campaign.csv", count, f"campaign-{number}", number * count)
    with place.postgres() as postgres, working(place, workers(place, processes)) as running:
        await_workers(place)
        postgres.execute("SET max_parallel_workers_per_gather = 0")  # what looks is one process, and left out
        [(last,)] = postgres.execute("SELECT coalesce(max(id), 0) FROM messages")
        costs = _Costs(place, postgres)
        before = costs.read(running.pids().values())
        [(began,)] = postgres.execute("SELECT clock_timestamp()")
        with sending(place, file) as producer:
            await_ended(lambda: _ended(postgres, last)[0], count, tell)
            rss = {"send": peak_mb(producer.pid)} if producer.poll() is None else {}
        after = costs.read(running.pids().values())
        rss |= {name: peak_mb(pid) for name, pid in running.pids().items()}
        _, ended = _ended(postgres, last)
        assert ended is not None
        check(place, count * (number + 1))
    cpu_s, ledger_mb, wal_mb = (late - early for late, early in zip(after, before, strict=True))
    return Run(count, (ended - began).total_seconds(), cpu_s, ledger_mb, wal_mb, rss)


def check(place: Installation, count: int) -> None:
    """Each was taken once, and the books balance."""
    place.check(count)
    place.worker("books")  # fails if they do not


@contextmanager
def held_snapshot(place: Installation) -> Iterator[None]:
    """Another session keeps a transaction open that sees the ledger as it is now, as a dump would."""
    with psycopg.connect(place.conninfo) as session:
        session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        session.execute("SELECT 1")
        yield
        session.execute("SELECT 1")  # fails if it has not lived until here


@dataclass(frozen=True)
class _Costs:
    """Read before and after; the sandbox, this process and its session are left out."""

    place: Installation
    postgres: "psycopg.Connection[Any]"

    def read(self, ours: Iterable[int]) -> tuple[float, float, float]:
        """Seconds of processor time, MB of the database, MB of its write-ahead log, so far."""
        theirs = [process for server in servers(self.place).values() for process in server]
        measured = {*ours, *theirs} - {self.postgres.info.backend_pid}
        [(size, written)] = self.postgres.execute(
            "SELECT pg_database_size(current_database()), pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"
        )
        return sum(map(spent, measured)) + spent_by_ended_children(), size / 1e6, float(written) / 1e6


def _ended(postgres: "psycopg.Connection[Any]", after: int) -> tuple[int, datetime | None]:
    [(count, last)] = postgres.execute(ENDED, (after,))
    return int(count), last
