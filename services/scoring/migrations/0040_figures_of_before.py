"""Partitions whose state was made anew, until figures of before are gone there."""

import sqlalchemy as sa
from alembic import op

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "figures_of_before",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("after_number", sa.Text, nullable=False, server_default=""),
    )
