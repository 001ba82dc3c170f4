"""What was heard of a story is forgotten by its age."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index("ix_story_events_at", "story_events", ["at"])
