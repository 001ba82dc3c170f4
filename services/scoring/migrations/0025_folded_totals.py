"""Sums of transactions are kept by partition, product and currency; so is what a check found."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

FILL = """
insert into folded_totals (partition, product_code, currency, sum_minor, count, accounts)
select s.partition, a.product_code, a.currency, sum(a.sum_minor), sum(a.count), count(*)
  from account_figures a join customer_state s using (customer_number)
 group by s.partition, a.product_code, a.currency
"""


def upgrade() -> None:
    op.create_table(
        "folded_totals",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("product_code", sa.Text, primary_key=True),
        sa.Column("currency", sa.Text, primary_key=True),
        sa.Column("sum_minor", sa.Numeric(38, 0), nullable=False),
        sa.Column("count", sa.BigInteger, nullable=False),
        sa.Column("accounts", sa.BigInteger, nullable=False),
    )
    op.execute(FILL)
    op.create_table(
        "sums_checked",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("took_ms", sa.BigInteger, nullable=False),
        sa.Column("transactions", JSONB, nullable=False),
        sa.Column("contribution", JSONB, nullable=False),
    )
