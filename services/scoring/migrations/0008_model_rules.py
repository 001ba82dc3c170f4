"""Rules of a model of risk: the account, and what moved each term of the score."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "signals",
        sa.Column("account_number", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    for table, name in (("signals", "moved"), ("alerts", "term_events")):
        op.add_column(table, sa.Column(name, JSONB, nullable=False, server_default=sa.text("'{}'")))
