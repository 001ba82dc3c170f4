"""What tests of orders share: people, a customer, and the ways to an approved order.

One room on the servers serves a whole file: every test makes its own orders, and what it names
(`own`) is its own. A test that changes what all orders see asks for `fresh`.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from services.orders.__main__ import SERVICE
from shared.events import bank, customer
from shared.policy import Actor, Scope
from shared.testing.servers import Servers
from shared.testing.space import START, ServiceUnderTest, Space

BRANCH = "/head/b1/retail"
GOLD = {"product_code": "GOLD-BAR-10G", "quantity": 2, "unit_price_minor": 805_000}
AMOUNT = 1_610_000


def staff(
    staff_id: str, *permissions: str, path: str = "/head/b1", limit: int | None = None
) -> Actor:
    return Actor(
        staff_id,
        name=staff_id,
        permissions=frozenset(permissions),
        scopes=tuple(Scope(p, "subtree", path) for p in permissions),
        limits={} if limit is None else {"order.approve": limit},
        org_path=BRANCH,
    )


MAKER = staff("S001", "order.view", "order.edit", "order.submit")
CHECKER = staff("S002", "order.view", "order.edit", "order.approve", limit=100_000_000)
COLLECTOR = staff("S003", "order.view", "order.collect")


@pytest.fixture(scope="module")
def space(servers: Servers) -> Iterator[Space]:
    found = Space(servers)
    yield found
    found.close()


@pytest.fixture(scope="module")
def orders_service(space: Space) -> ServiceUnderTest:
    return _made(space)


@pytest.fixture
def room(space: Space, orders_service: ServiceUnderTest) -> ServiceUnderTest:
    """Orders that knows party P1 with the numbers C1 and C9, on a Monday morning."""
    space.clock.bank = START
    _Tag.count += 1
    return orders_service


@pytest.fixture
def fresh(servers: Servers) -> Iterator[tuple[Space, ServiceUnderTest]]:
    """A room that nobody else is in."""
    found = Space(servers)
    yield found, _made(found)
    found.close()


def _made(space: Space) -> ServiceUnderTest:
    service = space.service(SERVICE)
    space.publish(
        customer.PartyRecorded(
            party_id="P1", customer_number="C1", kind="person", customer_numbers=("C1", "C9")
        )
    )
    service.drain()
    return service


class _Tag:
    count = 0


def own(name: str) -> str:
    """A name that no other test of the run has."""
    return f"{name}-{_Tag.count}"


def order_body(**changes: Any) -> dict[str, Any]:
    return {"party_id": "P1", "lines": [GOLD], "deliver_days": 1, "collect_days": 2, **changes}


def placed(room: ServiceUnderTest, actor: Actor = MAKER, **changes: Any) -> dict[str, Any]:
    answer = room.client(actor).post("/orders", json=order_body(**changes))
    assert answer.status_code == 201, answer.text
    return answer.json()


def approve(room: ServiceUnderTest, order: dict[str, Any], actor: Actor = CHECKER) -> Any:
    return room.client(actor).post(
        f"/orders/{order['order_id']}/approve", json={"content_hash": order["content_hash"]}
    )


def approved(room: ServiceUnderTest, **changes: Any) -> dict[str, Any]:
    answer = approve(room, placed(room, submit=True, **changes))
    assert answer.status_code == 200, answer.text
    return answer.json()


def shown(room: ServiceUnderTest, order_id: str, actor: Actor = MAKER) -> dict[str, Any]:
    answer = room.client(actor).get(f"/api/orders/{order_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def paid(
    order_id: str | None, amount_minor: int, name: str = "T1", *, reverses: str | None = None,
    **changes: Any,
) -> bank.TransactionBooked:  # fmt: skip
    """A payment; its transaction id, and the one it reverses, are this test's own."""
    values: dict[str, Any] = {
        "transaction_id": own(name), "customer_number": "C1", "account_number": "A1",
        "product_code": "CUR", "amount_minor": amount_minor, "currency": "CNY",
        "kind": "transfer_in", "initiated_by": "customer", "booked_on": date(2026, 3, 3),
        "payment_reference": order_id, "reverses": own(reverses) if reverses else None,
    }  # fmt: skip
    return bank.TransactionBooked(**{**values, **changes})


def facts(space: Space, order_id: str, topic: str = "order.lifecycle") -> list[Any]:
    """What was said about one order, in order."""
    return [e for e in space.read(topic) if e.data.order_id == order_id]


def types(space: Space, order_id: str) -> list[str]:
    return [e.type.split(".")[1] for e in facts(space, order_id)]
