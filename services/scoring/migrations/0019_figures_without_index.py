"""What each event changes of a party has no index of its own; who waits for a score stands apart.

Rankings go by bands of the figures. Pages keep room for new versions of their rows.
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

# How full a page is made, in %: a batch may touch every row of it.
FILLED = {
    "party_figures": 50, "customer_state": 60, "account_figures": 70, "open_leaves": 60,
    "numbers": 60,
}  # fmt: skip


def _band(of: str) -> str:
    return f"""cast(case when {of} = 0 then 0 else sign({of})
  * (1 + floor(ln(cast(abs({of}) as float8)) / ln(cast(1.5 as float8)))) end as integer)"""


def upgrade() -> None:
    op.create_table(
        "scores_waiting",
        sa.Column("party_id", sa.Text, primary_key=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_scores_waiting_due_at", "scores_waiting", ["due_at"])
    op.execute(
        """
        insert into scores_waiting (party_id, due_at)
        select party_id, coalesce(published_at, '-infinity') from party_figures where dirty
        """
    )
    for name in ("contribution", "earned", "dirty"):
        op.drop_index(f"party_figures_{name}", "party_figures")
    op.drop_column("party_figures", "dirty")
    for name, of in (("sum", "sum_minor"), ("earned", "(posted_minor + accrued_minor)")):
        op.add_column(
            "party_figures",
            sa.Column(f"{name}_band", sa.Integer, sa.Computed(_band(of), persisted=True),
                      nullable=False),
        )  # fmt: skip
        op.create_index(
            f"party_figures_{name}_band", "party_figures", [sa.text(f"{name}_band desc")]
        )
    for table, percent in FILLED.items():
        op.execute(f"alter table {table} set (fillfactor = {percent})")
    # The line is short and its rows live for a moment: cleaned by number, not by share.
    op.execute(
        "alter table scores_waiting set (autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_threshold = 20000)"
    )
