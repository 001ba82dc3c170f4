"""What can be recovered of an alert's margin at risk, by what came of its rule's alerts so far."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0010"
branch_labels = None
depends_on = None

JUDGED = """
update alerts a set saved = x.saved
  from (select pa.alert_id, bool_or(p.outcome_code in ('kept', 'recovering')) as saved
          from process_alerts pa join processes p using (process_instance_id)
         where p.outcome_code in ('kept', 'recovering', 'lost', 'false_alarm')
         group by pa.alert_id) x
 where a.alert_id = x.alert_id
"""
COUNTED = """
insert into rule_outcomes
select rule, count(*) filter (where saved), count(*) from alerts
 where saved is not null group by rule
"""


def upgrade() -> None:
    op.create_table(
        "rule_outcomes",
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("saved", sa.BigInteger, nullable=False),
        sa.Column("judged", sa.BigInteger, nullable=False),
    )
    op.add_column("alerts", sa.Column("saved", sa.Boolean))
    op.add_column("alerts", sa.Column("recoverable_minor", sa.Numeric(38, 0)))
    op.execute(JUDGED)
    op.execute(COUNTED)
    # Nothing was told with those raised before: they rank by the margin at risk, as workflow does.
    op.execute("update alerts set recoverable_minor = margin_at_risk_minor")
    op.alter_column("alerts", "recoverable_minor", nullable=False)
    op.create_index(
        "alerts_ranked",
        "alerts",
        [sa.text("recoverable_minor desc"), "alert_id"],
        postgresql_where=sa.text("valid and told and ended_at is null"),
    )
    op.create_index(
        "processes_open",
        "processes",
        ["party_id"],
        postgresql_where=sa.text("finished_at is null"),
    )
