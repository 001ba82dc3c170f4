"""Whose desk a task is on: who does it sees the order it is about, while it is open.

Tasks heard before open nothing until the next fact on them.
"""

from shared.migrations import open_tasks_v1

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    open_tasks_v1()
