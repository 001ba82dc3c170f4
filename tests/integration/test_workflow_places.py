"""A desk's places of a day go to what waits, most to recover first, and never more than its own."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from services.workflow.rules import ALERT_TASKS_PER_DAY
from services.workflow.tables import WaitingPartyRow
from shared.events.bank import WentLive
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import workflow_room
from tests.integration.workflow_room import LIVE_ON, alert, cleared, managed_by, open_tasks

workflow = workflow_room.workflow


def test_manager_gets_at_most_his_share_a_day_the_dearest_first(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n:02}" for n in range(9)]
    space.publish(*(managed_by(party, "RM-SH01-2") for party in parties))
    workflow.drain()
    for n, party in enumerate(parties):
        space.publish(alert(party, margin=100_000 * (n + 1)))
        workflow.drain()
    assert len(open_tasks(workflow, staff_id="S013")) == ALERT_TASKS_PER_DAY
    with workflow.database.read() as session:
        waiting = session.scalar(select(func.count()).select_from(WaitingPartyRow))
    assert waiting == 4
    space.publish(cleared("P08"))  # the dearest one that waits needs no work any more
    workflow.drain()
    space.clock.bank += timedelta(days=1)
    workflow.drain()
    assert len(open_tasks(workflow, staff_id="S013")) == 8
    assert {t.party_id for t in open_tasks(workflow)} == set(parties) - {"P08"}
    started = [e for e in space.read("task.handoffs") if e.type.startswith("workflow.process_st")]
    by_alert = {e.data.cause.id: e.correlationid for e in started}
    assert all(cause == story for cause, story in by_alert.items())  # each its own story


def test_a_burst_is_placed_by_what_can_be_recovered_not_by_arrival(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n:02}" for n in range(8)]
    space.publish(*(managed_by(party, "RM-SH01-2") for party in parties))
    workflow.drain()
    # All have the same margin at risk; the later in the burst the more of it can be saved.
    space.publish(*(alert(p, recoverable=100_000 * (n + 1)) for n, p in enumerate(parties)))
    workflow.drain()
    assert {t.party_id for t in open_tasks(workflow)} == set(parties[3:])
    started = [e for e in space.read("task.handoffs") if e.type.startswith("workflow.process_st")]
    raised = {e.data.party_id: e for e in space.read("score.alerts")}
    for one in started:  # the task is caused by its own alert, also when placed with others
        assert one.causationid == raised[one.data.party_id].id
    space.publish(alert("P99", at=datetime(2026, 3, 2, 2, 0, tzinfo=UTC), recoverable=250_000))
    space.publish(managed_by("P99", "RM-SH01-2"))
    workflow.drain()
    assert waiting_of(workflow) == ["P02", "P99", "P01", "P00"]
    space.publish(cleared("P02"))
    space.clock.bank += timedelta(days=1)
    workflow.drain()
    assert waiting_of(workflow) == []
    assert "P02" not in {t.party_id for t in open_tasks(workflow)}


def waiting_of(service: ServiceUnderTest) -> list[str]:
    with service.database.read() as session:
        ranked = select(WaitingPartyRow.party_id).order_by(
            WaitingPartyRow.recoverable_minor.desc(), WaitingPartyRow.party_id
        )
        return list(session.scalars(ranked))


def test_who_waits_since_yesterday_is_not_overtaken_before_the_desks_open(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n:02}" for n in range(10)]
    space.publish(*(managed_by(party, "RM-SH01-2") for party in [*parties, "P98", "P99"]))
    workflow.drain()
    space.publish(*(alert(p, recoverable=900_000) for p in parties[:5]))
    workflow.drain()
    space.publish(*(alert(p, recoverable=500_000) for p in parties[5:]))
    workflow.drain()
    space.clock.bank = datetime(2026, 3, 2, 17, 0, tzinfo=UTC)  # one o'clock of Tuesday's night
    space.publish(alert("P98", recoverable=100_000), alert("P99", recoverable=700_000))
    workflow.drain()
    assert waiting_of(workflow) == ["P09", "P98"]


def test_a_weekend_counts_for_the_next_working_day(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n:02}" for n in range(12)]
    space.publish(*(managed_by(party, "RM-SH01-2") for party in parties))
    workflow.drain()
    for hour, some in ((0, parties[:4]), (24, parties[4:8]), (48, parties[8:])):
        at = datetime(2026, 3, 7, 2, 0, tzinfo=UTC) + timedelta(hours=hour)  # a Saturday on
        space.clock.bank = at
        space.publish(*(alert(p, at=at) for p in some))
        workflow.drain()
    assert len(open_tasks(workflow)) == ALERT_TASKS_PER_DAY
    assert len(waiting_of(workflow)) == 7


def test_an_alert_whose_end_was_taken_back_waits_again(
    space: Space, workflow: ServiceUnderTest
) -> None:
    no_places(workflow, "S013")
    space.publish(managed_by("P1", "RM-SH01-2"), alert("P1"), cleared("P1"))
    workflow.drain()
    assert waiting_of(workflow) == []
    space.publish(alert("P1"))
    workflow.drain()
    assert waiting_of(workflow) == ["P1"]


@pytest.mark.parametrize("amounts", [(900_000, 100_000), (100_000, 900_000)], ids=str)
def test_a_party_of_two_alerts_stands_in_line_by_the_greater_of_them(
    space: Space, workflow: ServiceUnderTest, amounts: tuple[int, int]
) -> None:
    no_places(workflow, "S013")
    space.publish(*(managed_by(party, "RM-SH01-2") for party in ("P1", "P2", "P3")))
    workflow.drain()
    for number, amount in enumerate(amounts, 1):
        space.publish(alert("P3", number, recoverable=amount))
        workflow.drain()
    space.publish(alert("P1", recoverable=500_000), alert("P2", recoverable=700_000))
    workflow.drain()
    assert waiting_of(workflow) == ["P3", "P2", "P1"]
    do_organisation(workflow, "S013", 1)
    workflow.drain()
    assert [t.party_id for t in open_tasks(workflow)] == ["P3"]


def test_what_was_raised_before_the_bank_was_live_never_stands_in_line(
    space: Space, workflow: ServiceUnderTest
) -> None:
    """To the minute: the day begins at four in the afternoon of the day before, in UTC."""
    no_places(workflow, "S013")
    begins = datetime.combine(LIVE_ON, time(), ZoneInfo("Asia/Shanghai"))
    space.publish(*(managed_by(party, "RM-SH01-2") for party in ("P1", "P2")))
    space.publish(
        alert("P1", at=begins - timedelta(minutes=1), recoverable=900_000),
        alert("P2", at=begins, recoverable=100_000),
    )
    workflow.drain()
    assert waiting_of(workflow) == ["P2"]
    space.publish(WentLive(on=LIVE_ON - timedelta(days=1)))
    workflow.drain()
    assert waiting_of(workflow) == ["P1", "P2"], "the control: it was live a day before"


def no_places(workflow: ServiceUnderTest, staff_id: str) -> None:
    do_organisation(workflow, staff_id, 0)


def do_organisation(workflow: ServiceUnderTest, staff_id: str, places: int) -> None:
    answer = workflow.client("S002").post(
        f"/api/staff/{staff_id}/capacity", json={"alerts_per_day": places}
    )
    assert answer.status_code == 200, answer.text


def test_capacity_is_each_managers_own_and_more_of_it_counts_at_once(
    space: Space, workflow: ServiceUnderTest
) -> None:
    parties = [f"P{n:02}" for n in range(9)]
    space.publish(*(managed_by(party, "RM-SH01-2") for party in parties))
    do_organisation(workflow, "S013", 2)
    workflow.drain()
    space.publish(*(alert(p, margin=100_000 * (n + 1)) for n, p in enumerate(parties)))
    workflow.drain()
    assert {t.party_id for t in open_tasks(workflow)} == {"P07", "P08"}
    page = workflow.client("S013").get("/desk", headers={"accept-language": "zh-CN"}).text
    assert "每天最多 2 个新预警" in page
    do_organisation(workflow, "S013", 4)
    workflow.drain()
    assert {t.party_id for t in open_tasks(workflow)} == {"P05", "P06", "P07", "P08"}
    said = [e for e in space.read("staff.directory") if e.type == "workflow.capacity_set.v1"]
    assert [e.data.alerts_per_day for e in said] == [2, 4]
    form = {"alerts_per_day": "6"}
    page = workflow.client("S002").post("/organisation/staff/S013/capacity", data=form)
    assert page.status_code == 200
    assert len(open_tasks(workflow)) == 6
    beyond = workflow.client("S002").post(
        "/organisation/staff/S013/capacity", data={"alerts_per_day": "51"}
    )
    assert beyond.status_code == 422
    assert (
        workflow.client("S013").post("/organisation/staff/S013/capacity", data=form).status_code
        == 403
    )
