"""What a use costs, by the partition of the worker that took it: another may have refused it."""

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None

# The log that says who took what is folded already, so each partition has all that one took; a rate
# that some refused is put right by *The state anew*. What contacts cost is of no partition.
FILL = """
insert into cost_rates (partition, driver_code, product_code, from_on, value, position)
select s.partition, r.driver_code, r.product_code, r.from_on, r.value, r.position
  from positions s cross join cost_rates r
 where s.topic = 'scoring.state' and split_part(r.driver_code, '/', 1) <> 'contact'
"""
REPLACED = """
delete from cost_rates where partition = -1 and split_part(driver_code, '/', 1) <> 'contact'
"""


def upgrade() -> None:
    op.add_column(
        "cost_rates", sa.Column("partition", sa.Integer, nullable=False, server_default="-1")
    )
    op.drop_constraint("cost_rates_pkey", "cost_rates")
    op.create_primary_key(
        "cost_rates_pkey", "cost_rates", ["partition", "driver_code", "product_code", "from_on"]
    )
    op.execute(FILL)
    op.execute(REPLACED)
    op.alter_column("cost_rates", "partition", server_default=None)
