"""Each close asks for the numbers that leave or come back on its day: found by the day, not by a
look at every number of the partition. Few have ever left, so the indexes are small."""

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("left_on", "back_on"):
        op.create_index(
            f"customer_state_{name}", "customer_state", ["partition", name],
            postgresql_where=sa.text(f"{name} is not null"),
        )  # fmt: skip
