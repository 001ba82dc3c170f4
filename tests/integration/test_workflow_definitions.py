"""Versions of processes: published once, never changed, instances stay on theirs."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.bpmn import FOLDER
from services.workflow.commands.seed import seed_organisation
from services.workflow.tables import DefinitionRow, InstanceRow, TaskRow
from shared.events.bank import WentLive
from shared.events.customer import ManagerChanged
from shared.events.scoring import AlertRaised
from shared.testing.space import ServiceUnderTest, Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
RETENTION = (FOLDER / "retention.bpmn").read_text(encoding="utf-8")


def alert(party: str) -> Any:
    return AlertRaised(
        alert_id=f"{party}:1", party_id=party, rule="outflow", episode=1,
        at=datetime(2026, 3, 2, 1, 0, tzinfo=UTC), risk_ppm=500_000, contribution_minor=200_000,
        margin_at_risk_minor=100_000, currency="CNY", terms=(),
        text={"zh-CN": "余额减半", "en": "The balance halved"},
    )  # fmt: skip


def ready(space: Space) -> ServiceUnderTest:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(WentLive(on=date(2026, 3, 1)))
    for party in ("P1", "P2"):
        space.publish(
            ManagerChanged(
                party_id=party, customer_number=f"C{party}", manager_code="RM-SH01-1",
                effective_on=date(2025, 1, 1),
            )
        )  # fmt: skip
    service.drain()
    return service


def test_running_instance_stays_on_its_version_and_new_ones_take_the_next(space: Space) -> None:
    service = ready(space)
    space.publish(alert("P1"))
    service.drain()
    shorter = RETENTION.replace('guanxi:dueWorkdays="1"', 'guanxi:dueWorkdays="3"')
    admin = service.client("S002")
    published = admin.post("/api/definitions", json={"xml": shorter})
    assert published.status_code == 200, published.text
    assert published.json()["version"] == 2
    assert admin.post("/api/definitions", json={"xml": shorter}).json()["version"] == 2
    space.publish(alert("P2"))
    service.drain()
    with service.database.read() as session:
        versions = dict(
            session.execute(select(InstanceRow.party_id, InstanceRow.definition_version))
            .tuples()
            .all()
        )
        tasks = {task.party_id: task for task in session.scalars(select(TaskRow))}
    assert versions == {"P1": 1, "P2": 2}
    assert (tasks["P2"].due_at - tasks["P1"].due_at).days == 2
    manager = service.client("S012")
    for party in ("P1", "P2"):
        done = manager.post(
            f"/api/tasks/{tasks[party].task_id}/complete", json={"outcome": "false_alarm"}
        )
        assert done.json()["outcome_code"] == "false_alarm"


def test_definition_with_python_in_it_is_refused_with_the_place(space: Space) -> None:
    service = ready(space)
    evil = RETENTION.replace("outcome == 'lost'", "().__class__.__bases__")
    answer = service.client("S002").post("/api/definitions", json={"xml": evil})
    assert answer.status_code == 422
    assert "to_lost" in answer.text
    assert service.client("S012").post("/api/definitions", json={"xml": evil}).status_code == 403
    with service.database.read() as session:
        rows = session.scalars(select(DefinitionRow.version)).all()
    assert rows == [1, 1]


def test_every_event_twice_at_new_offsets_changes_nothing(space: Space) -> None:
    service = ready(space)
    space.publish(alert("P1"), event_id="once")
    service.drain()
    (task_id,) = _tasks(service)
    service.client("S012").post(f"/api/tasks/{task_id}/complete", json={"outcome": "contact"})
    service.drain()
    before = (_tasks(service), len(space.read("task.handoffs")))
    space.publish(alert("P1"), event_id="once")
    service.drain()
    assert (_tasks(service), len(space.read("task.handoffs"))) == before


def _tasks(service: ServiceUnderTest) -> list[str]:
    with service.database.read() as session:
        return list(session.scalars(select(TaskRow.task_id).order_by(TaskRow.task_id)))
