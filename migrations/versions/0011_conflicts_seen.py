"""When somebody looked at a conflict: until then it is told."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has looked at those there are, as far as we know."""
    op.add_column("conflicts", sa.Column("seen_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("conflicts", "seen_at")
