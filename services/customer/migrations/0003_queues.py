"""Where the queue of a task is: who serves it reaches the party for as long as the task is open.

Tasks heard before have no place: their queues reach nobody until the next fact on them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("tasks", sa.Column("org_path", sa.Text))
