"""Flows: the queue in the order of flows, so that campaigns take turns, and what each has been served.

The table of messages is written anew for the column, in one transaction: a million messages take about ten
seconds, and their room once more until it ends. Stop workers and applications first. If it is broken off, the
database stands where it stood.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

SECONDS_PER_MILLION = 10
ROOM_OF = "messages"  # as much as this table has, until it ends

INSTANT = sa.DateTime(timezone=True)
FLOW_ID = "(hashtextextended(coalesce(campaign, ''), hashtextextended(coalesce(producer, ''), hashtextextended(coalesce(route, ''), 0))) & 2305843009213693951) + CASE lane WHEN 'bulk' THEN 2305843009213693952 ELSE 0 END"


def upgrade() -> None:
    op.create_table(
        "flows",
        sa.Column(
            "id",
            sa.BigInteger(),
            sa.Computed(FLOW_ID, persisted=True),
            nullable=False,
        ),
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("lane", sa.Text(), nullable=False),
        sa.Column("producer", sa.Text(), nullable=False),
        sa.Column("campaign", sa.Text(), nullable=False),
        sa.Column("weight", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("paused_at", INSTANT, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("start_tag", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("finish_tag", sa.Double(), server_default=sa.text("0"), nullable=False),
        sa.Column("claimed_at", INSTANT, nullable=True),
        sa.Column("mark_due_at", INSTANT, nullable=True),
        sa.Column("mark_id", sa.BigInteger(), nullable=True),
        sa.Column("rewound_at", INSTANT, nullable=True),
        sa.CheckConstraint("lane IN ('bulk', 'urgent')", name=op.f("ck_flows_lane")),
        sa.CheckConstraint("weight > 0", name=op.f("ck_flows_weight")),
        sa.CheckConstraint("reason IS NULL OR paused_at IS NOT NULL", name=op.f("ck_flows_reason_of_pause")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_flows")),
    )
    op.create_index("ix_flows_claimed_at", "flows", ["route", "lane", "claimed_at"])
    op.create_index("ix_flows_start_tag", "flows", ["route", "lane", "start_tag"])
    op.drop_index("ix_messages_queue", table_name="messages")  # before the table is written anew
    op.add_column(
        "messages",
        sa.Column(
            "flow_id",
            sa.BigInteger(),
            sa.Computed(FLOW_ID, persisted=True),
            nullable=True,
        ),
    )
    op.execute("ALTER TABLE messages ALTER COLUMN flow_id DROP EXPRESSION, ALTER COLUMN flow_id SET NOT NULL")
    op.create_index(
        "ix_messages_queue",
        "messages",
        ["route", "flow_id", "due_at", "id"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_messages_queue", table_name="messages")
    op.drop_column("messages", "flow_id")
    op.create_index(
        "ix_messages_queue",
        "messages",
        ["route", sa.literal_column("lane DESC"), "due_at", "id"],
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_table("flows")
