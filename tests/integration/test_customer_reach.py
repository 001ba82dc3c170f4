"""An open task opens its party to who has it on the desk, while it is open: two real services."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from services.customer.__main__ import SERVICE as CUSTOMER
from services.workflow.__main__ import SERVICE as WORKFLOW
from services.workflow.commands.seed import seed_organisation
from services.workflow.tables import TaskRow
from shared.events.bank import WentLive
from shared.events.orders import OrderSubmitted, OrderVoided
from shared.events.scoring import AlertRaised
from shared.testing.space import ServiceUnderTest, Space
from tests.integration.customer_room import manager, person

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"
BEYOND_EVERY_LIMIT = 6_000_000_000  # fen: no checker's authority reaches it, it waits in a queue


@pytest.fixture
def bank(space: Space) -> Iterator[tuple[ServiceUnderTest, ServiceUnderTest]]:
    """C1 is a customer of S012 in Shanghai, C2 of S022 in Beijing; an alert on C1 is on a desk."""
    workflow, customer = space.service(WORKFLOW), space.service(CUSTOMER)
    with workflow.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(
        WentLive(on=date(2026, 3, 1)),
        person("C1", "王小明"),
        person("C2", "赵一"),
        manager("C1", "RM-SH01-1", branch_code="SH01"),
        manager("C2", "RM-BJ01-1", branch_code="BJ01"),
    )
    settle(customer, workflow)
    space.publish(
        AlertRaised(
            alert_id="a1", party_id="PC1", rule="silence", episode=1,
            at=datetime(2026, 3, 2, 1, 0, tzinfo=UTC), risk_ppm=700_000,
            contribution_minor=1_200_000, margin_at_risk_minor=900_000, currency="CNY", terms=(),
            text={"zh-CN": "41 天没有交易", "en": "No transaction for 41 days"},
        )
    )  # fmt: skip
    settle(customer, workflow)
    yield workflow, customer


def settle(customer: ServiceUnderTest, workflow: ServiceUnderTest) -> None:
    """What each says, the other has heard."""
    for service in (customer, workflow, customer):
        service.drain()


def sees(customer: ServiceUnderTest, staff_id: str, party_id: str) -> bool:
    """Name, page and view agree on whether somebody may see a party; changing it is never given."""
    client = customer.client(staff_id)
    label = client.get(f"/labels?ids=party:{party_id},number:{party_id[1:]}").json()
    answers = [
        client.get(path).status_code
        for path in (
            f"/parties/{party_id}", f"/parties/{party_id}/head",
            f"/parties/{party_id}/tabs/timeline", f"/api/parties/{party_id}",
            f"/api/parties/{party_id}/timeline",
        )
    ]  # fmt: skip
    assert (len(label), set(answers)) in ((2, {200}), (0, {404}))
    return bool(label)


def may_read_in_clear(customer: ServiceUnderTest, staff_id: str, party_id: str) -> bool:
    client = customer.client(staff_id)
    answer = client.post(f"/api/parties/{party_id}/personal", json={"reason": "客户来电核对"})
    return answer.status_code == 200


def the_task(workflow: ServiceUnderTest, step: str) -> TaskRow:
    with workflow.database.read() as session:
        return session.scalars(
            select(TaskRow).where(TaskRow.step_id == step, TaskRow.completed_at.is_(None))
        ).one()


def act(workflow: ServiceUnderTest, staff_id: str, path: str, **data: str) -> None:
    answer = workflow.client(staff_id).post(path, data=data)
    assert answer.status_code == 200, answer.text


def test_head_office_sees_the_customers_of_a_branch_that_is_in_no_department(space, bank):
    workflow, customer = bank
    space.publish(person("C3", "钱二"), manager("C3", "AM77-1", branch_code="77"))
    settle(customer, workflow)
    seen = {s: sees(customer, s, "PC3") for s in ("S001", "S006", "S011", "S012", "S015")}
    assert seen == {"S001": True, "S006": True, "S011": False, "S012": False, "S015": False}
    found = {s: customer.client(s).get("/api/search?q=C3").json() for s in ("S006", "S011")}
    assert [hit["party_id"] for hit in found["S006"]["hits"]] == ["PC3"]
    assert found["S011"]["hits"] == []


def test_a_colleague_sees_the_customer_of_a_handed_task_until_it_is_done(bank):
    workflow, customer = bank
    assert [sees(customer, s, "PC1") for s in ("S012", "S013", "S014")] == [True, False, False]

    task = the_task(workflow, "assess")
    act(workflow, "S012", f"/desk/tasks/{task.task_id}/hand-off", to_staff_id="S013")
    settle(customer, workflow)
    assert [sees(customer, s, "PC1") for s in ("S012", "S013", "S014")] == [True, True, False]
    assert may_read_in_clear(customer, "S012", "PC1")
    assert not may_read_in_clear(customer, "S013", "PC1")

    act(workflow, "S013", f"/desk/tasks/{task.task_id}/hand-off", to_staff_id="S014")
    settle(customer, workflow)
    assert [sees(customer, s, "PC1") for s in ("S012", "S013", "S014")] == [True, False, True]

    steps = f"/processes/{task.instance_id}/tasks/{task.task_id}"
    act(workflow, "S014", f"{steps}/complete", outcome="false_alarm")
    settle(customer, workflow)
    assert [sees(customer, s, "PC1") for s in ("S012", "S013", "S014")] == [True, False, False]


def test_the_deputy_sees_the_customers_of_the_tasks_he_stands_in_for(bank):
    workflow, customer = bank
    days = {"from_on": "2026-03-02", "until_on": "2026-03-04"}
    assert not sees(customer, "S033", "PC1")
    act(workflow, "S012", "/desk/delegation", deputy_staff_id="S033", **days)
    settle(customer, workflow)
    customer.runtime.directory._cached.read_at = -1.0  # it looks once a second
    assert sees(customer, "S033", "PC1")
    act(workflow, "S012", "/desk/delegation/end")
    settle(customer, workflow)
    customer.runtime.directory._cached.read_at = -1.0
    assert not sees(customer, "S033", "PC1")


def test_who_serves_a_branchs_queue_sees_whom_its_tasks_are_about(space, bank):
    """An order of a Beijing customer, made and to be checked in Shanghai."""
    workflow, customer = bank
    assert not sees(customer, "S015", "PC2")
    order = {"order_id": "O1", "party_id": "PC2", "customer_number": "C2", "content_hash": "h"}
    space.publish(
        OrderSubmitted(
            **order, maker_id="S012", amount_minor=BEYOND_EVERY_LIMIT, currency="CNY",
            org_path="/head/SH01/retail",
        ),
        source="guanxi/orders",
    )  # fmt: skip
    settle(customer, workflow)
    queued = the_task(workflow, "approve_order")
    assert (queued.staff_id, queued.role, queued.org_path) == (None, "approver", "/head/SH01")
    assert sees(customer, "S015", "PC2")
    assert not sees(customer, "S034", "PC2")  # the same role, at another branch
    assert not sees(customer, "S013", "PC2")  # the same branch, another role

    act(workflow, "S001", f"/desk/tasks/{queued.task_id}/claim")  # it is nobody else's now
    settle(customer, workflow)
    assert not sees(customer, "S015", "PC2")

    act(workflow, "S001", f"/desk/tasks/{queued.task_id}/hand-off", to_staff_id="S015")
    settle(customer, workflow)
    assert sees(customer, "S015", "PC2")
    space.publish(OrderVoided(**order), source="guanxi/orders")
    settle(customer, workflow)
    assert not sees(customer, "S015", "PC2")
