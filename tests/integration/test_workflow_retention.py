"""Alerts become work, once and within capacity; people act; the outcome goes back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from services.workflow.__main__ import SERVICE
from services.workflow.commands.seed import seed_organisation
from shared.events.bank import WentLive
from shared.events.customer import PartyRecorded
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import workflow_room
from tests.integration.workflow_room import (
    LIVE_ON,
    ORGANISATION,
    alert,
    cleared,
    do,
    instances,
    managed_by,
    open_tasks,
)

workflow = workflow_room.workflow


def types_of(events: list[Any]) -> list[str]:
    return [event.type.removeprefix("workflow.").removesuffix(".v1") for event in events]


def test_who_passed_a_task_on_sees_where_it_stands_also_when_it_was_passed_on_again(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"))
    workflow.drain()
    space.publish(alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    page = f"/processes/{task.instance_id}"
    do(workflow.client("S012"), f"{task.task_id}/hand-off", to_staff_id="S013")
    do(workflow.client("S013"), f"{task.task_id}/hand-off", to_staff_id="S014")
    for before in ("S012", "S013"):
        seen = workflow.client(before)
        assert seen.get(page).status_code == 200
        (line,) = seen.get("/api/desk").json()["handed_on"]
        assert (line["task_id"], line["staff_id"]) == (task.task_id, "S014")
    stranger = workflow.client("S022").get(page, headers={"accept-language": "zh-CN"})
    assert stranger.status_code == 404
    assert f"没有流程 {task.instance_id}" in stranger.text


def test_alert_goes_from_desk_to_desk_to_its_outcome(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"))
    workflow.drain()
    space.publish(alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    assert (task.staff_id, task.step_id, task.stake_minor) == ("S012", "assess", 900_000)

    manager, colleague = workflow.client("S012"), workflow.client("S013")
    chosen = do(manager, f"{task.task_id}/complete", outcome="contact", next_staff_id="S013")
    (following,) = chosen["tasks"]
    assert (following["staff_id"], following["step"]) == ("S013", "contact")
    assert manager.get("/api/desk").json()["handed_on"][0]["staff_id"] == "S013"

    do(colleague, f"{following['task_id']}/complete", outcome="reached", note="约好周五面谈")
    (last,) = colleague.get("/api/desk").json()["mine"]
    assert last["step"] == "outcome"
    done = do(colleague, f"{last['task_id']}/complete", outcome="lost")
    assert done["outcome_code"] == "lost"

    workflow.drain()
    events = space.read("task.handoffs")
    assert types_of(events) == [
        "process_started", "task_assigned", "task_completed", "task_assigned",
        "task_completed", "task_assigned", "task_completed", "process_finished",
    ]  # fmt: skip
    assert [event.sequence for event in events] == list(range(1, 9))
    assert {event.data.alert_ids for event in events} == {("P1:silence:1",)}
    assert {event.correlationid for event in events} == {events[0].correlationid}
    assert events[-1].data.outcome_code == "lost"
    (notice,) = space.read("notice.requests")
    assert (notice.data.receiver_id, notice.data.kind) == ("S011", "customer_lost")


def test_one_process_per_party_whatever_is_sent_twice(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"))
    space.publish(alert("P1"), event_id="a1")
    space.publish(alert("P1"), event_id="a1")  # the same event at a new offset
    space.publish(alert("P1"))  # the same episode under another id
    space.publish(alert("P1", 2, margin=2_000_000))
    workflow.drain()
    (instance,) = instances(workflow)
    assert instance.stake_minor == 2_000_000
    assert len(open_tasks(workflow)) == 1


def test_cleared_alert_leaves_a_note_and_the_work(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    space.publish(cleared("P1"), cleared("P1"))
    workflow.drain()
    (instance,) = instances(workflow)
    page = workflow.client("S012").get(f"/api/processes/{instance.instance_id}").json()
    assert page["finished_at"] is None
    with workflow.database.read() as session:
        from services.workflow.tables import EntryRow

        kinds = session.scalars(select(EntryRow.kind).order_by(EntryRow.id)).all()
    assert kinds.count("alert_cleared") == 1


def test_alert_of_the_history_opens_nothing(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(alert("P1", at=datetime(2026, 2, 27, 1, 0, tzinfo=UTC)))
    workflow.drain()
    assert instances(workflow) == []


def test_alert_before_the_word_that_the_bank_is_live_becomes_work_after_it(space: Space) -> None:
    service = space.service(SERVICE)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    space.publish(alert("P1"), alert("P2"), cleared("P2"))
    space.publish(alert("P3", at=datetime(2026, 2, 1, tzinfo=UTC)))
    service.drain()
    assert instances(service) == []
    space.publish(WentLive(on=LIVE_ON))
    service.drain()
    assert [row.party_id for row in instances(service)] == ["P1"]


def test_unmapped_code_goes_to_the_branch_head_and_finds_its_manager_later(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-BJ01-5", "BJ01"), alert("P1"))
    space.publish(
        PartyRecorded(
            party_id="P2", customer_number="CP2", kind="person", customer_numbers=("CP2",),
            home_branch_code="SZ01",
        ),
        alert("P2"),
    )  # fmt: skip
    workflow.drain()
    queues = {
        task.party_id: (task.staff_id, task.role, task.org_path) for task in open_tasks(workflow)
    }
    assert queues == {
        "P1": (None, "branch_head", "/head/BJ01"),
        "P2": (None, "branch_head", "/head/SZ01"),
    }
    (queued,) = workflow.client("S021").get("/api/desk").json()["queued"]
    assert queued["party_id"] == "P1"
    space.publish(managed_by("P2", "RM-SZ01-2", "SZ01"))
    workflow.drain()
    (found,) = open_tasks(workflow, party_id="P2")
    assert found.staff_id == "S033"


def test_deputy_gets_the_work_of_who_is_away(space: Space, workflow: ServiceUnderTest) -> None:
    away = {"deputy_staff_id": "S014", "from_on": "2026-03-01", "until_on": "2026-03-09"}
    answer = workflow.client("S012").post("/api/delegations", json=away)
    assert answer.status_code == 200, answer.text
    again = workflow.client("S012").post("/api/delegations", json=away)
    assert again.status_code == 409
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    assert task.staff_id == "S014"
    do(workflow.client("S014"), f"{task.task_id}/hand-off", to_staff_id="S013")
    candidates = workflow.client("S013").get(f"/api/tasks/{task.task_id}/candidates").json()
    assert {c["staff_id"]: c["absent_until"] for c in candidates}["S012"] == "2026-03-09"


def test_task_says_that_it_is_due_and_not_when_it_was_moved(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"), managed_by("P2", "RM-SH01-1"))
    space.publish(alert("P1"), alert("P2"))
    workflow.drain()
    first, second = open_tasks(workflow)
    later = (space.clock.bank + timedelta(days=10)).isoformat()
    do(workflow.client("S012"), f"{second.task_id}/due", due_at=later)
    space.clock.bank += timedelta(days=3)
    workflow.drain()
    due = [e.data.task_id for e in space.read("task.handoffs") if "task_due" in e.type]
    assert due == [first.task_id]


def test_strangers_neither_see_nor_touch_the_work(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    stranger = workflow.client("S032")
    for path, body in (
        ("claim", None),
        ("complete", {"outcome": "contact"}),
        ("hand-off", {"to_staff_id": "S032"}),
        ("due", {"due_at": "2026-04-01T00:00:00Z"}),
    ):
        answer = stranger.post(f"/api/tasks/{task.task_id}/{path}", json=body)
        assert answer.status_code in (403, 409), (path, answer.text)
    assert stranger.get(f"/api/processes/{task.instance_id}").status_code == 404
    assert stranger.get(f"/api/tasks/{task.task_id}/candidates").status_code == 404
    assert (
        workflow.client("S016").post(f"/api/tasks/{task.task_id}/hand-off", json={}).status_code
        == 403
    )
    leader = workflow.client("S011")
    assert leader.get(f"/api/processes/{task.instance_id}").status_code == 200
    do(leader, f"{task.task_id}/hand-off", to_staff_id="S014", reason="均衡工作量")
    assert [t.staff_id for t in open_tasks(workflow)] == ["S014"]


def test_second_completion_changes_nothing(space: Space, workflow: ServiceUnderTest) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    manager = workflow.client("S012")
    do(manager, f"{task.task_id}/complete", outcome="false_alarm")
    again = manager.post(f"/api/tasks/{task.task_id}/complete", json={"outcome": "contact"})
    assert again.status_code == 409
    wrong = manager.post(f"/api/tasks/{task.task_id}/complete", json={"outcome": "__class__"})
    assert wrong.status_code in (409, 422)
    (instance,) = instances(workflow)
    assert instance.outcome_code == "false_alarm"
    assert "spec" not in instance.state


def test_a_task_is_offered_to_those_who_may_take_it_the_nearest_first(
    space: Space, workflow: ServiceUnderTest
) -> None:
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    manager = workflow.client("S012")

    def offered() -> list[str]:
        found = manager.get(f"/api/tasks/{task.task_id}/candidates").json()
        return [one["staff_id"] for one in found]

    # his department, the branch, the bank's head; nobody of Beijing, no operator
    assert offered() == ["S013", "S014", "S016", "S011", "S015", "S001"]
    away = {"from_on": "2026-03-01", "until_on": "2026-03-09"}
    with_deputy = workflow.client("S013").post(
        "/api/delegations", json={**away, "deputy_staff_id": "S014"}
    )
    assert with_deputy.status_code == 200
    assert offered() == ["S014", "S016", "S011", "S015", "S001", "S013"]
    both = workflow.client("S014").post(
        "/api/delegations", json={**away, "deputy_staff_id": "S013"}
    )
    assert both.status_code == 200  # each the other's deputy: neither is there
    assert offered() == ["S016", "S011", "S015", "S001"]

    for staff_id, word in (("S022", "branch"), ("S003", "branch"), ("S013", "deputy")):
        answer = manager.post(
            f"/api/tasks/{task.task_id}/hand-off",
            json={"to_staff_id": staff_id},
            headers={"x-guanxi-language": "en"},
        )
        assert answer.status_code == 409, staff_id
        assert word in answer.json()["message"], staff_id
        body = {"outcome": "contact", "next_staff_id": staff_id}
        assert manager.post(f"/api/tasks/{task.task_id}/complete", json=body).status_code == 409
    assert open_tasks(workflow)[0].staff_id == "S012"
    do(manager, f"{task.task_id}/hand-off", to_staff_id="S016")


def test_the_picker_names_departments_and_finds_others_by_name(
    space: Space, workflow: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.workflow.pages import desk

    monkeypatch.setattr(desk, "PICKER_ROWS", 2)
    space.publish(managed_by("P1", "RM-SH01-1"), alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    manager = workflow.client("S012")
    page = manager.get(f"/desk/tasks/{task.task_id}/picker").text
    assert "上海陆家嘴支行客户部" in page
    assert "/head/" not in page
    assert [code in page for code in ("S013", "S014", "S011")] == [True, True, False]
    find = f"/desk/tasks/{task.task_id}/participants"
    assert "S011" in manager.get(find, params={"q": "沈静"}).text
    assert "S022" not in manager.get(find, params={"q": "刘晨曦"}).text  # another branch's
    assert workflow.client("S032").get(find).status_code == 404


def test_work_that_nobody_handed_on_is_from_nobody_so_its_receiver_is_told(
    space: Space, workflow: ServiceUnderTest
) -> None:
    """Notify is silent on what somebody gives himself: the step after his own, that stays."""
    space.publish(managed_by("P1", "RM-SH01-1"))
    workflow.drain()
    space.publish(alert("P1"))
    workflow.drain()
    (task,) = open_tasks(workflow)
    do(workflow.client("S012"), f"{task.task_id}/complete", outcome="contact")
    workflow.drain()
    assigned = [
        (event.data.from_staff_id, event.data.to_staff_id)
        for event in space.read("task.handoffs")
        if event.type == "workflow.task_assigned.v1"
    ]
    assert assigned == [(None, "S012"), ("S012", "S012")]
