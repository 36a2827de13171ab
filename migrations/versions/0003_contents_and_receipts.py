"""Contents beside text, times, what was read, receipts, and the accounts packages leave by."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
STATUSES = "status IN ('cancelled', 'delivered', 'expired', 'failed', 'in_doubt', 'queued', 'rejected', 'sending', 'sent', 'suppressed', 'unconfirmed', 'undeliverable')"
KINDS = "kind IN ('flash', 'ping', 'sms', 'vcard', 'viber', 'viber_sms', 'voice', 'wap')"
ALLOWED = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (verb = 'read' AND (source, target) IN (('delivered', 'delivered')))))"
ALLOWED_BEFORE = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected')))))"


def upgrade() -> None:
    op.add_column("messages", sa.Column("send_at", INSTANT, nullable=True))
    op.add_column("messages", sa.Column("viber_valid_until", INSTANT, nullable=True))
    op.add_column("messages", sa.Column("read_at", INSTANT, nullable=True))
    op.add_column("messages", sa.Column("counted", sa.SmallInteger(), nullable=True))
    op.add_column("messages", sa.Column("extra", postgresql.JSONB(astext_type=sa.Text()), nullable=True))
    op.drop_constraint(op.f("ck_messages_kind"), "messages", type_="check")
    op.create_check_constraint(op.f("ck_messages_kind"), "messages", KINDS)
    op.drop_constraint(op.f("ck_events_road"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_road"), "events", ALLOWED)
    op.add_column("packages", sa.Column("account", sa.Text(), nullable=True))
    op.add_column("routes", sa.Column("balance", sa.Numeric(), nullable=True))
    op.add_column("routes", sa.Column("currency", sa.Text(), nullable=True))
    op.add_column("routes", sa.Column("balance_at", INSTANT, nullable=True))
    op.add_column("routes", sa.Column("clock_ahead", sa.Interval(), nullable=True))
    op.add_column("routes", sa.Column("repeating_until", INSTANT, nullable=True))
    op.create_table(
        "provider_ids",
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("route", "id", name=op.f("pk_provider_ids")),
    )
    op.create_table(
        "receipts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, server_default=sa.text("now()"), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("happened_at", INSTANT, nullable=True),
        sa.Column("first_channel", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("read", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.CheckConstraint(STATUSES, name=op.f("ck_receipts_status")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_receipts")),
    )
    op.create_index("ix_receipts_route", "receipts", ["route", "provider_id"], unique=False)


def downgrade() -> None:
    """What the version before has no words for must be gone first: then this says so, and changes nothing."""
    op.drop_table("receipts")
    op.drop_table("provider_ids")
    for column in ("repeating_until", "clock_ahead", "balance_at", "currency", "balance"):
        op.drop_column("routes", column)
    op.drop_column("packages", "account")
    op.drop_constraint(op.f("ck_events_road"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_road"), "events", ALLOWED_BEFORE)
    op.drop_constraint(op.f("ck_messages_kind"), "messages", type_="check")
    op.create_check_constraint(op.f("ck_messages_kind"), "messages", "kind IN ('flash', 'sms', 'voice')")
    for column in ("extra", "counted", "read_at", "viber_valid_until", "send_at"):
        op.drop_column("messages", column)
