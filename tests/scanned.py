"""Events read with the scanner and without it, and what a partition knows after them."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np

from services.scoring import columns, model, reference
from services.scoring.engine import Engine
from services.scoring.partition import Partition
from services.scoring.risk_plan import NO_PLAN, plan_of
from services.scoring.watermark import Source
from shared.events.bank import RateSet
from shared.events.envelope import wrap
from tests.risk_live import hand_made

DAY = date(2025, 3, 1)
LATEST = DAY.toordinal() + 1
AT = datetime(2025, 3, 1, 9, 30, 1, 250, tzinfo=UTC)
TOPIC = "bank.events"
WATCHED = plan_of(hand_made("CA"))


@dataclass
class Delivered:
    offset: int
    key: bytes | None
    value: bytes | None


def envelope(**changes: Any) -> dict[str, Any]:
    """A transaction as its JSON; `data` may be changed by its own fields."""
    data = {
        "customer_number": "C1", "transaction_id": "T1", "account_number": "A1",
        "product_code": "CA", "amount_minor": -1250, "currency": "CNY", "kind": "card",
        "initiated_by": "customer", "booked_on": "2025-03-01",
    } | changes.pop("data", {})  # fmt: skip
    return {
        "type": "bank.transaction_booked.v1", "specversion": "1.0", "id": "txn-1",
        "source": "core", "subject": "C1", "time": "2025-03-01T09:30:01Z",
        "datacontenttype": "application/json", "businessdate": "2025-03-01",
    } | changes | {"data": data}  # fmt: skip


def engine(*, priced: bool = False, watched: bool = False, partitions: int = 1) -> Engine:
    made = Engine(
        model.load(), topic=TOPIC, partitions=partitions, currency="CNY", zone="Asia/Shanghai",
        plan=WATCHED if watched else NO_PLAN,
    )  # fmt: skip
    made.describe("core", Source(closes_days=True, active_from=date(2024, 1, 1).toordinal()))
    made.describe("late", Source(closes_days=True, active_from=DAY.toordinal() + 1))
    for kind, value in (("transfer_price", 20_000), ("cost_driver", 30)) if priced else ():
        own = {"product_code": "CA"} if kind == "transfer_price" else {"driver_code": "card"}
        rate = RateSet(kind=kind, from_on=date(2025, 1, 1), value=value, currency="CNY", **own)
        reference.tell(made, wrap(rate, id="r", source="core", time=AT, businessdate=DAY))
    learnt = [
        envelope(id=f"know-{n}", source=source, subject=number, businessdate="2025-03-02",
                 data={"customer_number": number, "account_number": account, "currency": currency,
                       "channel_code": channel})
        for n, (source, number, account, currency, channel) in enumerate([
            ("core", "C1", "A1", "CNY", "app"), ("late", "C1", "A2", "CNY", "网点"),
            ("core", "客2", "账1", "USD", "app"),
        ])
    ]  # fmt: skip
    records = [Delivered(n, one["subject"].encode(), written(one)) for n, one in enumerate(learnt)]
    batch = made.read(0, records, LATEST + 400)
    made.apply(batch, set())
    return made


def both(
    records: list[Delivered], *, priced: bool = False, watched: bool = False, partitions: int = 1
) -> tuple[Any, Any, int]:
    """What is read of them with the scanner and without it, and how many it took at once."""
    one, other = (
        engine(priced=priced, watched=watched, partitions=partitions) for _ in range(2)
    )  # fmt: skip
    scanned = one.read(0, records, LATEST).columns
    plain = columns.Columns()
    partition = other.partition(0)
    partition.books.look_at(other.rates, 0, 0)
    other._context.latest_day = LATEST
    columns.add(plain, other._context, partition, records, frozenset())
    taken = 0 if scanned.scanned is None else len(scanned.scanned.places)
    return (
        told(scanned) | known_to(one.partition(0)), told(plain) | known_to(partition), taken
    )  # fmt: skip


def known_to(partition: Partition) -> dict[str, Any]:
    """What it keeps of customers and accounts before an event is stepped."""
    accounts, customers = len(partition.account_keys), len(partition.numbers)
    return {
        "customers": partition.numbers.many(np.arange(customers)),
        "accounts": [partition.key_of(account) for account in range(accounts)],
        "rows": partition.customers[:customers].tolist(),
        "heads": [column[:customers].tolist() for column in (
            partition.heads, partition.first_account, partition.books.grades.heads)],
        "owners": [column[:accounts].tolist() for column in (
            partition.books.owners, partition.currency_of, partition.next_account,
            partition.watched.places, partition.watched.heads)],
        "used": partition.account_keys.used.tolist(),
        "found": [partition.accounts_of(*partition.key_of(n)[:2]) for n in range(accounts)],
        "begun": partition.begun[:accounts].tolist(),
    }  # fmt: skip


def told(found: columns.Columns) -> dict[str, Any]:
    count = len(found.rows)
    return {
        "arrays": [array.tolist() for array in found.arrays()],
        "identities": [(found.source_of(i), found.id_of(i), found.time_of(i))
                       for i in range(count)],
        "closes": [(c.before, c.offset, c.source, c.day) for c in found.closes],
        "refused": found.refused, "waiting": found.waiting, "ignored": found.ignored,
    }  # fmt: skip


def written(event: dict[str, Any]) -> bytes:
    return json.dumps(event, ensure_ascii=False).encode()


def delivered(*events: dict[str, Any] | bytes, key: bytes | None = b"C1") -> list[Delivered]:
    return [
        Delivered(100 + n, key, one if isinstance(one, bytes) else written(one))
        for n, one in enumerate(events)
    ]
