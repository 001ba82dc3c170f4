"""Bank events over HTTP: durable when acknowledged, whole or not at all, closes last."""

import json
import threading
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from services.customer.__main__ import SERVICE
from shared.db import DeadLetterRow
from shared.events import bank, envelope, orders
from shared.events.envelope import Fact
from shared.testing.space import ServiceUnderTest, Space

AT = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
DAY = date(2026, 3, 2)


@pytest.fixture
def customer(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


@pytest.fixture
def bank_system(customer: ServiceUnderTest):
    return customer.client("core-bank", kind="system", permissions=("bank_events.publish",))


def body(fact: Fact, event_id: str = "e1", **changes: Any) -> dict[str, Any]:
    event = envelope.wrap(fact, id=event_id, source="bank/core", time=AT, businessdate=DAY)
    return {**json.loads(envelope.encode(event)), **changes}


def placed(number: str, branch: str = "B01") -> bank.CustomerPlaced:
    return bank.CustomerPlaced(customer_number=number, home_branch_code=branch)


def counts(customer: ServiceUnderTest) -> tuple[int, int]:
    with customer.database.read() as session:
        return (
            session.execute(text("select count(*) from intake")).scalar_one(),
            session.execute(text("select count(*) from outbox")).scalar_one(),
        )


def test_an_acknowledged_event_is_in_the_outbox_and_then_on_its_topic(space, customer, bank_system):
    answer = bank_system.post("/bank-events", json=body(placed("C1")))
    assert (answer.status_code, answer.json()) == (202, {"taken": 1, "repeated": 0})
    assert counts(customer) == (1, 1)
    customer.drain()
    [event] = space.read("bank.events")
    assert (event.id, event.source, event.subject) == ("e1", "bank/core", "C1")
    with customer.database.read() as session:
        placed_at = session.execute(text("select home_branch_code from parties")).scalar_one()
    assert placed_at == "B01"


def test_a_batch_is_taken_in_order_and_each_type_goes_to_its_topic(space, customer, bank_system):
    batch = [
        body(bank.CustomerRecorded(customer_number="C1", kind="person", name="王小明"), "e1"),
        body(placed("C1"), "e2"),
        body(placed("C1", "B02"), "e3"),
    ]
    assert bank_system.post("/bank-events", json=batch).json() == {"taken": 3, "repeated": 0}
    customer.drain()
    assert [e.id for e in space.read("bank.events")] == ["e2", "e3"]
    assert [e.id for e in space.read("bank.customers")] == ["e1"]


def test_the_same_event_again_is_no_news(space, customer, bank_system):
    bank_system.post("/bank-events", json=body(placed("C1")))
    reordered = dict(reversed(list(body(placed("C1")).items())))
    again = bank_system.post("/bank-events", json=[reordered, reordered, body(placed("C2"), "e2")])
    assert again.json() == {"taken": 1, "repeated": 2}
    customer.drain()
    assert len(space.read("bank.events")) == 2


@pytest.mark.parametrize("known_first", [True, False])
def test_the_same_identity_with_another_body_is_a_conflict(customer, bank_system, known_first):
    first, other = body(placed("C1")), body(placed("C1", "B02"))
    if known_first:
        bank_system.post("/bank-events", json=first)
    before = counts(customer)
    batch = [body(placed("C9"), "e9"), first, other]
    answer = bank_system.post("/bank-events", json=batch)
    assert answer.status_code == 409
    assert answer.json()["index"] == 2
    assert answer.json()["code"] == "identity_conflict"
    assert counts(customer) == before


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"id": None}, "id"),
        ({"type": "bank.customer_placed.v2"}, "type"),
        ({"type": "orders.order_closed.v1"}, "data.order_id"),
        ({"subject": "C2"}, "subject"),
        ({"data": {"home_branch_code": "B01"}}, "data.customer_number"),
        ({"businessdate": "2026-02-31"}, "businessdate"),
        ({"id": "e\0"}, "id"),
        ({"data": {"customer_number": "C1", "home_branch_code": "\0"}}, "data.home_branch_code"),
    ],
)
def test_nothing_of_a_batch_with_one_bad_event_is_taken(customer, bank_system, bad, field):
    batch = [body(placed("C1"), "e1"), body(placed("C1"), "e2", **bad)]
    answer = bank_system.post("/bank-events", json=batch)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert (problem["index"], problem["fields"][0]["field"]) == (1, field)
    assert counts(customer) == (0, 0)


@pytest.mark.parametrize("opening", ["[", '{"data":'])
def test_a_body_nested_beyond_measure_is_refused(customer, bank_system, opening):
    answer = bank_system.post("/bank-events", content=opening * 100_000)
    assert answer.status_code == 422, answer.text
    assert counts(customer) == (0, 0)


def test_every_bad_event_of_a_batch_is_named(customer, bank_system):
    batch = [body(placed("C1"), "e1", id=None), body(placed("C2"), "e2"),
             body(placed("C3"), "e3", subject="C4")]  # fmt: skip
    problem = bank_system.post("/bank-events", json=batch).json()
    assert [(e["index"], e["field"]) for e in problem["errors"]] == [(0, "id"), (2, "subject")]
    assert all(e["reason"] for e in problem["errors"])
    assert (problem["index"], [f["field"] for f in problem["fields"]]) == (0, ["id"])


