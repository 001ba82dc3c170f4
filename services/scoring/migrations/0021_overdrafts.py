"""Whose product an overdraft is, as the worker took it; until now as the bank's reference data said
when the first row of an account was written."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "overdrafts",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("product_code", sa.Text, primary_key=True),
        sa.Column("below_product_code", sa.Text, nullable=False),
    )
    # The log that says so is folded already.
    op.execute(
        "insert into overdrafts select s.partition, p.product_code, p.overdraft_product_code "
        "from positions s cross join products p "
        "where s.topic = 'scoring.state' and p.overdraft_product_code is not null"
    )
    op.drop_column("products", "overdraft_product_code")
