"""The journal: a row for all that a statement changed alike, in place of an event for each message.

Everything is copied, in one transaction: if it is broken off, the database stands where it stood, and
`worker db upgrade` begins again. For a million messages it takes about half a minute, room for the journal beside
the events until it ends, and temporary room to sort the events. Stop workers and applications first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

SECONDS_PER_MILLION = 30
ROOM_OF = "events"  # as much as this table has, until it ends

INSTANT = sa.DateTime(timezone=True)
ALLOWED = "(type = 'enqueue' AND from_status IS NULL AND to_status IN ('queued', 'suppressed')) OR (from_status IS NOT NULL AND ((type = 'claim' AND (from_status, to_status) IN (('queued', 'suppressed'), ('queued', 'sending'), ('queued', 'expired'))) OR (type = 'cancel' AND (from_status, to_status) IN (('queued', 'suppressed'), ('queued', 'cancelled'))) OR (type = 'settle' AND (from_status, to_status) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (type = 'report' AND (from_status, to_status) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (type = 'read' AND (from_status, to_status) IN (('delivered', 'delivered'))) OR (type = 'collide' AND (from_status, to_status) IN (('sending', 'in_doubt'), ('in_doubt', 'in_doubt'), ('sent', 'in_doubt')))))"
SPAN = "int8range(message_ids[1], message_ids[message_count], '[]')"
EVENTS = """
    SELECT j.id, u.message_id, j.package_id, j.at, u.happened_at, j.type, j.from_status, j.to_status, j.code,
           j.note
    FROM journal j, unnest(j.message_ids, j.happened_at) AS u (message_id, happened_at)
"""


def upgrade() -> None:
    op.add_column("messages", sa.Column("earlier_packages", postgresql.ARRAY(sa.BigInteger()), nullable=True))
    op.add_column("messages", sa.Column("collided", sa.Boolean(), nullable=True))
    op.create_table(
        "journal",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=True),
        sa.Column("at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("message_ids", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        sa.Column("happened_at", postgresql.ARRAY(INSTANT), nullable=True),
        sa.CheckConstraint(ALLOWED, name=op.f("ck_journal_transition")),
        sa.CheckConstraint(
            "message_count > 0 AND message_count = cardinality(message_ids)",
            name=op.f("ck_journal_message_count"),
        ),
        sa.CheckConstraint("message_count = cardinality(happened_at)", name=op.f("ck_journal_happened_at")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal")),
    )
    # What one statement changed alike has one instant. A row takes the place of its first event: every stage
    # settles, reports and reads a package once in a transaction, so its events of a kind follow one another.
    # `worker books --check` says whether that was so.
    op.execute("""
        INSERT INTO journal (id, package_id, at, message_count, type, from_status, to_status, code, note,
                             message_ids, happened_at)
        OVERRIDING SYSTEM VALUE
        SELECT min(id), package_id, at, count(*), type, from_status, to_status, code, note,
               array_agg(message_id ORDER BY message_id),
               CASE WHEN count(happened_at) > 0 THEN array_agg(happened_at ORDER BY message_id) END
        FROM events GROUP BY package_id, at, type, from_status, to_status, code, note,
                             CASE WHEN package_id IS NULL THEN message_id / 4096 END
    """)
    op.execute("""
        SELECT setval('journal_id_seq', (SELECT max(id) FROM journal)) WHERE EXISTS (SELECT FROM journal)
    """)
    op.create_index(
        "ix_journal_package_id", "journal", ["package_id"], postgresql_where=sa.text("package_id IS NOT NULL")
    )
    op.create_index(
        "ix_journal_span",
        "journal",
        [sa.text(SPAN)],
        postgresql_using="gist",
        postgresql_where=sa.text("package_id IS NULL"),
    )
    op.execute("""
        UPDATE messages m SET earlier_packages = e.packages
        FROM (
            SELECT message_id, array_agg(package_id ORDER BY package_id) AS packages
            FROM (
                SELECT DISTINCT e.message_id, e.package_id FROM events e JOIN messages m ON m.id = e.message_id
                WHERE e.package_id IS DISTINCT FROM m.package_id AND e.package_id IS NOT NULL
            ) earlier GROUP BY message_id
        ) e WHERE m.id = e.message_id
    """)
    op.execute("""
        UPDATE messages m SET collided = true
        WHERE m.status = 'in_doubt' AND 'collide' = (
            SELECT e.type FROM events e WHERE e.message_id = m.id ORDER BY e.id DESC LIMIT 1
        )
    """)
    op.drop_table("events")
    op.execute(f"CREATE VIEW events AS {EVENTS}")
    op.execute("ANALYZE journal")


def downgrade() -> None:
    op.execute("ALTER VIEW events RENAME TO journal_events")
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=True),
        sa.Column("at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("happened_at", INSTANT, nullable=True),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(ALLOWED, name=op.f("ck_events_transition")),
    )
    op.execute("""
        INSERT INTO events (message_id, package_id, at, happened_at, type, from_status, to_status, code, note)
        SELECT message_id, package_id, at, happened_at, type, from_status, to_status, code, note
        FROM journal_events ORDER BY id, message_id
    """)
    op.create_index("ix_events_message_id", "events", ["message_id"])
    op.execute("DROP VIEW journal_events")
    op.drop_table("journal")
    op.drop_column("messages", "collided")
    op.drop_column("messages", "earlier_packages")
