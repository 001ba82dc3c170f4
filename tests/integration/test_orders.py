"""Orders on real servers: from a quote to the closed order."""

from datetime import timedelta

import pytest

from services.orders.__main__ import SERVICE
from shared.events import bank, customer, notify, orders
from shared.policy import Actor, Scope
from shared.testing.space import Space

MAKER_PERMISSIONS = ("order.view", "order.edit", "order.submit")
BRANCH = "/head/b1/retail"


def staff(staff_id: str, *permissions: str, kind="subtree", path="/head/b1", limit=None) -> Actor:
    return Actor(
        staff_id,
        permissions=frozenset(permissions),
        scopes=tuple(Scope(p, kind, path) for p in permissions),
        limits={} if limit is None else {"order.approve": limit},
        org_path=BRANCH,
    )


MAKER = staff("S001", *MAKER_PERMISSIONS)
CHECKER = staff("S002", "order.view", "order.edit", "order.approve", limit=100_000_000)
GOLD = {"product_code": "GOLD-BAR-10G", "quantity": 2, "unit_price_minor": 805_000}


@pytest.fixture
def under_test(space: Space):
    service = space.service(SERVICE)
    space.publish(
        customer.PartyRecorded(
            party_id="P1", customer_number="C1", kind="person", customer_numbers=("C1", "C9")
        )
    )
    service.drain()
    return service


def placed(service, actor=MAKER, **changes):
    body = {"party_id": "P1", "lines": [GOLD], "deliver_days": 1, "collect_days": 2, **changes}
    answer = service.client(actor).post("/orders", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def approved(service, **changes):
    order = placed(service, submit=True, **changes)
    answer = service.client(CHECKER).post(
        f"/orders/{order['order_id']}/approve", json={"content_hash": order["content_hash"]}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(service, order_id, actor=MAKER):
    answer = service.client(actor).get(f"/api/orders/{order_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def paid(order_id, amount, transaction_id="T1", **changes):
    values = {
        "transaction_id": transaction_id, "customer_number": "C1", "account_number": "A1",
        "product_code": "CUR", "amount_minor": amount, "currency": "CNY", "kind": "transfer_in",
        "initiated_by": "customer", "booked_on": "2026-03-03", "payment_reference": order_id,
    }  # fmt: skip
    values |= changes
    values["booked_on"] = __import__("datetime").date.fromisoformat(values["booked_on"])
    return bank.TransactionBooked(**values)


def types(space, topic="order.lifecycle"):
    return [e.data.TYPE.split(".")[1] for e in space.read(topic)]


def test_an_order_goes_from_submission_through_payment_to_its_end(space, under_test):
    order = approved(under_test)
    order_id = order["order_id"]
    assert order["status"] == "effective"
    assert order["amount_minor"] == 1_610_000
    answer = under_test.client(MAKER).post(f"/orders/{order_id}/deliver")
    assert answer.json()["status"] == "executing", answer.text
    space.publish(paid(order_id, 1_610_000))
    under_test.drain()
    after = shown(under_test, order_id)
    assert after["status"] == "closed"
    assert after["receivable"]["settlement"] == "settled"
    assert after["reminder"]["state"] == "withdrawn"
    assert types(space) == [
        "order_submitted", "order_approved", "order_effective", "step_done", "payment_applied",
        "reminder_withdrawn", "step_done", "order_closed",
    ]  # fmt: skip
