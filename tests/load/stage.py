"""The running system that is measured: its bank, its staff's tokens, its tables and topics."""

import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import Any

from kafka import TopicPartition

from deploy.bank.publisher import Publisher, kafka_publisher
from deploy.local.applied import Applied
from deploy.local.issuer.keys import SigningKey
from deploy.local.system import SERVICES, System
from shared.events.bank import TransactionBooked
from shared.events.envelope import Event, wrap
from shared.settings import Settings

LOAD_TIMEOUT_S = 600.0
ZONE = Settings().zone


@dataclass
class Customer:
    """A customer of the loaded history: one account, and what is on it."""

    number: str
    account: str
    product_code: str
    manager_code: str
    balance_minor: int = 0


@dataclass
class Bench:
    """What every measurement uses."""

    system: System
    say: Callable[[str], None]
    published: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    # Waiting -----------------------------------------------------------------------------------

    def wait(self, true: Callable[[], bool], what: str, deadline_s: float = 120.0) -> float:
        """Until it is true, watching over the system meanwhile. Answers the seconds it took."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > deadline_s:
                raise TimeoutError(f"not after {deadline_s:.0f} s: {what}")
            time.sleep(0.05)
        return time.monotonic() - began

    def wait_loaded(self) -> None:
        """The history is published and every service has applied it."""
        deadline = time.monotonic() + LOAD_TIMEOUT_S
        while not self.system.bank.is_live:
            if time.monotonic() > deadline:
                raise TimeoutError("the history was not applied in time")
            self.system.watch()
            time.sleep(0.2)

    def lag(self) -> int:
        """Messages that some service has still to apply, over all of them."""
        return self._applied.lag()

    # The bank ----------------------------------------------------------------------------------

    @cached_property
    def customers(self) -> list[Customer]:
        """Those with exactly one account, as the history file says, richest first."""
        owners: dict[str, str] = {}
        accounts: dict[str, list[Customer]] = defaultdict(list)
        by_account: dict[str, Customer] = {}
        with (self.system.folder / "history.jsonl").open() as lines:
            for line in lines:
                event = json.loads(line)
                data, kind = event["data"], event["type"]
                if kind == "bank.manager_assigned.v1" and not data.get("account_number"):
                    owners[data["customer_number"]] = data["manager_code"]
                elif kind == "bank.account_opened.v1":
                    number, account = data["customer_number"], data["account_number"]
                    one = Customer(number, account, data["product_code"], "")
                    by_account[account] = one
                    accounts[number].append(one)
                elif kind == "bank.transaction_booked.v1":
                    by_account[data["account_number"]].balance_minor += data["amount_minor"]
        found = [a[0] for n, a in accounts.items() if len(a) == 1 and n in owners]
        for one in found:
            one.manager_code = owners[one.number]
        return sorted(found, key=lambda one: -one.balance_minor)

    @cached_property
    def publisher(self) -> Publisher:
        kafka = self.system.environment["GUANXI_KAFKA"]
        return kafka_publisher(Settings(service="bench", kafka=kafka), linger_ms=1)

    def booked(self, customer: Customer, amount_minor: int, name: str) -> Event[TransactionBooked]:
        """A transfer at the bank's hour, + to the customer. `name` is its identity."""
        now = self.system.time.now()
        on = now.astimezone(ZONE).date()
        fact = TransactionBooked(
            transaction_id=name, account_number=customer.account, customer_number=customer.number,
            product_code=customer.product_code, amount_minor=amount_minor, currency="CNY",
            kind="transfer_in" if amount_minor > 0 else "transfer_out", initiated_by="customer",
            booked_on=on, channel_code="mobile", purpose_code="transfer",
        )  # fmt: skip
        return wrap(fact, id=name, source="bench", time=now.astimezone(UTC), businessdate=on)

    def publish(self, *events: Event[Any]) -> None:
        """Returns when the broker has reported each."""
        with self._lock:
            for event in events:
                self.publisher.send(event)
            self.publisher.settle()
            self.published += len(events)

    @contextmanager
    def flowing(self, rate_per_s: int) -> Iterator[None]:
        """Small payments to random customers at this rate, for the length of the block."""
        stop = threading.Event()
        thread = threading.Thread(target=self._flow, args=(rate_per_s, stop))
        thread.start()
        began, before = time.monotonic(), self.published
        try:
            yield
        finally:
            flowed = (self.published - before) / (time.monotonic() - began)
            stop.set()
            thread.join()
            self.say(f"  meanwhile {flowed:.0f} events/s flowed")

    def _flow(self, rate_per_s: int, stop: threading.Event) -> None:
        rng, began, count = random.Random(3), time.monotonic(), 0
        stamp = time.time_ns()
        while not stop.is_set():
            due = int((time.monotonic() - began) * rate_per_s) - count
            events = [
                self.booked(rng.choice(self.customers), 1 + rng.randrange(50), f"f{stamp}-{n}")
                for n in range(count, count + due)
            ]
            self.publish(*events)
            count += due
            stop.wait(0.05)

    # Staff -------------------------------------------------------------------------------------

    @cached_property
    def _key(self) -> SigningKey:
        return SigningKey(self.system.folder / "issuer")

    def headers(self, staff_id: str) -> dict[str, str]:
        """A bearer token as the running issuer signs it."""
        claims = {"sub": staff_id, "kind": "staff", "name": staff_id}
        issuer = self.system.environment["GUANXI_ISSUER"]
        token = self._key.sign(claims, issuer=issuer, audience="guanxi", ttl_s=3600)
        return {"authorization": f"Bearer {token}"}

    # Tables and topics -------------------------------------------------------------------------

    @property
    def _applied(self) -> Applied:
        assert self.system.applied is not None, "the system has started"
        return self.system.applied

    def rows(self, service: str, sql: str, **values: Any) -> list[Any]:
        return self._applied.rows(service, sql, **values)

    def positions(self, service: str) -> dict[str, dict[int, int]]:
        return self._applied.positions(service)

    def ends(self, topic: str) -> dict[int, int]:
        return self._applied.ends(topic)

    def difference(self) -> int:
        """The reconciliation equation of every service and topic: must be 0."""
        sql = (
            "select coalesce(sum(abs(a.n - coalesce(t.n, 0))), 0) from"
            " (select topic, sum(next_offset - start_offset) n from positions group by topic) a"
            " left join (select topic, sum(count) n from tallies group by topic) t using (topic)"
        )
        return sum(int(self.rows(service, sql)[0][0]) for service in SERVICES)

    def read(self, topic: str, start: dict[int, int]) -> list[dict[str, Any]]:
        """Every event of the topic from these offsets to its end, partition by partition."""
        parts = [TopicPartition(topic, p) for p in start]
        self._applied.consumer.assign(parts)
        for part in parts:
            self._applied.consumer.seek(part, start[part.partition])
        ends = self._applied.consumer.end_offsets(parts)
        found: list[dict[str, Any]] = []
        while any(self._applied.consumer.position(part) < ends[part] for part in parts):
            for records in self._applied.consumer.poll(timeout_ms=200).values():
                found += [json.loads(r.value) for r in records]
        return found

    def close(self) -> None:
        if "publisher" in self.__dict__:
            self.publisher.close()


def spread(seconds: list[float]) -> dict[str, float]:
    """n, p50, p99 and the greatest, in milliseconds."""
    ordered = sorted(seconds)
    at = lambda q: round(ordered[min(int(q * len(ordered)), len(ordered) - 1)] * 1000, 1)  # noqa: E731
    return {"n": len(ordered), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)}
