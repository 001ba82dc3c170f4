"""Parties of several numbers wait to be asked for an outflow of their sums.

All that are there wait at once: until now an outflow of any number was one of its party. A
rehearsal, which asks them too, notes up to which day its partitions are closed.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outflows_waiting",
        sa.Column("party_id", sa.Text, primary_key=True),
        sa.Column("due_on", sa.Date, nullable=False),
    )
    op.create_index("ix_outflows_waiting_due_on", "outflows_waiting", ["due_on"])
    op.add_column("rehearsal_parts", sa.Column("closed_on", sa.Date))
    op.execute(
        "insert into outflows_waiting (party_id, due_on)"
        " select party_id, date '0001-01-01' from party_figures where numbers > 1"
    )
