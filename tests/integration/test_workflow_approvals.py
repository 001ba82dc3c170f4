"""An order that asks for approval lands on a fit checker's desk and leaves it when decided."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.commands.organisation import record
from services.workflow.commands.seed import appoint_administrator, seed_organisation
from services.workflow.tables import InstanceRow, OrganisationChangeRow, SubscriptionRow, TaskRow
from shared.events.orders import OrderApproved, OrderRefused, OrderSubmitted, OrderVoided
from shared.events.workflow import AbsenceSet
from shared.testing.space import ServiceUnderTest, Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    service.drain()
    yield service


def submitted(order: str, amount_minor: int, maker: str = "S012", content: str = "h1") -> Any:
    return OrderSubmitted(
        order_id=order,
        content_hash=content,
        maker_id=maker,
        amount_minor=amount_minor,
        currency="CNY",
        org_path="/head/SH01/retail",
        link=f"/orders/orders/{order}",
    )


def tasks(service: ServiceUnderTest) -> list[TaskRow]:
    with service.database.read() as session:
        return list(session.scalars(select(TaskRow).order_by(TaskRow.task_id)))


@pytest.mark.parametrize(
    ("amount_minor", "maker", "checker"),
    [
        (10_000_000, "S012", "S011"),  # both of the branch have room; the smaller id breaks the tie
        (100_000_000, "S012", "S011"),  # above the approver's limit
        (1_000_000_000, "S012", "S001"),  # above the branch head's
        (10_000_000, "S011", "S015"),  # the maker is never the checker
    ],
)
def test_order_goes_to_a_near_checker_with_authority(
    space: Space, workflow: ServiceUnderTest, amount_minor: int, maker: str, checker: str
) -> None:
    space.publish(submitted("O1", amount_minor, maker))
    workflow.drain()
    (task,) = tasks(workflow)
    assert (task.staff_id, task.role, task.step_id) == (checker, "approver", "approve_order")
    (line,) = workflow.client(checker).get("/api/desk").json()["approvals"]
    assert line["link"] == "/orders/orders/O1"


def test_amount_beyond_everybody_waits_in_the_branch_s_queue(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(submitted("O1", 9_000_000_000))
    workflow.drain()
    (task,) = tasks(workflow)
    assert (task.staff_id, task.role, task.org_path) == (None, "approver", "/head/SH01")
    claimed = workflow.client("S015").post(f"/api/tasks/{task.task_id}/claim")
    assert claimed.status_code == 200
    taken = workflow.client("S001").post(f"/api/tasks/{task.task_id}/claim")
    assert taken.status_code == 409


def test_absent_checker_gets_nothing(space: Space, workflow: ServiceUnderTest) -> None:
    with workflow.database.transaction() as tx:
        away = {"from_on": date(2026, 3, 1), "until_on": date(2026, 3, 9)}
        record(tx, "S002", AbsenceSet(absence_id="a1", staff_id="S011", **away))
    space.publish(submitted("O1", 10_000_000))
    workflow.drain()
    assert [task.staff_id for task in tasks(workflow)] == ["S015"]


@pytest.mark.parametrize(
    ("decision", "outcome"),
    [
        (OrderApproved(order_id="O1", content_hash="h1", checker_id="S011"), "approved"),
        (OrderRefused(order_id="O1", content_hash="h1", checker_id="S011"), "refused"),
        (OrderVoided(order_id="O1", content_hash="h1", voided_by="S012"), "voided"),
    ],
)
def test_decision_closes_the_task_once(
    space: Space, workflow: ServiceUnderTest, decision: Any, outcome: str
) -> None:
    space.publish(submitted("O1", 10_000_000))
    space.publish(decision, decision)
    workflow.drain()
    (task,) = tasks(workflow)
    assert (task.state, task.outcome_code) == ("done", outcome)
    with workflow.database.read() as session:
        (instance,) = session.scalars(select(InstanceRow)).all()
        assert instance.outcome_code == outcome
        assert session.scalars(select(SubscriptionRow)).all() == []
    said = [e.type for e in space.read("task.handoffs")]
    assert said.count("workflow.task_completed.v1") == 1


def test_decision_on_another_content_is_no_answer(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(submitted("O1", 10_000_000))
    space.publish(OrderApproved(order_id="O1", content_hash="older", checker_id="S011"))
    workflow.drain()
    (task,) = tasks(workflow)
    assert task.completed_at is None


def test_edit_and_second_submission_leave_one_open_task(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(submitted("O1", 10_000_000))
    space.publish(OrderVoided(order_id="O1", content_hash="h1", voided_by="S012"))
    space.publish(submitted("O1", 10_000_000, content="h2"))
    space.publish(submitted("O1", 10_000_000, content="h3"))  # the void was never said
    workflow.drain()
    assert [(t.state, t.outcome_code) for t in tasks(workflow)] == [
        ("done", "voided"),
        ("done", "voided"),
        ("open", None),
    ]


def test_approval_is_not_decided_in_workflow(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(submitted("O1", 10_000_000))
    workflow.drain()
    (task,) = tasks(workflow)
    checker = workflow.client("S011")
    answer = checker.post(f"/api/tasks/{task.task_id}/complete", json={"outcome": "approved"})
    assert answer.status_code == 409
    own = checker.post(f"/api/tasks/{task.task_id}/hand-off", json={"to_staff_id": "S012"})
    assert own.status_code == 409  # to the maker himself


def test_seeding_again_changes_nothing(space: Space, workflow: ServiceUnderTest) -> None:
    before = len(space.read("staff.directory"))
    with workflow.database.transaction() as tx:
        changed = seed_organisation(tx, ORGANISATION)
    workflow.drain()
    assert changed.total() == 0
    assert len(space.read("staff.directory")) == before
    with workflow.database.read() as session:
        assert len(session.scalars(select(OrganisationChangeRow)).all()) == before


def test_directory_carries_whole_records(space: Space, workflow: ServiceUnderTest) -> None:
    people = {
        e.data.staff_id: e.data
        for e in space.read("staff.directory")
        if e.type == "workflow.staff_described.v1"
    }
    listed = yaml.safe_load(ORGANISATION.read_text(encoding="utf-8"))
    assert people.keys() == {one["staff_id"] for one in listed["staff"]}
    assert people["S012"].staff_codes == ("RM-SH01-1", "RM-SH01-4")
    assert people["S012"].supervisor_staff_id == "S011"
    actor = workflow.runtime.directory.actor("S015", space.clock.bank)
    assert actor is not None
    assert actor.limits == {"order.approve": 50_000_000}


def test_first_administrator_can_build_the_rest(space: Space) -> None:
    service = space.service(SERVICE)
    for _ in range(2):
        with service.database.transaction() as tx:
            appoint_administrator(tx, "S900", "韩冰")
    service.drain()
    assert len(space.read("staff.directory")) == 4
    client = service.client("S900")
    grant = client.post("/api/staff/S900/grants", json={"role": "administrator", "scope": "all"})
    assert grant.status_code == 200, grant.text
    unknown = client.post("/api/staff/S900/grants", json={"role": "king"})
    assert unknown.status_code == 409
    limit = {"permission": "order.approve", "amount_minor": 1, "from_on": "2026-03-01"}
    assert client.post("/api/staff/S900/limits", json=limit).status_code == 200
    assert client.post("/api/staff/S901/limits", json=limit).status_code == 404
