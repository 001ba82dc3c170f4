"""Bands of figures are wider, so that an event moves fewer customers to another one; the line of
scores has room for new versions of its rows.
"""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def _set(name: str, of: str, growth: int) -> str:
    return f"""alter column {name} set expression as (cast(case when {of} = 0 then 0 else sign({of})
  * (1 + floor(ln(cast(abs({of}) as float8)) / ln(cast({growth} as float8)))) end as integer))"""


def upgrade() -> None:
    sums = _set("sum_band", "sum_minor", 2)
    earned = _set("earned_band", "(posted_minor + accrued_minor)", 2)
    op.execute(f"alter table party_figures {sums}, {earned}")
    op.execute(f"alter table moved {_set('moved_band', 'abs(moved_minor)', 4)}")
    op.execute("alter table scores_waiting set (fillfactor = 50)")
