"""Collisions: new transitions for messages whose id somebody else had used; and ids of its own for a new ledger.

A ledger that has given no id to a message yet begins anywhere between 2^29 and 2^29 + 2^30, as the clock has
it: two that are made a second apart are a million ids apart. There is room for 500 million more below 2^31,
up to which an id field without a published range is sure to hold. Ledgers from before begin at 1, and keep
their numbers. The sequence itself remembers where it began.
"""

import sqlalchemy as sa
from alembic import op
from alembic.util import CommandError

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ALLOWED = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (verb = 'read' AND (source, target) IN (('delivered', 'delivered'))) OR (verb = 'collide' AND (source, target) IN (('sending', 'in_doubt'), ('in_doubt', 'in_doubt'), ('sent', 'in_doubt')))))"
ALLOWED_BEFORE = "(verb = 'enqueue' AND source IS NULL AND target IN ('queued', 'suppressed')) OR (source IS NOT NULL AND ((verb = 'claim' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'sending'), ('queued', 'expired'))) OR (verb = 'cancel' AND (source, target) IN (('queued', 'suppressed'), ('queued', 'cancelled'))) OR (verb = 'settle' AND (source, target) IN (('sending', 'queued'), ('sending', 'in_doubt'), ('sending', 'sent'), ('sending', 'rejected'), ('sending', 'failed'), ('in_doubt', 'queued'), ('in_doubt', 'sent'), ('in_doubt', 'rejected'), ('in_doubt', 'failed'))) OR (verb = 'report' AND (source, target) IN (('sent', 'delivered'), ('sent', 'undeliverable'), ('sent', 'expired'), ('sent', 'rejected'), ('sent', 'cancelled'), ('sent', 'unconfirmed'), ('unconfirmed', 'delivered'), ('unconfirmed', 'undeliverable'), ('unconfirmed', 'expired'), ('unconfirmed', 'rejected'))) OR (verb = 'read' AND (source, target) IN (('delivered', 'delivered')))))"

FIRST, SPREAD = 2**29, 2**30


def upgrade() -> None:
    _allow(ALLOWED)
    op.add_column("routes", sa.Column("refused", sa.Integer(), server_default=sa.text("0"), nullable=False))
    op.add_column("routes", sa.Column("refused_as", sa.Text(), nullable=True))
    if not op.get_bind().execute(sa.text("SELECT is_called FROM message_reference")).scalar_one():
        _begin_anywhere()


def downgrade() -> None:
    """The version before has no words for collisions: their events must be gone first. Ids go on from where
    they are."""
    found = op.get_bind().execute(sa.text("SELECT count(*) FROM events WHERE verb = 'collide'")).scalar_one()
    if found:
        raise CommandError(f"{found} messages collided, which version {down_revision} has no words for")
    op.drop_column("routes", "refused_as")
    op.drop_column("routes", "refused")
    _allow(ALLOWED_BEFORE)


def _allow(transitions: str) -> None:
    op.drop_constraint(op.f("ck_events_road"), "events", type_="check")
    op.create_check_constraint(op.f("ck_events_road"), "events", transitions)


def _begin_anywhere() -> None:
    """By the microseconds of the server's clock."""
    place = sa.text(
        "SELECT :first + CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) % :spread"
    )
    first = op.get_bind().execute(place, {"first": FIRST, "spread": SPREAD}).scalar_one()
    op.execute(f"ALTER SEQUENCE message_reference START WITH {first} RESTART")
