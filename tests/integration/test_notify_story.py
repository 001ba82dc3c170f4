"""Why did I get this: from the bank's event to the notice, in words and with doors."""

from datetime import UTC, datetime

import pytest

from services.notify.__main__ import SERVICE
from shared.events import bank, orders, scoring, workflow
from shared.events.fact import Cause
from shared.policy import Actor
from shared.testing.space import Space

SEES = frozenset({"notice.view", "alert.view", "process.view"})
ME = Actor("S001", permissions=SEES)
TEXT = {"zh-CN": "联系客户", "en": "Contact the customer"}
AT = datetime(2026, 3, 2, 1, tzinfo=UTC)
SOURCE = "guanxi/test"


@pytest.fixture
def notify(space: Space):
    return space.service(SERVICE)


def alert(**changes):
    values = {
        "alert_id": "ALT-1", "party_id": "P1", "rule": "outflow", "episode": 1, "at": AT,
        "risk_ppm": 700_000, "contribution_minor": 1, "margin_at_risk_minor": 1,
        "currency": "CNY", "terms": (), "text": {"zh-CN": "余额少了 95%", "en": "95% gone"},
        "cause": Cause(type=bank.TransactionBooked.TYPE, id="txn-7", at=AT),
    }  # fmt: skip
    return scoring.AlertRaised(**{**values, **changes})


def started(cause_id):
    return workflow.ProcessStarted(
        process_instance_id="PI-1", party_id="P1", definition="retention", version=1, text=TEXT,
        cause=Cause(type=scoring.AlertRaised.TYPE, id=cause_id),
    )  # fmt: skip


def assigned():
    return workflow.TaskAssigned(
        process_instance_id="PI-1", task_id="T1", step="assess", to_staff_id="S001", text=TEXT
    )


def told(space, notify):
    """The events of a story as they are published, each once."""
    space.publish(alert(), event_id="score.alerts:P1:1", source=SOURCE)
    space.publish(started("score.alerts:P1:1"), event_id="task.handoffs:PI-1:1", source=SOURCE)
    space.publish(assigned(), event_id="task.handoffs:PI-1:2", source=SOURCE)
    notify.drain()


def steps_of(client):
    (notice,) = client.get("/notices").json()
    return client.get(f"/notices/{notice['notice_id']}/why").json()["chain"]


def test_the_chain_goes_from_the_banks_event_to_the_task(space, notify):
    told(space, notify)
    assert [step["type"] for step in steps_of(notify.client(ME))] == [
        "bank.transaction_booked.v1", "scoring.alert_raised.v1",
        "workflow.process_started.v1", "workflow.task_assigned.v1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh-CN", ["银行记入一笔交易", "触发预警", "流程启动", "分派任务", "本通知"]),
        ("en", ["The bank booked a transaction", "Alert raised", "Process started",
                "Task assigned", "This notice"]),
    ],
)  # fmt: skip
def test_the_page_says_the_chain_in_words_with_links(space, notify, language, words):
    told(space, notify)
    client = notify.client(Actor("S001", permissions=SEES, language=language))
    (notice,) = client.get("/notices").json()
    page = client.get(f"/inbox/why/{notice['notice_id']}").text
    places = [page.index(word) for word in words]
    assert places == sorted(places)
    assert page.count('href="/scoring/risk/alerts/ALT-1"') == 2  # the alert, and its bank event
    assert 'href="/workflow/processes/PI-1"' in page


def test_no_link_leads_where_the_reader_may_not_go(space, notify):
    told(space, notify)
    client = notify.client(Actor("S001", permissions=frozenset({"notice.view"})))
    (notice,) = client.get("/notices").json()
    assert "href=" not in client.get(f"/inbox/why/{notice['notice_id']}").text


def test_a_cause_that_was_not_heard_is_named_by_its_id(space, notify):
    space.publish(started("score.alerts:P9:4"), event_id="task.handoffs:PI-1:1", source=SOURCE)
    space.publish(assigned(), event_id="task.handoffs:PI-1:2", source=SOURCE)
    notify.drain()
    first = steps_of(notify.client(ME))[0]
    assert (first["id"], first["type"]) == ("score.alerts:P9:4", None)


def test_an_order_alone_is_a_chain_of_one(space, notify):
    space.publish(
        orders.OrderApproved(
            order_id="ORD-1", content_hash="h", checker_id="S002", maker_id="S001"
        )
    )
    notify.drain()
    assert [s["type"] for s in steps_of(notify.client(ME))] == ["orders.order_approved.v1"]
