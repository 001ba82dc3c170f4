"""The room of customer's tests: the service, who reads, and what the bank says."""

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
