"""Two at the same moment: one process, one holder, one share of a day's work."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.commands import alerts
from services.workflow.commands.seed import seed_organisation
from services.workflow.rules import ALERT_TASKS_PER_DAY
from services.workflow.tables import AlertRow, InstanceRow, TaskRow, WaitingPartyRow
from shared.events.bank import WentLive
from shared.events.customer import IdentityMerged, ManagerChanged
from shared.events.fact import Cause
from shared.events.scoring import AlertRaised
from shared.testing.space import ServiceUnderTest, Space

ORGANISATION = Path(__file__).parents[2] / "deploy" / "demo_organisation.yaml"


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(WentLive(on=date(2026, 3, 1)))
    service.drain()
    yield service


def alert(party: str, number: int = 1) -> Any:
    return AlertRaised(
        alert_id=f"{party}:{number}", party_id=party, rule="outflow", episode=number,
        at=datetime(2026, 3, 2, 1, 0, tzinfo=UTC), risk_ppm=500_000, contribution_minor=200_000,
        margin_at_risk_minor=100_000, currency="CNY", terms=(),
        text={"zh-CN": "余额减半", "en": "The balance halved"},
    )  # fmt: skip


def together(*acts: Callable[[], Any]) -> list[Any]:
    """Runs all at once; what each returned, or the error it raised."""
    results: list[Any] = [None] * len(acts)
    start = threading.Barrier(len(acts))

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = acts[index]()
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


def taking(service: ServiceUnderTest, fact: AlertRaised) -> Callable[[], None]:
    def take() -> None:
        with service.database.transaction() as tx:
            alerts.take_alert(tx, fact, Cause(type=fact.TYPE, id=fact.alert_id))

    return take


def test_two_alerts_of_one_party_open_one_process(workflow: ServiceUnderTest) -> None:
    results = together(*(taking(workflow, alert("P1", n)) for n in range(1, 6)))
    assert results == [None] * 5
    with workflow.database.read() as session:
        (instance,) = session.scalars(select(InstanceRow)).all()
        states = session.scalars(select(AlertRow.instance_id)).all()
    assert states == [instance.instance_id] * 5


def test_share_of_the_day_holds_under_concurrent_alerts(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n}" for n in range(8)]
    for party in parties:
        space.publish(
            ManagerChanged(
                party_id=party, customer_number=f"C{party}", manager_code="RM-SH01-2",
                effective_on=date(2025, 1, 1),
            )
        )  # fmt: skip
    workflow.drain()
    assert together(*(taking(workflow, alert(party)) for party in parties)) == [None] * 8
    with workflow.database.read() as session:
        assert len(session.scalars(select(InstanceRow)).all()) == ALERT_TASKS_PER_DAY
        assert len(session.scalars(select(WaitingPartyRow)).all()) == 3


def test_one_of_two_who_claim_gets_the_task(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(
        ManagerChanged(
            party_id="P1",
            customer_number="C1",
            manager_code="RM-SH01-5",
            effective_on=date(2025, 1, 1),
        )
    )
    workflow.drain()
    taking(workflow, alert("P1"))()
    with workflow.database.read() as session:
        task_id = session.scalars(select(TaskRow.task_id)).one()
    heads = [workflow.client("S001"), workflow.client("S011")]  # both serve the branch's queue
    answers = together(
        *(lambda client=client: client.post(f"/api/tasks/{task_id}/claim") for client in heads)
    )
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [200, 409]
    holder = heads[statuses.index(200)]
    answers = together(
        *(
            lambda: holder.post(f"/api/tasks/{task_id}/complete", json={"outcome": "false_alarm"})
            for _ in range(4)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]


def test_merge_carries_the_open_process_to_the_party_that_remains(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(alert("P1"))
    workflow.drain()
    space.publish(
        IdentityMerged(
            party_id="P2", customer_number="C1", merge_id="m1", former_party_id="P1",
            customer_numbers=("C1", "C2"),
        )
    )  # fmt: skip
    workflow.drain()
    space.publish(alert("P2", 7))
    workflow.drain()
    with workflow.database.read() as session:
        (instance,) = session.scalars(select(InstanceRow)).all()
    assert instance.party_id == "P2"


def test_back_early_takes_the_deputy_away(workflow: ServiceUnderTest) -> None:
    client = workflow.client("S012")
    away = {"deputy_staff_id": "S013", "from_on": "2026-03-01", "until_on": "2026-03-09"}
    assert client.post("/desk/delegation", data=away).status_code == 200
    assert "我已返岗" in client.get("/desk").text
    assert "我已返岗" not in client.post("/desk/delegation/end").text
    assert client.post("/desk/delegation", data=away).status_code == 200  # may be set anew
