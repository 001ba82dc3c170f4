"""Since when each source of events is active: an event dated before it is quarantined."""

from shared.migrations import delivery_tables_v2

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    delivery_tables_v2()
