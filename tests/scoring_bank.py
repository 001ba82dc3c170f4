"""A small bank scored in the test's own process: real topics, the worker's own engine, no Faust."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

from kafka import KafkaConsumer, TopicPartition

from services.scoring import model, signals, state
from services.scoring.engine import Engine
from services.scoring.risk_plan import NO_PLAN, Plan
from services.scoring.watermark import Source
from shared.events import envelope
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    DayClosed,
    ManagerAssigned,
    TransactionBooked,
)
from shared.testing.space import Space

SOURCE = "core"
FIRST_DAY = date(2025, 6, 2)
ZONE = "Asia/Shanghai"


class ScoredBank:
    """Publishes transactions and closes; `score` steps what is new and writes what a worker would.

    `sums` is the oracle: exact sums by (customer, account, product, currency), each identity once.
    """

    def __init__(self, space: Space, plan: Plan = NO_PLAN) -> None:
        self.space = space
        self.count = space.partitions["bank.events"]
        self.engine = Engine(
            model.load(), topic="bank.events", partitions=self.count, currency="CNY", zone=ZONE,
            plan=plan,
        )  # fmt: skip
        self.engine.describe(SOURCE, Source(True, FIRST_DAY.toordinal()))
        self.sums: defaultdict[tuple[str, str, str, str], int] = defaultdict(int)
        self._ids: set[str] = set()
        self._number = 0
        self._reports: list[Any] = []
        self._consumer = KafkaConsumer(
            bootstrap_servers=space.servers.kafka, enable_auto_commit=False
        )
        self._parts = [TopicPartition(space.prefix + "bank.events", p) for p in range(self.count)]
        self._consumer.assign(self._parts)
        self._consumer.seek_to_beginning(*self._parts)

    def book(
        self,
        customer: str,
        amount_minor: int,
        on: date,
        *,
        account: str | None = None,
        product: str = "CA-P",
        currency: str = "CNY",
        by: str = "customer",
        event_id: str | None = None,
    ) -> str:
        """One transaction; returns the event's id. A known id is sent again as it was."""
        self._number += 1
        name = event_id or f"txn-{self._number}"
        number = account or f"A-{customer}"
        if name not in self._ids:
            self._ids.add(name)
            self.sums[customer, number, product, currency] += amount_minor
        fact = TransactionBooked(
            transaction_id=name,
            account_number=number,
            customer_number=customer,
            product_code=product,
            amount_minor=amount_minor,
            currency=currency,
            kind="transfer_out" if amount_minor < 0 else "transfer_in",
            initiated_by=by,
            booked_on=on,
        )
        self._send(fact, name, on, customer.encode(), None)
        return name

    def open(self, customer: str, on: date) -> None:
        """His usual account is opened; nothing is booked on it."""
        fact = AccountOpened(customer_number=customer, account_number=f"A-{customer}",
                             product_code="CA-P", currency="CNY", opened_on=on)  # fmt: skip
        self._send(fact, f"opened-{customer}-{on}", on, customer.encode(), None)

    def assign(self, customer: str, on: date) -> None:
        """He has a manager, who may be all that he has at the bank."""
        fact = ManagerAssigned(customer_number=customer, manager_code="M1", effective_on=on)
        self._send(fact, f"assigned-{customer}-{on}", on, customer.encode(), None)

    def end(self, customer: str, on: date, account: str = "") -> None:
        """His account is closed: the usual one, or another that is named."""
        number = account or f"A-{customer}"
        fact = AccountClosed(customer_number=customer, account_number=number, closed_on=on)
        self._send(fact, f"closed-{account or customer}-{on}", on, customer.encode(), None)

    def close(self, on: date) -> None:
        """The source has published all of this day: one copy per partition."""
        for partition in range(self.count):
            fact = DayClosed(day=on, partition=partition)
            self._send(fact, fact.event_id(SOURCE), on, b"close", partition)

    def _send(self, fact: Any, name: str, on: date, key: bytes, partition: int | None) -> None:
        at = datetime(on.year, on.month, on.day, 2, tzinfo=UTC) + timedelta(
            milliseconds=self._number % 10**6
        )
        event = envelope.wrap(fact, id=name, source=SOURCE, time=at, businessdate=on)
        self._reports.append(
            self.space.sender.send("bank.events", key, envelope.encode(event), partition)
        )

    def days(self, customer: str, first: date, until: date, every: int, amount: int) -> date:
        """A habit: a transaction every few days. Returns the last day of one."""
        day = last = first
        while day <= until:
            self.book(customer, amount, day)
            last, day = day, day + timedelta(days=every)
        return last

    def close_through(self, until: date, first: date = FIRST_DAY) -> None:
        day = first
        while day <= until:
            self.close(day)
            day += timedelta(days=1)

    def unread(self) -> list[Any]:
        """The records that `score` would step, in partition order; now they are read."""
        return [record for _, records in self._polls() for record in records]

    def _polls(self) -> Iterator[tuple[int, list[Any]]]:
        self._settle()
        ends = self._consumer.end_offsets(self._parts)
        deadline = time.monotonic() + 120  # what is done with each batch counts, too
        while any(self._consumer.position(tp) < ends[tp] for tp in self._parts):
            assert time.monotonic() < deadline, "the bank's events cannot be read to their end"
            for tp, records in self._consumer.poll(timeout_ms=200, max_records=500).items():
                yield tp.partition, records  # who takes them may compile kernels meanwhile
                deadline = time.monotonic() + 30

    def score(self, *, write: bool = True) -> tuple[list[Any], list[Any]]:
        """Steps everything new, batch by batch, and writes state and signals as the worker does.

        Returns (state records as (partition, key, value), signals).
        """
        state_records, found = [], []
        for partition, records in self._polls():
            batch = self.engine.read(partition, records, date(2100, 1, 1).toordinal())
            outcome = self.engine.apply(batch, set())
            state_records += [(partition, key, value) for key, value in outcome.records]
            if batch.columns.closes:
                key = state.PARTITION_KEY + b"%d" % partition
                closes = self.engine.partition(partition).closes
                state_records.append((partition, key, state.pack_partition(closes)))
            found += [(partition, signal) for signal in outcome.signals]
        if write:
            self.write(state_records, found)
        return state_records, found

    def write(self, state_records: list[Any], found: list[Any]) -> None:
        for partition, signal in found:
            key = signal.customer_number.encode()
            self._reports.append(
                self.space.sender.send("scoring.signals", key, signals.encode(signal), partition)
            )
        for partition, key, value in state_records:
            self._reports.append(self.space.sender.send("scoring.state", key, value, partition))
        self._settle()

    def _settle(self) -> None:
        self.space.sender.flush(20)
        for report in self._reports:
            report.result(20)
        self._reports.clear()

    def shut(self) -> None:
        self._consumer.close(autocommit=False)


def new_number() -> str:
    return f"C{uuid.uuid4().hex[:8]}"
