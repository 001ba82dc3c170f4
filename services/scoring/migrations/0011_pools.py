"""Actual costs, their pools and how they were spread; the cost of contacts."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

WHOLE = sa.Numeric(38, 0)
POOL = ("period", "origin_period", "cost_centre_code", "driver_code")


def _key(*names: str) -> tuple[sa.Column[str], ...]:
    return tuple(sa.Column(name, sa.Text, primary_key=True) for name in names)


def _whole(*names: str) -> tuple[sa.Column[int], ...]:
    return tuple(sa.Column(name, WHOLE, nullable=False) for name in names)


def upgrade() -> None:
    op.add_column(
        "open_leaves",
        sa.Column("contact", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.create_index(
        "open_leaves_of_contacts", "open_leaves", ["customer_number"],
        postgresql_where=sa.text("contact <> 0"),
    )  # fmt: skip
    op.create_index("bank_events_on", "bank_events", ["businessdate"], postgresql_using="brin")
    op.create_index(
        "bank_events_of_contacts", "bank_events", ["customer_number", "businessdate"],
        postgresql_where=sa.text("type = 'bank.contact_recorded.v1'"),
    )  # fmt: skip
    op.create_index(
        "bank_events_of_openings", "bank_events", ["customer_number", "account_number"],
        postgresql_where=sa.text("type in ('bank.account_opened.v1', 'bank.account_closed.v1')"),
    )  # fmt: skip
    _costs()
    op.create_table(
        "closings",
        *_key("period"),
        sa.Column("after_number", sa.Text, nullable=False),
        sa.Column("posted", sa.Boolean, nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "allocations",
        *_key(*POOL),
        sa.Column("component", sa.Text, nullable=False),
        *_whole("actual_minor", "charged_minor", "before_minor", "amount_minor", "weight"),
    )
    op.create_table(
        "allocation_products",
        *_key(*POOL, "product_code"),
        *_whole("weight", "amount_minor", "shared_minor"),
    )
    op.create_table(
        "allocation_shares",
        *_key(*POOL, "product_code", "customer_number", "account_number"),
        *_whole("weight", "amount_minor"),
    )
    op.create_index(
        "allocation_shares_of_customer", "allocation_shares", ["period", "customer_number"]
    )


def _costs() -> None:
    op.create_table(
        "cost_rates",
        *_key("driver_code", "product_code"),
        sa.Column("from_on", sa.Date, primary_key=True),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "costs",
        *_key("source", "cost_id"),
        sa.Column("cost_centre_code", sa.Text, nullable=False),
        sa.Column("driver_code", sa.Text),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("period", sa.Text, nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("set_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "cost_pools",
        *_key("cost_centre_code"),
        sa.Column("from_on", sa.Date, primary_key=True),
        sa.Column("names", sa.dialects.postgresql.JSONB, nullable=False),
        sa.Column("driver_code", sa.Text),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
