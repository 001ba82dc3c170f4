"""Identities of the intake are forgotten by their age."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_intake_taken_at", "intake", ["taken_at"])
