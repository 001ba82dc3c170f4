"""Posted leaves of the contribution: account, product, component, period, origin period."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "leaves",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("loan_number", sa.Text, primary_key=True),
        sa.Column("product_code", sa.Text, primary_key=True),
        sa.Column("component", sa.Text, primary_key=True),
        sa.Column("period", sa.Text, primary_key=True),
        sa.Column("origin_period", sa.Text, primary_key=True),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
    )
