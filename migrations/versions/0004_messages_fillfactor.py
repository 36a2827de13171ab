"""Room beside each message, so that settle and report change it in place.

Concerns pages written from now on: what is there already is rewritten by VACUUM FULL alone, and need not be.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE messages SET (fillfactor = 50)")


def downgrade() -> None:
    op.execute("ALTER TABLE messages RESET (fillfactor)")
