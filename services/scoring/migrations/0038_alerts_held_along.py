"""Parties that numbers join or leave while alerts are held wait for the same numbers."""

import sqlalchemy as sa
from alembic import op

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "alerts_held_along",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("party_id", sa.Text, primary_key=True),
    )
    op.create_index("ix_alerts_held_along_party_id", "alerts_held_along", ["party_id"])
