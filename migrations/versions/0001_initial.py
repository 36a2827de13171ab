"""The book: messages, packages, events, routes, the stop list, and what was offered twice."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(sa.schema.CreateSequence(sa.Sequence("message_reference", data_type=sa.BigInteger())))
    op.create_table(
        "conflicts",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("offered", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conflicts")),
        sa.UniqueConstraint("client_id", "digest", name=op.f("uq_conflicts_client_id_digest")),
    )
    op.create_table(
        "duplicates",
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("package_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected')))))",
            name=op.f("ck_events_road"),
        ),
    )
    op.create_index("ix_events_message_id", "events", ["message_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column(
            "reference",
            sa.BigInteger(),
            server_default=sa.text("nextval('message_reference')"),
            nullable=False,
        ),
        sa.Column("package_id", sa.BigInteger(), nullable=True),
        sa.Column("enqueued_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finalized_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("attempts", sa.SmallInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("segments", sa.SmallInteger(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=True),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "(status = 'queued') = (due_at IS NOT NULL)", name=op.f("ck_messages_due_while_queued")
        ),
        sa.CheckConstraint(
            "(status IN ('cancelled', 'delivered', 'expired', 'failed', 'rejected', 'suppressed', 'undeliverable')) = (finalized_at IS NOT NULL)",
            name=op.f("ck_messages_finalized"),
        ),
        sa.CheckConstraint("kind IN ('flash', 'sms', 'voice')", name=op.f("ck_messages_kind")),
        sa.CheckConstraint("lane IN ('bulk', 'urgent')", name=op.f("ck_messages_lane")),
        sa.CheckConstraint(
            "status <> 'queued' OR package_id IS NULL", name=op.f("ck_messages_unpacked_while_queued")
        ),
        sa.CheckConstraint(
            "status IN ('cancelled', 'delivered', 'expired', 'failed', 'in_doubt', 'queued', 'rejected', 'sending', 'sent', 'suppressed', 'unconfirmed', 'undeliverable')",
            name=op.f("ck_messages_status"),
        ),
        sa.CheckConstraint(
            "status NOT IN ('in_doubt', 'sending', 'sent') OR package_id IS NOT NULL",
            name=op.f("ck_messages_packed"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("client_id", name=op.f("uq_messages_client_id")),
    )
    op.create_index(
        "ix_messages_package_id",
        "messages",
        ["package_id"],
        unique=False,
        postgresql_where=sa.text("package_id IS NOT NULL"),
    )
    op.create_index(
        "ix_messages_queue",
        "messages",
        ["route", sa.literal_column("lane DESC"), "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.create_table(
        "packages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("job", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("doubted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("poll_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rescue_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("polls", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("asks", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.CheckConstraint("state <> 'job' OR job IS NOT NULL", name=op.f("ck_packages_job_named")),
        sa.CheckConstraint(
            "state <> 'open' OR rescue_at IS NOT NULL", name=op.f("ck_packages_leased_while_open")
        ),
        sa.CheckConstraint(
            "state IN ('closed', 'in_doubt', 'job', 'open', 'refused', 'settled', 'unsent')",
            name=op.f("ck_packages_state"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_packages")),
    )
    op.create_index(
        "ix_packages_poll",
        "packages",
        ["route", "poll_at"],
        unique=False,
        postgresql_where=sa.text("poll_at IS NOT NULL"),
    )
    op.create_index(
        "ix_packages_rescue",
        "packages",
        ["route", "rescue_at"],
        unique=False,
        postgresql_where=sa.text("rescue_at IS NOT NULL"),
    )
    op.create_table(
        "routes",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="open", nullable=False),
        sa.Column("paused_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "(state = 'paused') = (paused_until IS NOT NULL)", name=op.f("ck_routes_paused_until")
        ),
        sa.CheckConstraint("state IN ('open', 'paused', 'stopped')", name=op.f("ck_routes_state")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_routes")),
    )
    op.create_table(
        "stop_list",
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("recipient", name=op.f("pk_stop_list")),
    )


def downgrade() -> None:
    op.drop_table("stop_list")
    op.drop_table("routes")
    op.drop_index(
        "ix_packages_rescue", table_name="packages", postgresql_where=sa.text("rescue_at IS NOT NULL")
    )
    op.drop_index("ix_packages_poll", table_name="packages", postgresql_where=sa.text("poll_at IS NOT NULL"))
    op.drop_table("packages")
    op.drop_index("ix_messages_queue", table_name="messages", postgresql_where=sa.text("due_at IS NOT NULL"))
    op.drop_index(
        "ix_messages_package_id", table_name="messages", postgresql_where=sa.text("package_id IS NOT NULL")
    )
    op.drop_table("messages")
    op.drop_index("ix_events_message_id", table_name="events")
    op.drop_table("events")
    op.drop_table("duplicates")
    op.drop_table("conflicts")
    op.execute(sa.schema.DropSequence(sa.Sequence("message_reference")))
