"""What can be recovered of an alert's margin at risk, by what came of its rule's alerts so far;
risks of a party by rule, also those of a model; advice with a finding.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
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


RISKS = """
update party_figures f
   set risk_ppm = jsonb_build_object('outflow', outflow_risk_ppm, 'silence', silence_risk_ppm)
                  || coalesce((select jsonb_object_agg(a.rule, a.risk_ppm) from (
                       select rule, coalesce(max(risk_ppm) filter (where ended_at is null), 0)
                              as risk_ppm
                         from alerts where party_id = f.party_id and valid group by rule) a), '{}')
 where margin_at_risk_minor > 0 or exists (select from alerts a where a.party_id = f.party_id)
"""


def upgrade() -> None:
    op.create_table(
        "rule_outcomes",
        sa.Column("rule", sa.Text, primary_key=True),
        sa.Column("saved", sa.BigInteger, nullable=False),
        sa.Column("judged", sa.BigInteger, nullable=False),
    )
    op.add_column("alerts", sa.Column("saved", sa.Boolean))
    op.add_column("alerts", sa.Column("advice", JSONB))
    op.add_column("alerts", sa.Column("recoverable_minor", sa.Numeric(38, 0)))
    op.execute(JUDGED)
    op.execute(COUNTED)
    # Nothing was told with those raised before: they rank by the margin at risk, as workflow does.
    op.execute("update alerts set recoverable_minor = margin_at_risk_minor")
    op.alter_column("alerts", "recoverable_minor", nullable=False)
    none = sa.text("""'{"outflow": 0, "silence": 0}'""")
    op.add_column(
        "party_figures", sa.Column("risk_ppm", JSONB, nullable=False, server_default=none)
    )
    op.execute(RISKS)
    op.drop_column("party_figures", "outflow_risk_ppm")
    op.drop_column("party_figures", "silence_risk_ppm")
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
