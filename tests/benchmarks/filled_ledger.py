"""A ledger that holds many messages which ended long ago, written by set-based SQL.

Nothing else of the benchmarks knows how the history of a message is kept.
"""

from tests.benchmarks.installation import ROUTE, Installation

FILL = (
    """
    INSERT INTO packages (route, lane, state, message_count)
    SELECT %(route)s, 'bulk', 'closed', 1000 FROM generate_series(1, (%(count)s + 999) / 1000)
    """,
    """
    INSERT INTO messages (client_id, route, lane, kind, campaign, recipient, sender, text,
        segments_estimated, status,
                          package_id, provider_message_id, segments_billed, finalized_at, flow_id)
    SELECT 'old-' || n, %(route)s, 'bulk', 'sms', 'old', '+38050' || lpad(n::text, 8, '0'), 'Shop',
           'Your order ' || n || ' is ready. See you!', 1, 'delivered',
           1 + (n - 1) / 1000, (10 ^ 9 + n)::bigint::text, 1, now(), 0
    FROM generate_series(1, %(count)s) AS n
    """,
    """
    INSERT INTO journal (package_id, type, from_status, to_status, code, message_count, message_ids)
    SELECT CASE WHEN e.type <> 'enqueue' THEN 1 + p.first / 1000 END, e.type, e.from_status, e.to_status,
           e.code, cardinality(p.ids), p.ids
    FROM (
        SELECT first, ARRAY(SELECT generate_series(first + 1, least(first + 1000, %(count)s))::bigint) AS ids
        FROM generate_series(0, %(count)s - 1, 1000) AS first
    ) p, (VALUES
        ('enqueue', NULL, 'queued', NULL), ('claim', 'queued', 'sending', NULL),
        ('settle', 'sending', 'sent', '1'), ('report', 'sent', 'delivered', '102')
    ) AS e (type, from_status, to_status, code)
    """,
)
"""For an empty ledger: messages 1 to `count` of `route`, sent and delivered in packages of a thousand."""


def client_id(number: int) -> str:
    """Of one of them, from 1."""
    return f"old-{number}"


def fill(place: Installation, count: int) -> None:
    """Let the ledger hold so many. Indexes are made afterwards, which is faster."""
    place.migrate()
    with place.postgres() as postgres:
        indexes = postgres.execute(
            r"SELECT indexname, indexdef FROM pg_indexes"
            r" WHERE schemaname = current_schema() AND indexname LIKE 'ix\_%'"
        ).fetchall()
        for name, _ in indexes:
            postgres.execute(f"DROP INDEX {name}".encode())
        for statement in FILL:
            postgres.execute(statement, {"route": ROUTE, "count": count})
        for _, definition in indexes:
            postgres.execute(definition.encode())
        postgres.execute("VACUUM (ANALYZE, FREEZE)")
        postgres.execute("CHECKPOINT")
