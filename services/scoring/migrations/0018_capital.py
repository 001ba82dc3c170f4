"""The charge for capital that an account accrued and has not posted."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "open_leaves",
        sa.Column("capital", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
