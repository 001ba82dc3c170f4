"""What accounts without events have earned by each closed day: how far it is, and what a row rests
on, so that the record that tells an account as it was does not put it back."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rolls",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("closed_on", sa.Date, nullable=False),
        sa.Column("through_on", sa.Date),
        sa.Column("rolling_on", sa.Date),
        sa.Column("after_number", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.add_column("open_leaves", sa.Column("told_hash", sa.BigInteger))
    month = "cast(date_trunc('month', cast(settled_on as timestamp)) as date)"
    op.add_column(
        "open_leaves", sa.Column("settled_month", sa.Date, sa.Computed(month, persisted=True))
    )
    op.create_index("open_leaves_settled", "open_leaves", ["settled_month"])
