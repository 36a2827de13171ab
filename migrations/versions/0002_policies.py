"""A message's own policy for when it is in doubt."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("messages", sa.Column("in_doubt", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_messages_in_doubt"), "messages", "in_doubt IN ('fail', 'hold', 'resend')"
    )


def downgrade() -> None:
    op.drop_column("messages", "in_doubt")
