"""Products, quotes, orders, plans, payments, reminders, and the delivery tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.schema import CreateSequence

from shared.migrations import delivery_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

instant = sa.DateTime(timezone=True)

# A small catalogue to begin with; the bank's own products follow on bank.reference.
PRODUCTS = (
    ("GOLD-BAR-50G", "投资金条 50 克", "Gold bar, 50 g", "fee", 3_980_000),
    ("GOLD-BAR-10G", "投资金条 10 克", "Gold bar, 10 g", "fee", 805_000),
    ("SAFE-BOX-YEAR", "保管箱年租", "Safe deposit box, one year", "fee", 120_000),
    ("POS-TERMINAL", "收单终端", "Card terminal", "fee", 68_000),
    ("CASH-MGMT-SETUP", "现金管理平台开通", "Cash management set-up", "fee", 1_500_000),
    ("PAYROLL-YEAR", "代发工资年费", "Payroll service, one year", "fee", 360_000),
    ("ADVISORY-DAY", "财务顾问人日", "Financial advisory, one day", "fee", 450_000),
    ("GUARANTEE-LETTER", "投标保函", "Bid bond", "fee", 250_000),
)


def upgrade() -> None:
    delivery_tables_v1()
    op.execute(CreateSequence(sa.Sequence("order_numbers", start=10_000_001)))
    _catalogue()
    _quotes()
    _orders()
    _approvals_and_plans()
    _payments()
    _receivables()
    _reminders()
    _products()


def _catalogue() -> None:
    op.create_table(
        "answers",
        sa.Column("caller_id", sa.Text, nullable=False),
        sa.Column("route", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("request_hash", sa.Text, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("body", JSONB, nullable=False),
        sa.Column("answered_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("caller_id", "route", "key"),
    )
    op.create_index("ix_answers_answered_at", "answers", ["answered_at"])
    op.create_table(
        "attributes",
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("name_zh", sa.Text, nullable=False),
        sa.Column("name_en", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("required", sa.Boolean, nullable=False),
        sa.Column("choices", ARRAY(sa.Text), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("code"),
    )
    op.create_table(
        "facts",
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "parties",
        sa.Column("party_id", sa.Text, nullable=False),
        sa.Column("customer_numbers", ARRAY(sa.Text), nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.PrimaryKeyConstraint("party_id"),
    )
    op.create_table(
        "products",
        sa.Column("product_code", sa.Text, nullable=False),
        sa.Column("name_zh", sa.Text, nullable=False),
        sa.Column("name_en", sa.Text, nullable=False),
        sa.Column("line_code", sa.Text, nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger, nullable=True),
        sa.Column("sold", sa.Boolean, server_default=sa.text("true"), nullable=False),
        sa.PrimaryKeyConstraint("product_code"),
    )


def _quotes() -> None:
    op.create_table(
        "quotes",
        sa.Column("quote_id", sa.Text, nullable=False),
        sa.Column("party_id", sa.Text, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("quote_id"),
    )
    op.create_index("ix_quotes_party_id", "quotes", ["party_id"])
    op.create_table(
        "quote_versions",
        sa.Column("quote_id", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("valid_until_on", sa.Date, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("made_by", sa.Text, nullable=False),
        sa.Column("made_at", instant, nullable=False),
        sa.Column("offered_at", instant, nullable=True),
        sa.ForeignKeyConstraint(
            ["quote_id"],
            ["quotes.quote_id"],
        ),
        sa.PrimaryKeyConstraint("quote_id", "version"),
    )


def _orders() -> None:
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("party_id", sa.Text, nullable=False),
        sa.Column("customer_number", sa.Text, nullable=True),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("attributes", JSONB, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("effective_on", sa.Date, nullable=True),
        sa.Column("deliver_days", sa.Integer, nullable=False),
        sa.Column("collect_days", sa.Integer, nullable=False),
        sa.Column("receiving_account", sa.Text, nullable=True),
        sa.Column("owner_id", sa.Text, nullable=False),
        sa.Column("org_path", sa.Text, nullable=False),
        sa.Column("makers", ARRAY(sa.Text), nullable=False),
        sa.Column("content_hash", sa.Text, nullable=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("changed_at", instant, nullable=False),
        sa.Column("effective_at", instant, nullable=True),
        sa.Column("closed_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index("orders_by_status", "orders", ["status", "created_at"])
    op.create_index("orders_newest", "orders", ["created_at", "order_id"])
    op.create_index("orders_of_party", "orders", ["party_id", "created_at"])
    op.create_index(
        "orders_receiving_account",
        "orders",
        ["receiving_account"],
        unique=True,
        postgresql_where=sa.text(
            "receiving_account is not null and closed_at is null and status <> 'cancelled'"
        ),
    )
    op.create_index(
        "orders_with_account",
        "orders",
        ["receiving_account"],
        postgresql_where=sa.text("receiving_account is not null"),
    )


def _approvals_and_plans() -> None:
    op.create_table(
        "approvals",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("request_no", sa.Integer, nullable=False),
        sa.Column("content_hash", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("maker_id", sa.Text, nullable=False),
        sa.Column("asked_at", instant, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=True),
        sa.Column("decided_at", instant, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.order_id"],
        ),
        sa.PrimaryKeyConstraint("order_id", "request_no"),
    )
    op.create_table(
        "order_lines",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("line_no", sa.Integer, nullable=False),
        sa.Column("product_code", sa.Text, nullable=False),
        sa.Column("quantity", sa.Integer, nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
        sa.Column("discount_ppm", sa.Integer, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("quote_id", sa.Text, nullable=True),
        sa.Column("quote_version", sa.Integer, nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.order_id"],
        ),
        sa.PrimaryKeyConstraint("order_id", "line_no"),
    )
    op.create_table(
        "plan_steps",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("step_no", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("due_at", instant, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("done_at", instant, nullable=True),
        sa.Column("done_by", sa.Text, nullable=True),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.order_id"],
        ),
        sa.PrimaryKeyConstraint("order_id", "step_no"),
    )


def _payments() -> None:
    op.create_table(
        "payments",
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("order_id", sa.Text, nullable=True),
        sa.Column("reference", sa.Text, nullable=True),
        sa.Column("why_unmatched", sa.Text, nullable=True),
        sa.Column("customer_number", sa.Text, nullable=False),
        sa.Column("account_number", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("third_party", sa.Boolean, nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.Column("recorded_at", instant, nullable=False),
        sa.PrimaryKeyConstraint("transaction_id"),
    )
    op.create_index("ix_payments_order_id", "payments", ["order_id"])
    op.create_index(
        "payments_unmatched",
        "payments",
        ["recorded_at"],
        postgresql_where=sa.text("why_unmatched is not null"),
    )
    op.create_table(
        "reversals",
        sa.Column("reversed_transaction_id", sa.Text, nullable=False),
        sa.Column("transaction_id", sa.Text, nullable=False),
        sa.Column("booked_on", sa.Date, nullable=False),
        sa.PrimaryKeyConstraint("reversed_transaction_id"),
    )


def _receivables() -> None:
    op.create_table(
        "receivables",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("amount_minor", sa.BigInteger, nullable=False),
        sa.Column("currency", sa.Text, nullable=False),
        sa.Column("due_on", sa.Date, nullable=False),
        sa.Column("paid_minor", sa.BigInteger, nullable=False),
        sa.Column("settlement", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.order_id"],
        ),
        sa.PrimaryKeyConstraint("order_id"),
    )


def _reminders() -> None:
    op.create_table(
        "reminders",
        sa.Column("order_id", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("remind_at", instant, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("fence", JSONB, nullable=True),
        sa.Column("fence_at", instant, nullable=True),
        sa.Column("held_by", JSONB, nullable=True),
        sa.Column("notice_id", sa.Text, nullable=True),
        sa.Column("valid_until", instant, nullable=True),
        sa.Column("why", sa.Text, nullable=True),
        sa.Column("changed_at", instant, nullable=False),
        sa.ForeignKeyConstraint(
            ["order_id"],
            ["orders.order_id"],
        ),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index("ix_reminders_notice_id", "reminders", ["notice_id"])


def _products() -> None:
    products = sa.table(
        "products",
        sa.column("product_code"),
        sa.column("name_zh"),
        sa.column("name_en"),
        sa.column("line_code"),
        sa.column("unit_price_minor"),
    )
    names = ("product_code", "name_zh", "name_en", "line_code", "unit_price_minor")
    op.bulk_insert(products, [dict(zip(names, row, strict=True)) for row in PRODUCTS])
