"""Bands of figures are wider, so that an event moves fewer customers to another one; the line of
scores has room for new versions of its rows.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def _band(of: str) -> str:
    return f"""cast(case when {of} = 0 then 0 else sign({of})
  * (1 + floor(ln(cast(abs({of}) as float8)) / ln(cast(4 as float8)))) end as integer)"""


def upgrade() -> None:
    for table, name, of in (
        ("party_figures", "sum_band", "sum_minor"),
        ("party_figures", "earned_band", "(posted_minor + accrued_minor)"),
        ("moved", "moved_band", "abs(moved_minor)"),
    ):
        op.execute(f"alter table {table} alter column {name} set expression as ({_band(of)})")
    op.execute("alter table scores_waiting set (fillfactor = 50)")
