"""Questions that a provider refuses are kept, with since when and when they are asked again."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

QUESTIONS = "'balance', 'cancel', 'clock', 'job', 'prices', 'scheduled', 'status', 'stop list'"


def upgrade() -> None:
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "refused_questions",
        sa.Column("route", sa.Text(), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("refused_at", instant, server_default=sa.text("now()"), nullable=False),
        sa.Column("ask_at", instant, nullable=False),
        sa.Column("refusals", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.CheckConstraint(f"question IN ({QUESTIONS})", name=op.f("ck_refused_questions_question")),
        sa.PrimaryKeyConstraint("route", "question", name=op.f("pk_refused_questions")),
    )


def downgrade() -> None:
    """What was refused is asked again, and refused again."""
    op.drop_table("refused_questions")
