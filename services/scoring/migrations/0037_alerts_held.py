"""While a state is made anew its parties' alerts stand still, and its signals of before are marked.

Where it was made anew by a release of before, signals of then may stand beside those of now: nobody
can tell them apart. *The state anew*, which this release asks for, marks them all.
"""

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts_held",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("through_on", sa.Date),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("after_number", sa.Text, nullable=False, server_default=""),
    )
    op.add_column(
        "signals", sa.Column("of_before", sa.Boolean, nullable=False, server_default="false")
    )
