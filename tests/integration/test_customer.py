"""The customer service on real servers: the view, its order, merges, intake, search, labels."""

from datetime import date
from typing import Any

import pytest

from services.customer.__main__ import SERVICE
from shared.events import bank
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space

EVERYTHING = frozenset({"customer.view", "customer.search", "customer.edit"})


def reader(kind: str = "all", path: str = "", *, codes: tuple[str, ...] = (), name="S001") -> Actor:
    scopes = tuple(Scope(p, kind, path) for p in EVERYTHING)  # type: ignore[arg-type]
    return Actor(name, permissions=EVERYTHING, scopes=scopes, staff_codes=codes)


ALL = reader()


@pytest.fixture
def customer(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


def person(number: str, name: str, **more: Any) -> bank.CustomerRecorded:
    return bank.CustomerRecorded(customer_number=number, kind="person", name=name, **more)


def opened(number: str, account: str, **more: Any) -> bank.AccountOpened:
    values = {"product_code": "CA", "currency": "CNY", "opened_on": date(2026, 1, 5), **more}
    return bank.AccountOpened(customer_number=number, account_number=account, **values)


def booked(number: str, account: str, n: int, minor: int, **more: Any) -> bank.TransactionBooked:
    values = {
        "kind": "transfer_in" if minor > 0 else "transfer_out", "initiated_by": "customer",
        "booked_on": date(2026, 3, 2), "product_code": "CA", "currency": "CNY", **more,
    }  # fmt: skip
    return bank.TransactionBooked(
        customer_number=number, account_number=account, transaction_id=f"T{n}",
        amount_minor=minor, **values,
    )  # fmt: skip


def manager(number: str, code: str, on: date = date(2026, 1, 5), **more: Any):
    return bank.ManagerAssigned(customer_number=number, manager_code=code, effective_on=on, **more)


def test_the_view_shows_what_the_bank_said(space, customer):
    space.publish(
        person("C1", "王小明", phones=("138 0013 8000",)),
        opened("C1", "A1", holders=(
            bank.Holder(customer_number="C1", role="owner", share_ppm=600_000),
            bank.Holder(customer_number="C2", role="co_holder", share_ppm=400_000),
        )),
        booked("C1", "A1", 1, 12_300),
        booked("C1", "A1", 2, -300),
        manager("C1", "RM-B01-1", branch_code="B01"),
    )  # fmt: skip
    customer.drain()
    client = customer.client(ALL)
    view = client.get("/api/parties/PC1").json()
    assert view["name"] == "王小明"
    assert view["customer_numbers"] == ["C1"]
    assert view["manager_code"] == "RM-B01-1"
    assert view["accounts"][0]["balance_minor"] == 12_000
    assert view["accounts"][0]["share_ppm"] == 600_000
    masked = {f["kind"]: f["masked"] for m in view["masked"] for f in m["fields"]}
    assert masked["phone"] == "****8000"
    entries = client.get("/api/parties/PC1/timeline").json()["entries"]
    assert sorted(e["code"] for e in entries) == [
        "account_opened", "manager_assigned", "transfer_in", "transfer_out"
    ]  # fmt: skip
    co_holder = client.get("/api/parties/PC2").json()
    assert co_holder["name"] is None
    assert co_holder["accounts"][0]["share_ppm"] == 400_000


def test_it_says_who_and_what_on_customer_events_without_names(space, customer):
    space.publish(person("C1", "王小明"), opened("C1", "A1"), manager("C1", "RM-1"))
    space.publish(person("C1", "王小明", phones=("13800138000",)))
    customer.drain()
    said = space.read("customer.events")
    assert sorted(e.data.TYPE for e in said) == [
        "customer.holding_changed.v1", "customer.manager_changed.v1",
        "customer.party_recorded.v1",
    ]  # fmt: skip
    assert {e.subject for e in said} == {"C1"}
    from shared.events.envelope import encode

    assert all("王小明".encode() not in encode(e) for e in said)
