"""Abnormal change of turnover: what is kept of each series, the changes, the days settled."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "turnover_memory",
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("memory", sa.LargeBinary, nullable=False),
        sa.Column("look_on", sa.Date),
    )
    op.create_index("ix_turnover_memory_look_on", "turnover_memory", ["look_on"])
    op.create_table(
        "turnover_changes",
        sa.Column("dimension", sa.Text, primary_key=True),
        sa.Column("code", sa.Text, primary_key=True),
        sa.Column("on_date", sa.Date, primary_key=True),
        sa.Column("direction", sa.Text, nullable=False),
        sa.Column("since_on", sa.Date, nullable=False),
        sa.Column("size_micro", sa.BigInteger, nullable=False),
        sa.Column("minor", sa.BigInteger, nullable=False),
        sa.Column("usual_minor", sa.BigInteger, nullable=False),
    )
    op.create_index("turnover_changes_latest", "turnover_changes", ["dimension", "on_date"])
    op.create_table(
        "turnover_settled",
        sa.Column("through_on", sa.Date, primary_key=True),
        sa.Column("reach", JSONB, nullable=False),
    )
