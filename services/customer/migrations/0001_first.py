"""The customer view: parties, what they hold, who they know, what was heard; delivery tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import delivery_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
MARK = sa.Text(collation="C")


def upgrade() -> None:
    delivery_tables_v1()
    _parties()
    _names()
    _merges()
    _personal()
    _holdings()
    _relationships()
    _heard()
    _work()
    _requests()


def _parties() -> None:
    op.create_table(
        "parties",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("customer_number", sa.Text(), nullable=True),
        sa.Column("prospect_id", sa.Text(), nullable=True),
        sa.Column("root_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("folded", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("firm", JSONB(), nullable=True),
        sa.Column("wanted", JSONB(), nullable=True),
        sa.Column("master_source", sa.Text(), nullable=True),
        sa.Column("master_at", INSTANT, nullable=True),
        sa.Column("master_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("home_branch_code", sa.Text(), nullable=True),
        sa.Column("region_code", sa.Text(), nullable=True),
        sa.Column("district_code", sa.Text(), nullable=True),
        sa.Column("segment_code", sa.Text(), nullable=True),
        sa.Column("placed_source", sa.Text(), nullable=True),
        sa.Column("placed_at", INSTANT, nullable=True),
        sa.Column("placed_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("manager_code", sa.Text(), nullable=True),
        sa.Column("manager_since_on", sa.Date(), nullable=True),
        sa.Column("branch_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("party_id"),
        sa.UniqueConstraint("customer_number"),
        sa.UniqueConstraint("prospect_id"),
    )
    op.create_index(op.f("ix_parties_root_id"), "parties", ["root_id"], unique=False)
    op.create_index(
        "parties_branch", "parties", ["branch_code", "folded", "party_id"], unique=False
    )
    op.create_index(
        "parties_manager", "parties", ["manager_code", "folded", "party_id"], unique=False
    )
    op.create_index(
        "parties_number",
        "parties",
        ["customer_number"],
        unique=False,
        postgresql_ops={"customer_number": "text_pattern_ops"},
    )


def _names() -> None:
    op.create_table(
        "name_parts",
        sa.Column("inner_part", sa.Boolean(), nullable=False),
        sa.Column("part", MARK, nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("position", sa.SmallInteger(), nullable=False),
        sa.PrimaryKeyConstraint("inner_part", "part", "party_id", "position"),
    )
    op.create_index("name_parts_party", "name_parts", ["party_id"], unique=False)


def _merges() -> None:
    op.create_table(
        "merges",
        sa.Column("merge_id", sa.Text(), nullable=False),
        sa.Column("from_party_id", sa.Text(), nullable=False),
        sa.Column("into_party_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("merged_by", sa.Text(), nullable=False),
        sa.Column("merged_at", INSTANT, nullable=False),
        sa.Column("unmerged_by", sa.Text(), nullable=True),
        sa.Column("unmerged_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("merge_id"),
    )
    op.create_index(op.f("ix_merges_into_party_id"), "merges", ["into_party_id"], unique=False)
    op.create_index(
        "merges_open",
        "merges",
        ["from_party_id"],
        unique=True,
        postgresql_where=sa.text("unmerged_at is null"),
    )


def _personal() -> None:
    op.create_table(
        "subject_keys",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("party_id"),
    )
    op.create_table(
        "sealed",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("masks", JSONB(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "kind", "ref"),
    )
    op.create_table(
        "blind_indexes",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "party_id"),
    )
    op.create_index(op.f("ix_blind_indexes_party_id"), "blind_indexes", ["party_id"], unique=False)


def _holdings() -> None:
    op.create_table(
        "accounts",
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("product_code", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("branch_code", sa.Text(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("opened_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("balance_minor", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("booked_at", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("account_number"),
    )
    op.create_index(op.f("ix_accounts_party_id"), "accounts", ["party_id"], unique=False)
    op.create_table(
        "holders",
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("share_ppm", sa.Integer(), nullable=True),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint("account_number", "party_id"),
    )
    op.create_index(op.f("ix_holders_party_id"), "holders", ["party_id"], unique=False)
    op.create_table(
        "loans",
        sa.Column("loan_number", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=True),
        sa.Column("product_code", sa.Text(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("principal_minor", sa.BigInteger(), nullable=True),
        sa.Column("months", sa.Integer(), nullable=True),
        sa.Column("instalment_minor", sa.BigInteger(), nullable=True),
        sa.Column("granted_on", sa.Date(), nullable=True),
        sa.Column("granted_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("status", sa.Text(), nullable=True),
        sa.Column("status_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("overdue_minor", sa.BigInteger(), nullable=True),
        sa.Column("overdue_since_on", sa.Date(), nullable=True),
        sa.Column("overdue_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("loan_number"),
    )
    op.create_index(op.f("ix_loans_party_id"), "loans", ["party_id"], unique=False)
    op.create_table(
        "services_used",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "kind", "ref"),
    )


def _relationships() -> None:
    op.create_table(
        "managers",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("account_number", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("manager_code", sa.Text(), nullable=False),
        sa.Column("share_ppm", sa.Integer(), nullable=True),
        sa.Column("branch_code", sa.Text(), nullable=True),
        sa.Column("reason_code", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint("party_id", "account_number", "effective_on", "manager_code"),
    )
    op.create_table(
        "relations",
        sa.Column("from_party_id", sa.Text(), nullable=False),
        sa.Column("to_party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("loan_number", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("effective_on", sa.Date(), nullable=False),
        sa.Column("ended_on", sa.Date(), nullable=True),
        sa.Column("share_ppm", sa.Integer(), nullable=True),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint(
            "from_party_id", "to_party_id", "kind", "loan_number", "effective_on"
        ),
    )
    op.create_index(op.f("ix_relations_to_party_id"), "relations", ["to_party_id"], unique=False)
    op.create_table(
        "contacts",
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("as_of", MARK, nullable=False),
        sa.PrimaryKeyConstraint("contact_id"),
    )
    op.create_index("contacts_party", "contacts", ["party_id", "at"], unique=False)


def _heard() -> None:
    op.create_table(
        "timeline",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("ref", sa.Text(), nullable=True),
        sa.Column("facts", JSONB(), nullable=True),
        sa.PrimaryKeyConstraint("party_id", "at", "entry_id"),
    )
    op.create_table(
        "scores",
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party_id"),
    )
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("raised_at", INSTANT, nullable=True),
        sa.Column("raised", JSONB(), nullable=True),
        sa.Column("raised_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.Column("cleared_at", INSTANT, nullable=True),
        sa.Column("cleared", JSONB(), nullable=True),
        sa.Column("cleared_as_of", MARK, server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("alert_id"),
    )
    op.create_index(op.f("ix_alerts_party_id"), "alerts", ["party_id"], unique=False)


def _work() -> None:
    op.create_table(
        "processes",
        sa.Column("process_instance_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=True),
        sa.Column("definition", sa.Text(), nullable=True),
        sa.Column("started_at", INSTANT, nullable=True),
        sa.Column("finished_at", INSTANT, nullable=True),
        sa.Column("outcome_code", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("process_instance_id"),
    )
    op.create_index(op.f("ix_processes_party_id"), "processes", ["party_id"], unique=False)
    op.create_table(
        "tasks",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=True),
        sa.Column("process_instance_id", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("staff_id", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("due_at", INSTANT, nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("task_id"),
    )
    op.create_index(op.f("ix_tasks_party_id"), "tasks", ["party_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("order_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("amount_sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    op.create_index(op.f("ix_orders_party_id"), "orders", ["party_id"], unique=False)


def _requests() -> None:
    op.create_table(
        "service_requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("party_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("facts", JSONB(), nullable=False),
        sa.Column("requested_by", sa.Text(), nullable=False),
        sa.Column("requested_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("request_id"),
    )
    op.create_index(
        op.f("ix_service_requests_party_id"), "service_requests", ["party_id"], unique=False
    )
    op.create_table(
        "described",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("names", JSONB(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "code"),
    )
    op.create_table(
        "intake",
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.Column("body_hash", sa.BigInteger(), nullable=False),
        sa.Column("taken_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("source", "event_id"),
    )
