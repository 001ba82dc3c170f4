"""Managers' assignments for a share, or for one account, are kept to be listed: they split nothing.

Those for one account were heard and not kept until now; a bank that tells them again has them.
"""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "partial_managers",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("account_number", sa.Text, primary_key=True),
        sa.Column("effective_on", sa.Date, primary_key=True),
        sa.Column("manager_code", sa.Text, primary_key=True),
        sa.Column("staff_id", sa.Text),
        sa.Column("share_ppm", sa.Integer, nullable=False),
    )
    op.create_index(
        "partial_managers_latest", "partial_managers",
        [sa.text("effective_on desc"), "customer_number", "account_number", "manager_code"],
    )  # fmt: skip
    op.execute(
        """
        insert into partial_managers
          (customer_number, account_number, effective_on, manager_code, staff_id, share_ppm)
        select customer_number, '', effective_on, manager_code, staff_id, share_ppm
          from managers where share_ppm < 1000000
        """
    )
