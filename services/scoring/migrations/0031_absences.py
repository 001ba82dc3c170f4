"""When a number had no open account: meanwhile its party may be silent without it."""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("left_on", "back_on"):
        op.add_column("customer_state", sa.Column(name, sa.Date, nullable=True))
