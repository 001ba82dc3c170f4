"""Places for new alerts, by manager, and the margin that can be recovered, by which they rank;
findings, of which no work comes.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "capacities",
        sa.Column("staff_id", sa.Text, primary_key=True),
        sa.Column("alerts_per_day", sa.Integer, nullable=False),
    )
    # Of alerts told before, the margin at risk is what is known.
    op.add_column("alerts", sa.Column("recoverable_minor", sa.BigInteger))
    op.execute("update alerts set recoverable_minor = margin_at_risk_minor")
    op.alter_column("alerts", "recoverable_minor", nullable=False)
    op.add_column(
        "alerts", sa.Column("opens_work", sa.Boolean, nullable=False, server_default=sa.true())
    )
    op.alter_column("alerts", "opens_work", server_default=None)
    op.add_column("alerts", sa.Column("advice", JSONB))
    op.drop_index("waiting_by_stake", "waiting_parties")
    op.alter_column("waiting_parties", "margin_at_risk_minor", new_column_name="recoverable_minor")
    op.create_index(
        "waiting_ranked", "waiting_parties", ["desk", sa.text("recoverable_minor desc"), "party_id"]
    )
