"""Notices, deliveries, preferences, and the delivery tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import delivery_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    delivery_tables_v1()
    instant = sa.DateTime(timezone=True)
    op.create_table(
        "notices",
        sa.Column("notice_id", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, sa.Identity(), nullable=False, unique=True),
        sa.Column("receiver_id", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("story", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("text", JSONB, nullable=False),
        sa.Column("link", sa.Text, nullable=False),
        sa.Column("urgent", sa.Boolean, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("cause", JSONB, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("valid_until", instant),
        sa.Column("snoozed_until", instant),
        sa.Column("acknowledged_at", instant),
    )
    op.create_index("notices_inbox", "notices", ["receiver_id", sa.text("number desc")])
    op.create_index(
        "notices_unread", "notices", ["receiver_id"], postgresql_where=sa.text("state = 'unread'")
    )
    op.create_index("notices_subject", "notices", ["subject"])
    op.create_table(
        "deliveries",
        sa.Column("notice_id", sa.Text, sa.ForeignKey("notices.notice_id"), primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", instant),
        sa.Column("proof", sa.Text),
    )
    op.create_index(
        "deliveries_due", "deliveries", ["next_at"], postgresql_where=sa.text("state = 'pending'")
    )
    op.create_table(
        "preferences",
        sa.Column("staff_id", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, primary_key=True),
        sa.Column("wanted", sa.Boolean, nullable=False),
    )
