"""Notify on real servers: telling, withdrawing, the lease, acknowledging, mail."""

from datetime import timedelta

import pytest

from services.notify.__main__ import SERVICE
from shared.events import orders, workflow
from shared.policy import Actor
from shared.testing.space import Space

ME = Actor("S001", permissions=frozenset({"notice.view"}))
TEXT = {"zh-CN": "联系客户", "en": "Contact the customer"}


def task(**changes):
    values = {
        "process_instance_id": "P1",
        "task_id": "T1",
        "step": "assess",
        "to_staff_id": "S001",
        "text": TEXT,
    }
    return workflow.TaskAssigned(**{**values, **changes})


@pytest.fixture
def notify(space: Space):
    return space.service(SERVICE)


def test_a_task_is_told_once_however_often_it_arrives(space, notify):
    space.publish(task(), event_id="e1", source="guanxi/workflow")
    space.publish(task(), event_id="e1", source="guanxi/workflow")
    notify.drain()
    client = notify.client(ME)
    found = client.get("/notices").json()
    assert [n["text"] for n in found] == ["新任务:联系客户"]
    assert [e.data.channel for e in space.read("notice.deliveries")] == ["inbox"]


def test_a_done_task_is_no_longer_news(space, notify):
    space.publish(
        task(),
        workflow.TaskCompleted(
            process_instance_id="P1", task_id="T1", step="assess", outcome_code="done"
        ),
    )
    notify.drain()
    assert [n["state"] for n in notify.client(ME).get("/notices").json()] == ["withdrawn"]


def reminder(space, lease_s):
    return orders.ReminderReleased(
        order_id="ORD-1",
        reminder_id="R1",
        receiver_id="S001",
        fence=((0, 5),),
        valid_until=space.clock.wall_now() + timedelta(seconds=lease_s),
        text=TEXT,
    )


def test_an_expired_reminder_is_not_told(space, notify):
    space.publish(reminder(space, -1))
    notify.drain()
    assert notify.client(ME).get("/notices").json() == []
    (failed,) = space.read("notice.deliveries")
    assert failed.data.reason_code == "expired"
    assert failed.data.reminder_id == "R1"


def test_a_withdrawn_reminder_leaves_the_inbox(space, notify):
    space.publish(
        reminder(space, 60),
        orders.ReminderWithdrawn(order_id="ORD-1", reminder_id="R1", why="paid"),
    )
    notify.drain()
    assert [n["state"] for n in notify.client(ME).get("/notices").json()] == ["withdrawn"]


def test_acknowledged_twice_is_said_once(space, notify):
    space.publish(task())
    notify.drain()
    client = notify.client(ME)
    (notice,) = client.get("/notices").json()
    for _ in range(2):
        answer = client.post(f"/notices/{notice['notice_id']}/acknowledge")
        assert answer.json()["state"] == "acknowledged"
    notify.drain()
    said = [e.type for e in space.read("notice.deliveries")]
    assert said.count("notify.notice_acknowledged.v1") == 1


def test_a_snoozed_notice_comes_back_unread(space, notify):
    space.publish(task())
    notify.drain()
    client = notify.client(ME)
    (notice,) = client.get("/notices").json()
    client.post(f"/notices/{notice['notice_id']}/snooze", json={"minutes": 30})
    assert client.get("/notices").json()[0]["state"] == "snoozed"
    space.clock.bank += timedelta(minutes=31)
    notify.drain()
    assert client.get("/notices").json()[0]["state"] == "unread"


def test_nobody_reads_another_ones_notice(space, notify):
    space.publish(task())
    notify.drain()
    (notice,) = notify.client(ME).get("/notices").json()
    other = notify.client(Actor("S002", permissions=frozenset({"notice.view"})))
    assert other.get(f"/notices/{notice['notice_id']}/why").status_code == 404
    assert other.get("/stream?audiences=staff:S001").status_code == 403


def test_the_inbox_page_shows_the_notice_and_its_count(space, notify):
    space.publish(task())
    notify.drain()
    client = notify.client(ME)
    page = client.get("/inbox", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "新任务:联系客户" in page.text
    assert "1 条未读" in client.get("/count").text
    (notice,) = client.get("/notices").json()
    why = client.get(f"/inbox/why/{notice['notice_id']}")
    assert "workflow.task_assigned.v1" in why.text
    after = client.post(f"/inbox/acknowledge/{notice['notice_id']}")
    assert "已知悉" in after.text
