"""The leaves behind a line of a month's report find an index."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "leaves_of_month", "leaves", ["period", "component", "product_code", "customer_number"]
    )
