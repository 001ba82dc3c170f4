"""What the worker refused, and the sequence of a customer's inputs in place of an offset."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "worker_letters",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True),
        sa.Column("topic", sa.Text, nullable=False),
        sa.Column("partition", sa.Integer, nullable=False),
        sa.Column("event_offset", sa.BigInteger, nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("payload", sa.LargeBinary),
        sa.Column("type", sa.Text),
        sa.Column("field", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True)),
        sa.Column("resolved_by", sa.Text),
    )
    op.create_index(
        "worker_letters_position",
        "worker_letters",
        ["topic", "partition", "event_offset"],
        unique=True,
    )
    op.create_index(
        "worker_letters_open",
        "worker_letters",
        ["id"],
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.alter_column("customer_state", "input_position", new_column_name="input_sequence")
