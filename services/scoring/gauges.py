"""Figures of the query side for Prometheus, straight from the tables."""

from collections.abc import Iterator

from prometheus_client import Gauge
from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import text

from services.scoring.queries import precision, totals, turnover
from services.scoring.queries.totals import control_totals
from services.scoring.settings import ScoringSettings
from shared.clock import wall_now
from shared.db import Database
from shared.runtime import Runtime

TOPIC = "bank.events"
WORKER_BEHIND = Gauge(
    "guanxi_worker_behind", f"Messages of {TOPIC} after the worker's last total", ["partition"]
)
WORKER_TOLD = Gauge("guanxi_worker_told_position", "Where its last total stands", ["partition"])
TOLD = text("select partition, position from control_totals")
SIZES = text(
    """
    select (select count(*) from numbers where party_id is null) as without_party,
           (select count(*) from scores_waiting) as waiting,
           (select count(*) from signals where pending) as pending,
           (select count(*) from alerts_held) as alerts_held,
           (select count(*) from figures_of_before) as figures_of_before,
           (select count(*) from partial_managers) as partial_managers
    """
)
DAYS_BEHIND = text(
    """
    select partition, coalesce(
             closed_on - through_on, 1 + closed_on - (select min(settled_on) from open_leaves), 0)
      from rolls
    """
)
# What a partition whose alerts are held waits for first; see commands.alerts_anew. The others wait
# for nothing: whoever watches must see that it is looked at.
HELD = text(
    """
    select coalesce(h.partition, r.partition),
           coalesce(extract(epoch from cast(:now as timestamptz) - h.held_at), 0),
           case when h.partition is null then ''
                when h.through_on is not null and coalesce(r.closed_on < h.through_on, true)
                then 'close'
                when coalesce(t.position, -1) < h.position then 'total' else 'job' end
      from rolls r full join alerts_held h using (partition)
      left join control_totals t on t.partition = h.partition
    """
)
LETTERS = text(
    """
    select k.kind, count(l.id) from (values ('dead'), ('quarantined')) as k(kind)
      left join worker_letters l on l.kind = k.kind and l.state = 'waiting'
     group by k.kind
    """
)


def worker_behind(runtime: Runtime) -> int:
    """Messages that the worker has not told of, asked of the broker: also right where the worker
    itself stands still, which could count nothing."""
    ends = runtime.end_offsets(TOPIC)
    with runtime.database.read() as session:
        told = {row.partition: row.position for row in session.execute(TOLD)}
    behind = 0
    for number, end in ends.items():
        position = told.get(number, -1)
        messages = max(end - 1 - position, 0)
        WORKER_TOLD.labels(str(number)).set(position)
        WORKER_BEHIND.labels(str(number)).set(messages)
        behind += messages
    return behind


def gauges(database: Database) -> Iterator[Metric]:
    """Alerts by rule, precision, customers folded, what waits, residual against the worker."""
    alerts = GaugeMetricFamily("guanxi_alerts_by_rule", "Alerts ever raised", labels=["rule"])
    open_alerts = GaugeMetricFamily("guanxi_alerts_open", "Alerts that hold", labels=["rule"])
    right = GaugeMetricFamily(
        "guanxi_rule_precision_ppm", "Confirmed of those that staff judged", labels=["rule"]
    )
    sizes = GaugeMetricFamily("guanxi_scoring_rows", "Rows of the query side", labels=["what"])
    behind = GaugeMetricFamily(
        "guanxi_fold_behind", "Transactions told by the worker, not yet folded",
        labels=["partition"],
    )  # fmt: skip
    residual = GaugeMetricFamily(
        "guanxi_totals_residual_minor",
        "Folded sums less the worker's at equal positions; must be 0",
        labels=["partition"],
    )
    letters = GaugeMetricFamily(
        "guanxi_worker_letters", "Messages that the worker refused, waiting for a decision",
        labels=["service", "kind"],
    )  # fmt: skip
    unsettled = GaugeMetricFamily(
        "guanxi_turnover_days_behind", "Days closed whose turnover is not settled"
    )
    unaccrued = GaugeMetricFamily(
        "guanxi_accrued_days_behind", "Days closed that are not in what is open of all accounts",
        labels=["partition"],
    )  # fmt: skip
    held = GaugeMetricFamily(
        "guanxi_alerts_held_seconds",
        "Since when the alerts of a partition stand still, and what it waits for",
        labels=["partition", "waits_for"],
    )
    with database.read() as session:
        for number, age, waits_for in session.execute(HELD, {"now": wall_now()}):
            held.add_metric([str(number), waits_for], float(max(age, 0)))
        for number, closed_days in session.execute(DAYS_BEHIND):
            unaccrued.add_metric([str(number)], closed_days)
        days = turnover.days_behind(session)
        if days is not None and ScoringSettings().watch_turnover:
            unsettled.add_metric([], days)
        for rule, found in precision.by_rule(session, database.settings.zone).items():
            alerts.add_metric([rule], found.alerts)
            open_alerts.add_metric([rule], found.open)
            if found.ppm is not None:
                right.add_metric([rule], found.ppm)
        for name, value in session.execute(SIZES).mappings().one().items():
            sizes.add_metric([str(name)], value)
        for control in control_totals(session):
            partition = str(control.partition)
            behind.add_metric([partition], max(control.told_count - control.folded_count, 0))
            if control.residual_minor is not None:
                residual.add_metric([partition], control.residual_minor)
        last = totals.checked(session)
        if last is not None:
            yield from _of_check(last)
            sizes.add_metric(["customers"], last.transactions.customer_count)
        for kind, waiting in session.execute(LETTERS):
            letters.add_metric([database.settings.service, kind], waiting)
    yield from (alerts, open_alerts, right, sizes, behind, residual, letters, unsettled,
                unaccrued, held)  # fmt: skip


def _of_check(last: totals.Checked) -> Iterator[Metric]:
    """The residuals that the last check of all rows found, its age, and how long it took."""
    ways = GaugeMetricFamily(
        "guanxi_contribution_residual_minor",
        "Contribution added up this way less the bank's, posted and accrued; must be 0",
        labels=["way"],
    )
    for way, apart in last.contribution_residuals().items():
        ways.add_metric([way], apart)
    yield ways
    yield GaugeMetricFamily(
        "guanxi_transactions_residual_minor",
        "Greatest difference of two ways of adding up net transactions; must be 0",
        value=last.transactions.residual_minor,
    )
    yield GaugeMetricFamily(
        "guanxi_sums_checked_age_seconds", "Since the last check of the two residuals above",
        value=(wall_now() - last.checked_at).total_seconds(),
    )  # fmt: skip
    yield GaugeMetricFamily(
        "guanxi_sums_check_took_seconds", "How long that check took", value=last.took_ms / 1_000
    )
