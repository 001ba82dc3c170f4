"""What moved a rule: the place of the event behind a signal, and the broker's time of an event."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("bank_events", sa.Column("appended_at", sa.DateTime(timezone=True)))
    op.add_column("signals", sa.Column("partition", sa.Integer))
    op.add_column("signals", sa.Column("event_offset", sa.BigInteger))
