"""Every opening and closing of an account is kept: which closing ends which account of a number."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# What is known of those of before is what stands in `accounts`; the product that an old closing
# named is not.
OPENINGS = """
insert into account_turns (account_number, as_of, party_id, opened, on_day, product_code, currency,
                           branch_code)
select account_number, opened_as_of, party_id, true, opened_on, product_code, currency, branch_code
  from accounts where opened_on is not null
"""
CLOSINGS = """
insert into account_turns (account_number, as_of, party_id, opened, on_day)
select account_number, closed_as_of, party_id, false, closed_on
  from accounts where closed_on is not null
"""


def upgrade() -> None:
    op.create_table(
        "account_turns",
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("as_of", sa.Text(collation="C"), primary_key=True),
        sa.Column("party_id", sa.Text, nullable=False),
        sa.Column("opened", sa.Boolean, nullable=False),
        sa.Column("on_day", sa.Date, nullable=False),
        sa.Column("product_code", sa.Text),
        sa.Column("currency", sa.Text),
        sa.Column("branch_code", sa.Text),
    )
    op.execute(OPENINGS)
    op.execute(CLOSINGS)
