"""Which came later, an opening or a closing of the same day."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "accounts",
        sa.Column("closed_as_of", sa.Text(collation="C"), server_default="", nullable=False),
    )
