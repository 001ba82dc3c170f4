"""An alert names its signal, so that what moved its terms is found also where the store came to it
later. A letter of the worker says what amount it is about."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

SIGNALS = """
update alerts a set signal_id = (
  select s.id from signals s
   where s.customer_number = a.customer_number and s.rule = a.rule and s.kind = 'raised'
     and s.score_ppm = a.risk_ppm and s.at <= a.at
   order by s.at desc, s.id limit 1)
"""


def upgrade() -> None:
    op.add_column("alerts", sa.Column("signal_id", sa.Text))
    op.execute(SIGNALS)
    op.drop_column("alerts", "term_events")
    op.add_column("worker_letters", sa.Column("amount_minor", sa.BigInteger))
    op.add_column("worker_letters", sa.Column("currency", sa.Text))
