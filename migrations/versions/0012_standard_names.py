"""The field's own names for tables and columns, and one name for each thing.

Nothing but names, and the state of a route that sends: "active" in place of "open", which of a circuit breaker
says the opposite. No row of the large tables is read or written; each is locked for a moment. Code of the
version before knows none of the new names: stop workers and applications first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TABLES = (
    ("provider_ids", "provider_message_ids"),
    ("receipts", "unmatched_receipts"),
    ("stop_list", "suppressions"),
    ("duplicates", "duplicate_counts"),
)
COLUMNS = (
    ("messages", "provider_id", "provider_message_id"),
    ("messages", "segments", "segments_billed"),
    ("messages", "counted", "segments_estimated"),
    ("messages", "extra", "content"),
    ("packages", "items", "message_count"),
    ("packages", "polls", "poll_count"),
    ("packages", "asks", "inquiry_count"),
    ("packages", "doubted_at", "in_doubt_since"),
    ("packages", "why", "reason"),
    ("events", "verb", "type"),
    ("events", "source", "from_status"),
    ("events", "target", "to_status"),
    ("routes", "failures", "consecutive_failures"),
    ("routes", "blind", "unresolvable_failures"),
    ("routes", "refused", "unknown_refusals"),
    ("routes", "refused_as", "unknown_refusal"),
    ("routes", "why", "reason"),
    ("routes", "clock_ahead", "clock_skew"),
    ("routes", "repeating_until", "resubmit_lease_until"),
    ("refused_questions", "why", "reason"),
    ("provider_message_ids", "id", "provider_message_id"),
    ("unmatched_receipts", "provider_id", "provider_message_id"),
    ("suppressions", "why", "reason"),
)
"""Table (by its new name), old column, new column."""

CONSTRAINTS = (
    ("events", "ck_events_road", "ck_events_transition"),
    ("provider_message_ids", "pk_provider_ids", "pk_provider_message_ids"),
    ("unmatched_receipts", "pk_receipts", "pk_unmatched_receipts"),
    ("unmatched_receipts", "ck_receipts_status", "ck_unmatched_receipts_status"),
    ("suppressions", "pk_stop_list", "pk_suppressions"),
)
INDEXES = (("ix_receipts_route", "ix_unmatched_receipts_route"),)
SEQUENCES = (("receipts_id_seq", "unmatched_receipts_id_seq"),)


def upgrade() -> None:
    for old, new in TABLES:
        op.rename_table(old, new)
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    for table, old, new in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {old} TO {new}")
    for old, new in INDEXES:
        op.execute(f"ALTER INDEX {old} RENAME TO {new}")
    for old, new in SEQUENCES:
        op.execute(f"ALTER SEQUENCE {old} RENAME TO {new}")
    _name_not_nulls()
    _call_it("open", "active")


def downgrade() -> None:
    _call_it("active", "open")
    for old, new in SEQUENCES:
        op.execute(f"ALTER SEQUENCE {new} RENAME TO {old}")
    for old, new in INDEXES:
        op.execute(f"ALTER INDEX {new} RENAME TO {old}")
    for table, old, new in CONSTRAINTS:
        op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {new} TO {old}")
    for table, old, new in COLUMNS:
        op.alter_column(table, new, new_column_name=old)
    for old, new in TABLES:
        op.rename_table(new, old)
    _name_not_nulls()


def _name_not_nulls() -> None:
    """PostgreSQL 18 names NOT NULL by table and column, and keeps the name when these are renamed."""
    found = op.get_bind().execute(
        sa.text("""
            SELECT t.relname, c.conname, t.relname || '_' || a.attname || '_not_null' AS usual
            FROM pg_constraint c
            JOIN pg_class t ON t.oid = c.conrelid
            JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
            WHERE c.contype = 'n' AND t.relname = ANY(:tables) AND t.relnamespace = 'public'::regnamespace
            ORDER BY 1, 2
        """),
        {"tables": list({name for table in TABLES for name in table} | {table for table, _, _ in COLUMNS})},
    )
    for table, name, usual in found.all():
        if name != usual:
            op.execute(f"ALTER TABLE {table} RENAME CONSTRAINT {name} TO {usual}")


def _call_it(before: str, after: str) -> None:
    """The state of routes that send."""
    op.drop_constraint(op.f("ck_routes_state"), "routes", type_="check")
    op.execute(f"UPDATE routes SET state = '{after}' WHERE state = '{before}'")  # noqa: S608 - our own words
    op.alter_column("routes", "state", server_default=after)
    op.create_check_constraint(
        op.f("ck_routes_state"), "routes", f"state IN ('{after}', 'paused', 'stopped')"
    )
