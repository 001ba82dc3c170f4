"""The room of workflow's tests: its service with the demo's organisation, alerts, looks inside."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.commands.seed import seed_organisation
from services.workflow.tables import InstanceRow, TaskRow
from shared.events.bank import WentLive
from shared.events.customer import ManagerChanged
from shared.events.scoring import AlertCleared, AlertRaised
from shared.testing.space import ServiceUnderTest, Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
LIVE_ON = date(2026, 3, 1)


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(WentLive(on=LIVE_ON))
    service.drain()
    yield service


def alert(
    party: str,
    number: int = 1,
    *,
    at: datetime | None = None,
    margin: int = 900_000,
    recoverable: int | None = None,
) -> Any:
    return AlertRaised(
        alert_id=f"{party}:silence:{number}",
        party_id=party,
        rule="silence",
        episode=number,
        at=at or datetime(2026, 3, 2, 1, 0, tzinfo=UTC),
        customer_number=f"C{party}",
        risk_ppm=700_000,
        contribution_minor=1_200_000,
        margin_at_risk_minor=margin,
        recoverable_minor=recoverable,
        currency="CNY",
        terms=(),
        text={"zh-CN": "41 天没有交易,平时间隔 9 天", "en": "No transaction for 41 days"},
    )


def cleared(party: str, number: int = 1) -> Any:
    return AlertCleared(
        alert_id=f"{party}:silence:{number}",
        party_id=party,
        rule="silence",
        episode=number,
        at=datetime(2026, 3, 2, 3, 0, tzinfo=UTC),
        reason_code="transaction",
        text={"zh-CN": "客户恢复交易", "en": "The customer transacts again"},
    )


def managed_by(party: str, code: str | None, branch: str = "SH01") -> Any:
    return ManagerChanged(
        party_id=party,
        customer_number=f"C{party}",
        manager_code=code,
        branch_code=branch,
        effective_on=date(2025, 1, 1),
    )


def open_tasks(service: ServiceUnderTest, **where: Any) -> list[TaskRow]:
    with service.database.read() as session:
        query = select(TaskRow).filter_by(**where).where(TaskRow.completed_at.is_(None))
        return list(session.scalars(query.order_by(TaskRow.assigned_at)))


def instances(service: ServiceUnderTest) -> list[InstanceRow]:
    with service.database.read() as session:
        return list(session.scalars(select(InstanceRow).order_by(InstanceRow.opened_at)))


def do(client: TestClient, path: str, **body: Any) -> Any:
    answer = client.post(f"/api/tasks/{path}", json=body or None)
    assert answer.status_code == 200, answer.text
    return answer.json()
