"""Who passed a task on keeps it in sight, also when it was passed on again."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create index entries_passed_on on entries (actor_id) where kind = 'handed_off'")
