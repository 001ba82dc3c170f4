"""What the simulator knows and the services must find out, written beside the events."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from deploy.bank.people import Customer
from shared.events import Event
from shared.events.bank import DayClosed, LoanOverdue, TransactionBooked


@dataclass(slots=True)
class _Sums:
    count: int = 0
    sum_minor: int = 0
    customer_count: int = 0  # of them initiated by the customer

    def add(self, fact: TransactionBooked) -> None:
        self.count += 1
        self.sum_minor += fact.amount_minor
        self.customer_count += fact.initiated_by == "customer"


@dataclass(slots=True)
class Truth:
    """Dates of leavers, outflows and distress; counts and exact sums of transactions."""

    description: dict[str, Any] = field(default_factory=dict)
    leavers: dict[str, dict[str, Any]] = field(default_factory=dict)
    outflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    distress: dict[str, dict[str, Any]] = field(default_factory=dict)
    complaints: list[dict[str, Any]] = field(default_factory=list)
    managers: dict[str, str] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    events: Counter[str] = field(default_factory=Counter)
    by_customer: defaultdict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    by_account: defaultdict[str, _Sums] = field(default_factory=lambda: defaultdict(_Sums))
    days_closed: int = 0

    def note(self, event: Event[Any]) -> None:
        fact = event.data
        self.events[event.type] += 1
        if isinstance(fact, TransactionBooked):
            self.by_customer[fact.customer_number].add(fact)
            self.by_account[fact.account_number].add(fact)
        elif isinstance(fact, DayClosed):
            self.days_closed += 1
        elif isinstance(fact, LoanOverdue) and fact.customer_number in self.distress:
            self.distress[fact.customer_number].setdefault("overdue_on", event.businessdate)

    def left(self, customer: Customer, fades_on: date, silent_on: date) -> None:
        """`silent_on` is the first day without a transaction that the customer initiated."""
        self.leavers[customer.number] = {
            "customer_number": customer.number, "fades_on": fades_on, "silent_on": silent_on,
            "rate_ppm": int(customer.rate * 1_000_000),
            "has_wallet": customer.wallet is not None,
        }  # fmt: skip

    def flowed_out(self, customer: Customer, on: date, amount_minor: int, before: int) -> None:
        """`before` is the balance in minor units when the outflow began."""
        self.outflows[customer.number] = {
            "customer_number": customer.number, "on": on, "amount_minor": amount_minor,
            "balance_before_minor": before,
        }  # fmt: skip

    def fell_into_distress(self, customer: Customer, from_on: date) -> None:
        self.distress[customer.number] = {
            "customer_number": customer.number, "from_on": from_on,
        }  # fmt: skip

    def overdrawn(self, customer: Customer, on: date) -> None:
        found = self.distress.get(customer.number)
        if found is not None:
            found.setdefault("overdrawn_on", on)

    def complained(self, customer: Customer, on: date) -> None:
        self.complaints.append({"customer_number": customer.number, "on": on})

    def document(self) -> dict[str, Any]:
        """Plain data for JSON, in a fixed order."""
        return {
            **self.description,
            "events": dict(sorted(self.events.items())),
            "event_count": sum(self.events.values()),
            "days_closed": self.days_closed,
            "leavers": [self.leavers[k] for k in sorted(self.leavers)],
            "outflows": [self.outflows[k] for k in sorted(self.outflows)],
            "distress": [self.distress[k] for k in sorted(self.distress)],
            "complaints": self.complaints,
            "managers": dict(sorted(self.managers.items())),
            "owners": dict(sorted(self.owners.items())),
            "by_customer": {k: _plain(v) for k, v in sorted(self.by_customer.items())},
            "by_account": {k: _plain(v) for k, v in sorted(self.by_account.items())},
        }

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self.document()), indent=1)


def _plain(sums: _Sums) -> dict[str, int]:
    return {"count": sums.count, "sum_minor": sums.sum_minor,
            "customer_count": sums.customer_count}  # fmt: skip
