"""The whole way: messages from a file through `worker send`, Celery workers, beat and the sandbox to their
ends; over an empty ledger or a full one, with few processes or many. What it costs in memory, and proof that
nothing was lost or sent twice meanwhile."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bulk_dispatch.ledger import Ledger
from bulk_dispatch.ledger.queries import books
from tests.benchmarks.installation import (
    AS_SHIPPED,
    ROUTE,
    Installation,
    await_ended,
    await_workers,
    peak_mb,
    sending,
    workers,
    working,
    write_campaign,
)

Tell = Callable[[int], None]


@dataclass(frozen=True)
class Run:
    """One run. Rates are messages a second, sizes MB of 10^6 bytes."""

    messages: int
    seconds: float
    rss_mb: dict[str, float]  # of each process at its peak
    ledger_mb: float  # what these messages added to it

    @property
    def per_second(self) -> float:
        """From the start of `worker send` to the end of the last message."""
        return self.messages / self.seconds


def run(
    place: Installation, count: int, tell: Tell = lambda _: None, processes: int = AS_SHIPPED, number: int = 0
) -> Run:
    """Send so many messages over the ledger as it is; `number` tells several runs over one apart."""
    place.migrate()
    file = write_campaign(place.folder / "campaign.csv", count, f"campaign-{number}", number * count)
    with place.postgres() as postgres, working(place, workers(place, processes)) as running:
        await_workers(place)
        before, size = _last(postgres), _size(postgres)
        [(began,)] = postgres.execute("SELECT clock_timestamp()")
        with sending(place, file) as producer:
            await_ended(lambda: _ended(postgres, before), count, tell)
            rss = {"send": peak_mb(producer.pid)} if producer.poll() is None else {}
        [(ended,)] = postgres.execute("SELECT max(finalized_at) FROM messages WHERE id > %s", (before,))
        rss |= {name: peak_mb(pid) for name, pid in running.pids().items()}
        added = _size(postgres) - size
        check(place, count * (number + 1))
        return Run(count, (ended - began).total_seconds(), rss, added)


def check(place: Installation, count: int) -> None:
    """Each was taken once, and the books balance."""
    place.check(count)
    ledger = Ledger.connect(place.addresses.database_url)
    with ledger.snapshot() as connection:
        found = books(connection)
    ledger.close()
    if not found.balanced:
        raise RuntimeError(f"the books do not balance: {found.unbalanced}")


FILL = (
    """
    INSERT INTO packages (route, lane, state, message_count)
    SELECT %(route)s, 'bulk', 'closed', 1000 FROM generate_series(1, %(count)s / 1000)
    """,
    """
    INSERT INTO messages (client_id, route, lane, kind, campaign, recipient, sender, text,
        segments_estimated, status,
                          package_id, provider_message_id, segments_billed, finalized_at)
    SELECT 'old-' || n, %(route)s, 'bulk', 'sms', 'old', '+38050' || lpad(n::text, 8, '0'), 'Shop',
           'Your order ' || n || ' is ready. See you!', 1, 'delivered',
           1 + (n - 1) / 1000, (10 ^ 9 + n)::bigint::text, 1, now()
    FROM generate_series(1, %(count)s) AS n
    """,
    """
    INSERT INTO journal (package_id, type, from_status, to_status, code, message_count, message_ids)
    SELECT CASE WHEN e.type <> 'enqueue' THEN p END, e.type, e.from_status, e.to_status, e.code, 1000,
           ARRAY(SELECT generate_series(1000 * (p - 1) + 1, 1000 * p))
    FROM generate_series(1, %(count)s / 1000) AS p, (VALUES
        ('enqueue', NULL, 'queued', NULL), ('claim', 'queued', 'sending', NULL),
        ('settle', 'sending', 'sent', '1'), ('report', 'sent', 'delivered', '102')
    ) AS e (type, from_status, to_status, code)
    """,
)


def fill(place: Installation, count: int) -> None:
    """Let the ledger hold so many messages that ended long ago. Their indexes are made afterwards."""
    place.migrate()
    with place.postgres() as postgres:
        indexes = postgres.execute(
            """
            SELECT indexname, indexdef FROM pg_indexes
            WHERE tablename IN ('messages', 'journal') AND indexname LIKE 'ix\\_%%'
            """,
            (),
        ).fetchall()
        for name, _ in indexes:
            postgres.execute(f"DROP INDEX {name}".encode())
        for statement in FILL:
            postgres.execute(statement, {"route": ROUTE, "count": count})
        for _, definition in indexes:
            postgres.execute(definition.encode())
        postgres.execute("VACUUM (ANALYZE, FREEZE)")
        postgres.execute("CHECKPOINT")


def _last(postgres: Any) -> int:
    [(found,)] = postgres.execute("SELECT coalesce(max(id), 0) FROM messages")
    return int(found)


def _ended(postgres: Any, after: int) -> int:
    [(count,)] = postgres.execute(
        "SELECT count(*) FROM messages WHERE id > %s AND finalized_at IS NOT NULL", (after,)
    )
    return int(count)


def _size(postgres: Any) -> float:
    tables = "('messages'), ('journal'), ('packages')"
    [(size,)] = postgres.execute(
        f"SELECT sum(pg_total_relation_size(t::regclass)) FROM (VALUES {tables}) v (t)"
    )
    return float(size) / 1e6
