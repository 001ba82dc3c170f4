"""Sets of rules: proposed, rehearsed, decided, live."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

AT = sa.DateTime(timezone=True)


def _rehearsal_key() -> sa.Column[int]:
    return sa.Column(
        "rehearsal_id", sa.BigInteger(), sa.ForeignKey("rehearsals.id", ondelete="cascade"),
        primary_key=True,
    )  # fmt: skip


def upgrade() -> None:
    op.create_table(
        "rule_sets",
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("base_number", sa.Integer(), nullable=False),
        sa.Column("changes", postgresql.JSONB(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("proposed_by", sa.Text(), nullable=False),
        sa.Column("proposed_at", AT, nullable=False),
        sa.Column("decided_by", sa.Text()),
        sa.Column("decided_at", AT),
        sa.Column("decision_reason", sa.Text()),
        sa.Column("effective_on", sa.Date(), unique=True),
    )
    op.create_table(
        "live_sets",
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("first_on", sa.Date(), nullable=False),
    )
    _rehearsals()


def _rehearsals() -> None:
    op.create_table(
        "rehearsals",
        sa.Column("id", sa.BigInteger(), primary_key=True, autoincrement=True),
        sa.Column("number", sa.Integer(), sa.ForeignKey("rule_sets.number"), nullable=False),
        sa.Column("against", sa.Integer(), nullable=False),
        sa.Column("from_on", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False),
        sa.Column("asked_by", sa.Text(), nullable=False),
        sa.Column("asked_at", AT, nullable=False),
        sa.Column("runner", sa.Text()),
        sa.Column("beat_at", AT),
        sa.Column("ended_at", AT),
        sa.Column("through_on", sa.Date()),
        sa.Column("failure", sa.Text()),
        sa.Column("result", postgresql.JSONB()),
    )
    op.create_index("rehearsals_of_set", "rehearsals", ["number", sa.text("id desc")])
    op.create_index(
        "rehearsals_open", "rehearsals", ["id"],
        postgresql_where=sa.text("state in ('waiting', 'running')"),
    )  # fmt: skip
    op.create_table(
        "rehearsal_parts",
        _rehearsal_key(),
        sa.Column("partition", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("reached", sa.BigInteger(), nullable=False),
        sa.Column("done", sa.Boolean(), nullable=False),
    )
    op.create_table(
        "rehearsed_signals",
        _rehearsal_key(),
        sa.Column("proposed", sa.Boolean(), primary_key=True),
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("customer_number", sa.Text(), nullable=False),
        sa.Column("account_number", sa.Text(), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("carried", sa.Boolean(), nullable=False),
        sa.Column("at", AT, nullable=False),
        sa.Column("on_date", sa.Date(), nullable=False),
        sa.Column("episode", sa.BigInteger(), nullable=False),
        sa.Column("score_ppm", sa.Integer(), nullable=False),
        sa.Column("model_version", sa.Text(), nullable=False),
    )
    op.create_index(
        "rehearsed_signals_of_customer", "rehearsed_signals", ["rehearsal_id", "customer_number"]
    )
