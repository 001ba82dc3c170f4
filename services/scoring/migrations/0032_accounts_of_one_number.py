"""Openings say of which product the account is, for several may have one number; stored events say
the day from which their money counts."""

import sqlalchemy as sa
from alembic import op

from services.scoring.settings import home_currency

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

STORED = """
  from bank_events e
 where e.customer_number = o.customer_number and e.account_number = o.account_number
   and e.event_offset = o.event_offset and e.type = 'bank.account_opened.v1'
"""
PRODUCTS = f"""
update account_openings o set product_code = coalesce(e.product_code, '') {STORED}
"""  # noqa: S608 - names are ours
# Who held such an account stays in `account_holders`: so what was given to him is taken back when
# the owner's record is told next.
FOREIGN = f"""
delete from account_openings o where exists (select 1 {STORED} and e.currency <> :home)
"""  # noqa: S608 - names are ours


def upgrade() -> None:
    op.add_column(
        "account_openings",
        sa.Column("product_code", sa.Text, nullable=False, server_default=sa.text("''")),
    )
    op.add_column("bank_events", sa.Column("value_on", sa.Date))
    op.execute(PRODUCTS)
    op.execute(sa.text(FOREIGN).bindparams(home=home_currency()))
