"""Rates of tax, and the customers whose leaves changed since tax was posted on them."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "tax_rates",
        sa.Column("from_on", sa.Date, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table("untaxed", sa.Column("customer_number", sa.Text, primary_key=True))
