"""Whose client id it is, and which message went out in the stead of one that came to nothing.

No table is rewritten: what is there has no producer and was never corrected, which the catalogue alone says.
The indexes are built while nobody writes, in about three seconds a million messages.
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL maintenance_work_mem = '256MB'")
    op.add_column("messages", _producer())
    op.add_column("messages", sa.Column("corrected_by", sa.BigInteger(), nullable=True))
    op.create_check_constraint(
        op.f("ck_messages_corrected_when_final"),
        "messages",
        "corrected_by IS NULL OR finalized_at IS NOT NULL",
    )
    op.create_index(
        "uq_messages_client_id_producer",
        "messages",
        ["client_id", "producer"],
        unique=True,
        postgresql_where=sa.text("corrected_by IS NULL"),
    )
    op.create_index(
        "ix_messages_corrected",
        "messages",
        ["client_id", "producer"],
        unique=False,
        postgresql_where=sa.text("corrected_by IS NOT NULL"),
    )
    op.drop_constraint(op.f("uq_messages_client_id"), "messages", type_="unique")
    op.add_column("conflicts", _producer())
    op.create_unique_constraint(
        op.f("uq_conflicts_client_id_producer_digest"), "conflicts", ["client_id", "producer", "digest"]
    )
    op.drop_constraint(op.f("uq_conflicts_client_id_digest"), "conflicts", type_="unique")
    op.create_index("ix_conflicts_at", "conflicts", ["at", "id"], unique=False)


def downgrade() -> None:
    """One message a client id is all that the version before knows: what is more must be gone first."""
    _refuse("SELECT count(*) FROM messages WHERE producer <> ''", "messages have a producer")
    _refuse("SELECT count(*) FROM messages WHERE corrected_by IS NOT NULL", "messages were corrected")
    _refuse("SELECT count(*) FROM conflicts WHERE producer <> ''", "conflicts have a producer")
    op.drop_index("ix_conflicts_at", table_name="conflicts")
    op.create_unique_constraint(op.f("uq_conflicts_client_id_digest"), "conflicts", ["client_id", "digest"])
    op.drop_column("conflicts", "producer")
    op.create_unique_constraint(op.f("uq_messages_client_id"), "messages", ["client_id"])
    for column in ("corrected_by", "producer"):
        op.drop_column("messages", column)


def _producer() -> sa.Column[str]:
    return sa.Column("producer", sa.Text(), server_default="", nullable=False)


def _refuse(count: str, what: str) -> None:
    if found := op.get_bind().execute(sa.text(count)).scalar_one():
        raise CommandError(f"{found} {what}, which version {down_revision} has no words for")
