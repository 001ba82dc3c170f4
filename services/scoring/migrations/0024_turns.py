"""What is told of parties costs fewer writes: a party's turn stands with its figures, its version
in the line, its posted components are kept added up; who moved most is found by bands.
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MOVED = "abs(moved_minor)"
BAND = f"""cast(case when {MOVED} = 0 then 0 else sign({MOVED})
  * (1 + floor(ln(cast(abs({MOVED}) as float8)) / ln(cast(1.5 as float8)))) end as integer)"""


def upgrade() -> None:
    op.add_column("party_figures", sa.Column("turn_at", sa.DateTime(timezone=True)))
    op.add_column(
        "scores_waiting",
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.execute(
        "update scores_waiting w set version = f.version from party_figures f"
        " where f.party_id = w.party_id"
    )
    op.create_table(
        "customer_components",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("component", sa.Text, primary_key=True),
        sa.Column("posted_minor", sa.Numeric(38, 0), nullable=False),
    )
    op.execute(
        """
        insert into customer_components (customer_number, component, posted_minor)
        select customer_number, component, sum(amount_minor) from leaves group by 1, 2
        """
    )
    op.add_column(
        "moved", sa.Column("moved_band", sa.Integer, sa.Computed(BAND, persisted=True),
                           nullable=False),
    )  # fmt: skip
    op.drop_index("moved_most", "moved")
    op.create_index("moved_most", "moved", ["on_date", sa.text("moved_band desc")])
    op.execute("alter table moved set (fillfactor = 70)")
