"""Totals of the journal: so that the books need not read what is over. Beat fills them; it takes no time here."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "journal_totals",
        sa.Column("from_status", sa.Text(), nullable=True),
        sa.Column("to_status", sa.Text(), nullable=False),
        sa.Column("provider", sa.Text(), nullable=True),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("message_count", sa.BigInteger(), nullable=False),
        sa.UniqueConstraint(
            "from_status",
            "to_status",
            "provider",
            "code",
            name=op.f("uq_journal_totals_from_status_to_status_provider_code"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    op.create_table(
        "journal_closing",
        sa.Column("id", sa.SmallInteger(), server_default=sa.text("1"), nullable=False),
        sa.Column("up_to", sa.BigInteger(), nullable=False),
        sa.Column("next_up_to", sa.BigInteger(), nullable=False),
        sa.Column("next_xid", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_journal_closing_one_row")),
        sa.CheckConstraint("up_to <= next_up_to", name=op.f("ck_journal_closing_forward")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_journal_closing")),
    )


def downgrade() -> None:
    op.drop_table("journal_closing")
    op.drop_table("journal_totals")
