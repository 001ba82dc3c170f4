"""What was heard of each story, so that a notice can say why it came."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "story_events",
        sa.Column("event_id", sa.Text, primary_key=True),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("caused_by", sa.Text),
        sa.Column("process_instance_id", sa.Text),
        sa.Column("text", JSONB),
        sa.Column("link", sa.Text),
        sa.Column("root", JSONB),
    )
    op.create_index(
        "story_events_process",
        "story_events",
        ["process_instance_id"],
        postgresql_where=sa.text("type = 'workflow.process_started.v1'"),
    )
