"""A signal of a rule on an account names its product too: one number may be of several."""

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("signals", "rehearsed_signals"):
        op.add_column(
            table, sa.Column("product_code", sa.Text, nullable=False, server_default=sa.text("''"))
        )
