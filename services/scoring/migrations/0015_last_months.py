"""The contribution of the last twelve months by customer number and by party, and its ranking."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

WHOLE = sa.Numeric(38, 0)


def upgrade() -> None:
    for table in ("numbers", "party_figures"):
        op.add_column(
            table,
            sa.Column("last_12_months_minor", WHOLE, nullable=False, server_default=sa.text("0")),
        )
    # The month that the sum reaches to; none: nothing was ever posted. The job moves all on.
    op.add_column("numbers", sa.Column("months_through", sa.Text))
    op.execute(
        "update numbers n set months_through = '' where exists (select 1 from customer_months m "
        "where m.customer_number = n.customer_number)"
    )
    op.create_index("ix_numbers_months_through", "numbers", ["months_through"])
    op.create_index(
        "party_figures_last_months",
        "party_figures",
        [sa.text("last_12_months_minor desc"), sa.text("party_id desc")],
        postgresql_where=sa.text("numbers > 0"),
    )