def test_an_event_that_is_not_the_banks_is_refused(customer, bank_system):
    answer = bank_system.post(
        "/bank-events", json=body(orders.OrderClosed(order_id="O1", outcome_code="paid"))
    )
    assert answer.status_code == 422
    assert answer.json()["fields"][0]["field"] == "type"


def test_a_body_beyond_the_limit_is_refused_unread(customer, bank_system):
    answer = bank_system.post("/bank-events", content=b"[" + b" " * 1_000_001 + b"]")
    assert answer.status_code == 413
    assert bank_system.post("/bank-events", content=b"{").status_code == 422
    assert counts(customer) == (0, 0)


def test_a_date_out_of_time_gets_the_same_verdict_by_http_as_by_kafka(
    space, customer, bank_system
):
    """Durable when acknowledged; the reader quarantines it, and can replay it."""
    space.publish(
        bank.SourceDescribed(source="bank/core", closes_days=True, active_from=DAY),
        source="bank/core",
    )
    customer.drain()
    days = [DAY - timedelta(days=1), DAY + timedelta(days=2)]
    ahead = AT + timedelta(days=2)
    batch = [body(placed("C1"), f"h{on}", businessdate=on.isoformat()) for on in days]
    batch.append(body(placed("C1"), "hahead", time=ahead.isoformat()))
    answer = bank_system.post("/bank-events", json=[*batch, body(placed("C2"), "good")])
    assert (answer.status_code, answer.json()["taken"]) == (202, 4)
    for on in days:
        space.publish(placed("C1"), source="bank/core", event_id=f"k{on}", businessdate=on)
    space.publish(
        placed("C1"), source="bank/core", event_id="kahead", businessdate=DAY, at=ahead
    )
    customer.drain()
    with customer.database.read() as session:
        letters = session.execute(select(DeadLetterRow)).scalars().all()
        applied = session.execute(text("select count(*) from parties")).scalar_one()
    verdicts = {envelope.decode(r.payload).id: (r.kind, r.field, r.reason) for r in letters}
    assert len(verdicts) == 6
    for name, field in (*((on, "businessdate") for on in days), ("ahead", "time")):
        assert verdicts[f"h{name}"] == verdicts[f"k{name}"]
        assert verdicts[f"h{name}"][:2] == ("quarantined", field)
    assert applied == 1


def test_only_a_token_with_the_permission_may_publish(customer):
    staff = customer.client("S001", kind="system", permissions=("customer.view",))
    assert staff.post("/bank-events", json=body(placed("C1"))).status_code == 403
    staff.headers.pop("authorization")
    assert staff.post("/bank-events", json=body(placed("C1"))).status_code == 401
    assert counts(customer) == (0, 0)


def test_a_close_reaches_every_partition_after_all_that_came_before(space, customer, bank_system):
    numbers = [f"C{n}" for n in range(12)]
    for n, number in enumerate(numbers):
        bank_system.post("/bank-events", json=[
            body(placed(number), f"a{n}"), body(placed(number, "B02"), f"b{n}"),
        ])  # fmt: skip
    answer = bank_system.post("/bank-events", json=body(bank.DayClosed(day=DAY), "close-1"))
    assert answer.json() == {"taken": 1, "repeated": 0}
    bank_system.post("/bank-events", json=body(placed("C0", "B03"), "after"))
    while customer.relay_once():
        pass
    events = space.read("bank.events")
    closes = [e for e in events if isinstance(e.data, bank.DayClosed)]
    partitions = space.partitions["bank.events"]
    assert {e.data.partition for e in closes} == set(range(partitions))
    assert {e.id for e in closes} == {
        f"close-bank/core-{DAY}-{p}" for p in range(partitions)
    }  # fmt: skip
    order = [e.id for e in events]
    for close in closes:  # `read` goes partition by partition, so before in the list is before
        mine = space_partition(events, close.data.partition, partitions)
        assert mine[-1] == "after" or mine[-1] == close.id
        assert mine.index(close.id) >= len(mine) - 2
    assert len(order) == 2 * len(numbers) + partitions + 1


def space_partition(events: list[Any], partition: int, partitions: int) -> list[str]:
    from shared.ids import partition_of

    return [
        e.id
        for e in events
        if (
            e.data.partition == partition
            if isinstance(e.data, bank.DayClosed)
            else partition_of(e.subject, partitions) == partition
        )
    ]


def test_two_requests_with_one_identity_at_once_make_one_event(space, customer, bank_system):
    answers: list[int] = []

    def post(branch: str) -> None:
        client = customer.client("core", kind="system", permissions=("bank_events.publish",))
        answers.append(client.post("/bank-events", json=body(placed("C1", branch))).status_code)

    threads = [threading.Thread(target=post, args=(f"B{n % 2}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [202] * 4 + [409] * 4
    assert counts(customer) == (1, 1)
