"""Event store, figures, signals, alerts and what became of them; the delivery tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

from shared.migrations import delivery_tables_v1

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
SUM = sa.Numeric(38, 0)
ZERO = sa.text("0")

RULE_PRECISION = """
create view rule_precision as
with judged as (
  select a.alert_id, a.rule, a.ended_at,
         bool_or(p.outcome_code in ('kept', 'recovering', 'lost')) as confirmed,
         bool_or(p.outcome_code = 'false_alarm') as false_alarm
    from alerts a
    left join process_alerts pa on pa.alert_id = a.alert_id
    left join processes p on p.process_instance_id = pa.process_instance_id
   where a.valid
   group by a.alert_id
)
select rule,
       count(*) as alerts,
       count(*) filter (where ended_at is null) as open,
       count(*) filter (where confirmed) as confirmed,
       count(*) filter (where false_alarm and not coalesce(confirmed, false)) as false_alarms
  from judged
 group by rule
"""


def upgrade() -> None:
    delivery_tables_v1()
    _events()
    _numbers()
    _figures_of_customers()
    _figures_of_parties()
    _reference()
    _control_totals()
    _signals()
    _alerts()
    _processes()
    op.execute(RULE_PRECISION)


def _text(name: str, *, nullable: bool = False) -> sa.Column:
    return sa.Column(name, sa.Text, nullable=nullable)


def _whole(name: str, kind: object = sa.BigInteger, **options: object) -> sa.Column:
    return sa.Column(name, kind, nullable=False, **options)


def _day(name: str) -> sa.Column:
    return sa.Column(name, sa.Date)


def _events() -> None:
    op.create_table(
        "bank_events",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("event_offset", sa.BigInteger, primary_key=True, autoincrement=False),
        *(
            _text(name, nullable=True)
            for name in (
                "source", "event_id", "type", "customer_number", "account_number",
                "product_code", "kind", "initiated_by",
            )
        ),
        _day("businessdate"),
        sa.Column("time", INSTANT),
        sa.Column("amount_minor", sa.BigInteger),
        *(_text(name, nullable=True) for name in ("currency", "channel_code", "purpose_code")),
    )  # fmt: skip
    op.create_index("bank_events_identity", "bank_events", ["source", "event_id"])
    op.create_index("bank_events_of_customer", "bank_events", ["customer_number", "event_offset"])


def _numbers() -> None:
    op.create_table(
        "numbers",
        sa.Column("customer_number", sa.Text, primary_key=True),
        _text("party_id", nullable=True),
        sa.Column("party_as_of", INSTANT),
        *(
            _text(name, nullable=True)
            for name in (
                "kind", "home_branch_code", "manager_code", "manager_staff_id", "branch_code",
            )
        ),
    )  # fmt: skip
    for name in ("party_id", "manager_code", "manager_staff_id", "branch_code"):
        op.create_index(f"ix_numbers_{name}", "numbers", [name])
    op.create_table(
        "managers",
        sa.Column("customer_number", sa.Text, primary_key=True),
        sa.Column("effective_on", sa.Date, primary_key=True),
        sa.Column("manager_code", sa.Text, primary_key=True),
        _text("staff_id", nullable=True),
        _text("branch_code", nullable=True),
        _whole("share_ppm", sa.Integer),
    )


def _figures_of_customers() -> None:
    op.create_table(
        "customer_state",
        sa.Column("customer_number", sa.Text, primary_key=True),
        _whole("partition", sa.Integer),
        *(
            _whole(name)
            for name in (
                "position", "input_position", "state_offset", "count", "customer_count",
                "sum_minor", "activity",
            )
        ),
        *(_day(name) for name in ("activity_on", "first_on", "last_on")),
        _whole("mean_minor"),
        _day("mean_on"),
        _whole("outflow", sa.Boolean),
        _whole("outflow_episode"),
        _day("recovers_on"),
        _whole("silence", sa.Boolean),
        _whole("silence_episode"),
        _day("silent_on"),
    )  # fmt: skip
    op.create_table(
        "account_figures",
        *(
            sa.Column(name, sa.Text, primary_key=True)
            for name in ("customer_number", "account_number", "product_code", "currency")
        ),
        _whole("sum_minor"),
        _whole("count"),
        _day("last_on"),
    )


def _figures_of_parties() -> None:
    op.create_table(
        "party_figures",
        sa.Column("party_id", sa.Text, primary_key=True),
        _whole("numbers", sa.Integer, server_default=ZERO),
        _whole("sum_minor", SUM, server_default=ZERO),
        _whole("count", server_default=ZERO),
        _whole("customer_count", server_default=ZERO),
        _whole("mean_minor", SUM, server_default=ZERO),
        _day("last_on"),
        _day("as_of_on"),
        _whole("outflow_risk_ppm", sa.Integer, server_default=ZERO),
        _whole("silence_risk_ppm", sa.Integer, server_default=ZERO),
        _whole("margin_at_risk_minor", SUM, server_default=ZERO),
        _whole("dirty", sa.Boolean, server_default=sa.text("false")),
        sa.Column("published_at", INSTANT),
    )
    op.create_index(
        "party_figures_contribution", "party_figures", [sa.text("sum_minor desc"), "party_id"]
    )
    op.create_index(
        "party_figures_risk",
        "party_figures",
        [sa.text("margin_at_risk_minor desc"), "party_id"],
        postgresql_where=sa.text("margin_at_risk_minor > 0"),
    )
    op.create_index(
        "party_figures_dirty",
        "party_figures",
        ["published_at"],
        postgresql_where=sa.text("dirty"),
    )


def _reference() -> None:
    op.create_table(
        "products",
        sa.Column("product_code", sa.Text, primary_key=True),
        _whole("names", JSONB),
        _text("line_code"),
        _whole("position"),
    )
    op.create_table(
        "went_live",
        sa.Column("source", sa.Text, primary_key=True),
        _whole("on_date", sa.Date),
        _whole("position"),
    )


def _control_totals() -> None:
    op.create_table(
        "control_totals",
        sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
        _whole("position"),
        _whole("count"),
        _whole("sums", JSONB),
        _day("watermark_on"),
    )


def _signals() -> None:
    op.create_table(
        "signals",
        sa.Column("id", sa.Text, primary_key=True),
        *(_text(name) for name in ("customer_number", "rule", "kind")),
        _whole("at", INSTANT),
        _whole("on_date", sa.Date),
        _whole("episode"),
        _whole("score_ppm", sa.Integer),
        _whole("terms", JSONB),
        _whole("event_ids", sa.ARRAY(sa.Text)),
        _text("model_version"),
        _whole("pending", sa.Boolean),
    )
    op.create_index("ix_signals_customer_number", "signals", ["customer_number"])
    op.create_index(
        "signals_pending", "signals", ["customer_number"], postgresql_where=sa.text("pending")
    )


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Text, primary_key=True),
        _text("party_id"),
        _text("rule"),
        _whole("episode", sa.Integer),
        _whole("at", INSTANT),
        sa.Column("ended_at", INSTANT),
        _whole("valid", sa.Boolean),
        _whole("told", sa.Boolean),
        _text("reason_code", nullable=True),
        _text("customer_number"),
        _whole("risk_ppm", sa.Integer),
        *(
            _whole(name, SUM)
            for name in ("contribution_minor", "at_stake_minor", "margin_at_risk_minor")
        ),
        _text("currency"),
        _whole("terms", JSONB),
        _whole("event_ids", sa.ARRAY(sa.Text)),
        _whole("text", JSONB),
        _text("model_version"),
    )
    op.create_index("alerts_of_party", "alerts", ["party_id", "rule"])
    op.create_index(
        "alerts_open",
        "alerts",
        [sa.text("margin_at_risk_minor desc"), "alert_id"],
        postgresql_where=sa.text("valid and ended_at is null"),
    )
    op.create_index(
        "alerts_latest",
        "alerts",
        [sa.text("at desc"), "alert_id"],
        postgresql_where=sa.text("valid"),
    )


def _processes() -> None:
    op.create_table(
        "processes",
        sa.Column("process_instance_id", sa.Text, primary_key=True),
        _text("party_id", nullable=True),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        _text("outcome_code", nullable=True),
        sa.Column("outcome_text", JSONB),
    )
    op.create_table(
        "process_alerts",
        sa.Column(
            "process_instance_id",
            sa.Text,
            sa.ForeignKey("processes.process_instance_id"),
            primary_key=True,
        ),
        sa.Column("alert_id", sa.Text, primary_key=True),
    )
    op.create_index("ix_process_alerts_alert_id", "process_alerts", ["alert_id"])
