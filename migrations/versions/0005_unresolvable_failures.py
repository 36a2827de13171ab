"""Which failures of a route in a row left doubt that nobody can settle: only these may stop it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    numbers = postgresql.ARRAY(sa.Integer())
    op.add_column("routes", sa.Column("blind", numbers, server_default=sa.text("'{}'"), nullable=False))


def downgrade() -> None:
    op.drop_column("routes", "blind")
