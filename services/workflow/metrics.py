"""Figures of workflow for Prometheus, straight from the tables."""

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import func, select

from services.workflow.tables import AlertRow, InstanceRow, TaskRow, WaitingPartyRow
from shared.db import Database


def tasks_by_state(database: Database) -> Iterator[Metric]:
    """Tasks by step and state, instances by outcome, alerts by rule, parties that wait."""
    tasks = GaugeMetricFamily("guanxi_tasks", "Tasks", labels=["step", "state"])
    overdue = GaugeMetricFamily("guanxi_tasks_overdue", "Open tasks past their due time")
    instances = GaugeMetricFamily(
        "guanxi_process_instances", "Instances", labels=["definition", "outcome"]
    )
    alerts = GaugeMetricFamily("guanxi_alerts", "Alerts heard", labels=["rule", "state"])
    waiting = GaugeMetricFamily("guanxi_waiting_parties", "Parties waiting for a place at a desk")
    with database.read() as session:
        for step, state, count in session.execute(
            select(TaskRow.step_id, TaskRow.state, func.count()).group_by(
                TaskRow.step_id, TaskRow.state
            )
        ):
            tasks.add_metric([step, state], count)
        late = select(func.count()).where(TaskRow.overdue, TaskRow.completed_at.is_(None))
        overdue.add_metric([], session.scalar(late) or 0)
        outcome = func.coalesce(InstanceRow.outcome_code, "open")
        for key, code, count in session.execute(
            select(InstanceRow.definition_key, outcome, func.count()).group_by(
                InstanceRow.definition_key, outcome
            )
        ):
            instances.add_metric([key, code], count)
        for rule, state, count in session.execute(
            select(AlertRow.rule, AlertRow.state, func.count()).group_by(
                AlertRow.rule, AlertRow.state
            )
        ):
            alerts.add_metric([rule, state], count)
        waiting.add_metric([], session.scalar(select(func.count(WaitingPartyRow.party_id))) or 0)
    yield from (tasks, overdue, instances, alerts, waiting)
