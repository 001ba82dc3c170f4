"""Since when the alerts of a partition are held; of those that are held now, since now."""

import sqlalchemy as sa
from alembic import op

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("alerts_held", sa.Column("held_at", sa.DateTime(timezone=True)))
    op.execute("update alerts_held set held_at = now()")
