"""A close keeps how far it had read: the next one sees what was told since, however late."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("closings", sa.Column("read_until", JSONB, server_default="{}", nullable=False))
