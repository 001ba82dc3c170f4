"""Where parties, orders and processes are, and who works on them: who may watch them live.

What was heard before has no place: only who reaches the whole bank watches it, until it is said
again.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY

from shared.migrations import open_tasks_v1

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "party_numbers",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("born_as", sa.Text, nullable=False, index=True),
        sa.Column("party_id", sa.Text, nullable=False, index=True),
        sa.Column("home_branch_code", sa.Text),
    )
    op.create_table(
        "managers",
        sa.Column("member", sa.Text, primary_key=True),
        sa.Column("effective_on", sa.Date, primary_key=True),
        sa.Column("manager_code", sa.Text, primary_key=True),
        sa.Column("branch_code", sa.Text),
        sa.Column("share_ppm", sa.Integer, nullable=False),
    )
    op.create_table(
        "order_places",
        sa.Column("order_id", sa.Text, primary_key=True),
        sa.Column("party_id", sa.Text),
        sa.Column("owner_id", sa.Text),
        sa.Column("org_path", sa.Text),
        sa.Column("maker_id", sa.Text),
    )
    op.create_table(
        "process_places",
        sa.Column("process_instance_id", sa.Text, primary_key=True),
        sa.Column("order_id", sa.Text),
        sa.Column("org_path", sa.Text),
        sa.Column("people", ARRAY(sa.Text), nullable=False),
    )
    open_tasks_v1()
