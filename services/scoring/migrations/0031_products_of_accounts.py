"""Two accounts of one number may have one product for their overdrafts: their leaves stay apart."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

KEY = ("customer_number", "account_number", "loan_number", "product_code", "component", "period",
       "origin_period", "account_product_code", "owner_number")  # fmt: skip
# Of a leaf that stands already, as the worker says it from now on, so that it knows it again when
# it comes once more: the account that has this product below zero. Where several of one number
# have it only the first to come was kept; whose it is nobody knows.
FILL = """
update leaves l set account_product_code = o.product_code
  from (select customer_number, account_number, below_product_code,
               min(product_code) as product_code
          from open_leaves where owner_number = '' and loan_number = ''
         group by customer_number, account_number, below_product_code
        having count(*) = 1) o
 where l.loan_number = '' and l.component in ('ftp', 'el', 'capital', 'interest_recv')
   and coalesce(nullif(l.owner_number, ''), l.customer_number) = o.customer_number
   and l.account_number = o.account_number and l.product_code = o.below_product_code
   and not exists (
     select 1 from open_leaves own
      where own.owner_number = '' and own.loan_number = ''
        and (own.customer_number, own.account_number, own.product_code)
            = (o.customer_number, o.account_number, o.below_product_code))
"""


def upgrade() -> None:
    op.add_column(
        "leaves",
        sa.Column("account_product_code", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.drop_constraint("leaves_pkey", "leaves")
    op.execute(FILL)
    op.create_primary_key("leaves_pkey", "leaves", list(KEY))
