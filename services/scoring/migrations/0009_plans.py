"""What the bank plans and budgets. Plans heard before are not there until they are set again."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "plans",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("kind", "source", "plan_id")),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("what", "dimension", "who",
                                                                "period")),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )  # fmt: skip
    op.create_index("plans_of_period", "plans", ["period", "kind", "dimension", "what", "who"])
