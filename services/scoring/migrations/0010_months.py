"""Sums of each month by place and product, and by customer: for plans and the month's report."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

WHOLE = sa.Numeric(38, 0)
KEY = ("period", "manager_code", "branch_code", "product_code", "component")
# What was posted and accrued before is counted.
MONTHS = """
insert into month_totals
select x.period, x.manager_code, x.branch_code, x.product_code, x.component,
       sum(x.posted), sum(x.accrued)
  from (
    select period, manager_code, branch_code, product_code, component,
           amount_minor as posted, 0 as accrued
      from leaves
    union all
    select '', o.manager_code, o.branch_code, v.product_code, v.component, 0, v.amount
      from open_leaves o cross join lateral (values
        ('ftp', o.product_code, o.net), ('ftp', o.below_product_code, o.debit),
        ('el', o.below_product_code, o.loss), ('abc_maint', o.product_code, o.upkeep),
        ('interest_paid', o.product_code, o.interest_paid),
        ('interest_recv', o.below_product_code, o.interest_received),
        ('fee', o.product_code, o.fees), ('abc_txn', o.product_code, o.uses))
        v(component, product_code, amount)
     where v.amount <> 0) x
 group by 1, 2, 3, 4, 5
"""
CUSTOMER_MONTHS = """
insert into customer_months
select period, customer_number, sum(amount_minor) from leaves group by 1, 2
"""


def upgrade() -> None:
    op.create_table(
        "month_totals",
        *(sa.Column(name, sa.Text, primary_key=True) for name in KEY),
        sa.Column("posted_minor", WHOLE, nullable=False),
        sa.Column("accrued_minor", WHOLE, nullable=False),
    )
    op.create_table(
        "customer_months",
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("period", "customer_number")),
        sa.Column("posted_minor", WHOLE, nullable=False),
    )
    op.execute(MONTHS)
    op.execute(CUSTOMER_MONTHS)
    op.create_index(
        "customer_months_ranked", "customer_months", ["period", "posted_minor", "customer_number"]
    )
    op.create_index(
        "leaves_of_corrections",
        "leaves",
        ["period", "origin_period"],
        postgresql_where=sa.text("origin_period <> period"),
    )
