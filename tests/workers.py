"""Scorer workers as real processes on a real broker, and what they have written."""

import asyncio
import os
import signal
import subprocess
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from deploy.local.children import free_port
from deploy.local.topics import create_topics
from services.scoring import state
from shared.events import Event, wrap
from shared.events.bank import AccountOpened, DayClosed, SourceDescribed, TransactionBooked
from shared.events.envelope import encode, key_of
from shared.ids import partition_of
from shared.testing.servers import Servers
from tests.processes import Forked

SOURCE = "core"
FIRST_DAY = date(2025, 1, 1)
TOPICS = ("bank.events", "scoring.state", "scoring.signals", "scoring.totals", "scoring.leaves",
          "scoring.inputs")  # fmt: skip
GROUP = "scoring-worker"


# A small bank ------------------------------------------------------------------------------------


@dataclass
class Stream:
    """Events in business order, with what they add up to."""

    events: list[Event[Any]] = field(default_factory=list)
    sums: defaultdict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _seen: set[tuple[str, str]] = field(default_factory=set)

    def add(self, event: Event[Any]) -> None:
        self.events.append(event)
        if isinstance(event.data, TransactionBooked) and (event.source, event.id) not in self._seen:
            self._seen.add((event.source, event.id))
            self.sums[event.data.customer_number, event.data.account_number] += (
                event.data.amount_minor
            )
            self.counts[event.data.customer_number] += 1


def transaction(
    n: int, customer: str, account: str, amount: int, day: date, *, by: str = "customer",
    source: str = SOURCE, currency: str = "CNY",
) -> Event[Any]:  # fmt: skip
    fact = TransactionBooked(
        transaction_id=str(n), account_number=account, customer_number=customer,
        product_code="CA-P", amount_minor=amount, currency=currency, kind="card",
        initiated_by=by, booked_on=day,  # type: ignore[arg-type]
    )  # fmt: skip
    return wrap(fact, id=f"txn-{n}", source=source, time=instant(day, n), businessdate=day)


def instant(day: date, n: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(milliseconds=n % 9**6)


def closed(day: date, source: str = SOURCE) -> Event[Any]:
    fact = DayClosed(day=day)
    return wrap(fact, id=fact.event_id(source), source=source, time=instant(day), businessdate=day)


def described(source: str = SOURCE, from_on: date = FIRST_DAY) -> Event[Any]:
    fact = SourceDescribed(source=source, closes_days=True, active_from=from_on)
    return wrap(fact, id=f"source-{source}", source=source, time=instant(from_on),
                businessdate=from_on)  # fmt: skip


def opened_long_ago(stream: Stream) -> list[Event[Any]]:
    """The openings of all accounts of a stream, as a bank loads them when it goes live."""
    accounts = {(e.data.customer_number, e.data.account_number) for e in stream.events
                if isinstance(e.data, TransactionBooked)}  # fmt: skip
    return [
        wrap(
            AccountOpened(customer_number=customer, account_number=account, product_code="CA-P",
                          currency="CNY", opened_on=FIRST_DAY - timedelta(days=400)),
            id=f"acct-{account}", source=SOURCE, time=instant(FIRST_DAY), businessdate=FIRST_DAY,
        )
        for customer, account in sorted(accounts)
    ]  # fmt: skip


def small_bank(
    *, customers: int = 200, days: int = 100, per_day: int = 90, seed: int = 1, close: bool = True
) -> Stream:
    """Customers of different pace; some fall silent, some lose their money, some ids repeat."""
    rng, stream = Random(seed), Stream()
    numbers = [f"C{i:06d}" for i in range(customers)]
    n = 0
    for offset in range(days):
        day = FIRST_DAY + timedelta(days=offset)
        for _ in range(per_day):
            n += 1
            i = int(customers * rng.random() ** 2)
            if i % 7 == 0 and 0.4 * days < offset < 0.9 * days:
                continue  # silent for half of the time, then back
            sign = -3 if i % 5 == 1 and offset > days // 2 else 1
            amount = sign * rng.randrange(1, 2_000_000)
            when = day - timedelta(days=rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 0, 3)))
            event = transaction(n, numbers[i], f"A{i}-{rng.randrange(2)}", amount,
                                max(when, FIRST_DAY),
                                by="customer" if rng.random() < 0.8 else "bank")  # fmt: skip
            stream.add(event)
            # A repeat of a late event only the event store knows; it has a test of its own.
            if rng.random() < 0.05 and when == day:
                stream.add(event)
        if close:
            stream.add(closed(day))
    return stream


# Workers -----------------------------------------------------------------------------------------


@dataclass
class Worker:
    process: Forked
    port: int
    log: Path

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return answer.read().decode()

    def metric(self, name: str) -> float:
        """Sum over all labels."""
        found = [line for line in self.get("/metrics").splitlines()
                 if line.startswith((name + "{", name + " "))]  # fmt: skip
        return sum(float(line.rpartition(" ")[2]) for line in found)

    def wait_ready(self, timeout_s: float = 180) -> None:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.tail()
            try:
                self.get("/health/ready")
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"not ready: {self.tail()}")

    def wait_dead(self, timeout_s: float = 120) -> int:
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def stop(self) -> None:
        """As a supervisor stops it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def tail(self) -> str:
        return self.log.read_text()[-4000:]


class WorkerSpace:
    """Fresh topics of one scorer, or those made already under `prefix`; workers die with it."""

    def __init__(
        self, servers: Servers, folder: Path, partitions: int = 3, prefix: str | None = None
    ) -> None:
        self.servers = servers
        self.partitions = partitions
        self.prefix = prefix or f"w{uuid.uuid4().hex[:10]}."
        self.workers: list[Worker] = []
        self._folder = folder
        self._made = (
            [] if prefix else
            create_topics(servers.kafka, self.prefix, dict.fromkeys(TOPICS, partitions))
        )  # fmt: skip

    def start(
        self,
        instance: str = "a",
        command: Sequence[str] = ("services.scoring", "worker"),
        **environment: str,
    ) -> Worker:
        port = free_port()
        log = self._folder / f"{self.prefix}{instance}-{len(self.workers)}.log"
        settings = {
            "GUANXI_KAFKA": self.servers.kafka,
            "GUANXI_DATABASE": self.servers.database,
            "GUANXI_TOPIC_PREFIX": self.prefix,
            "GUANXI_HTTP_PORT": str(port),
            "GUANXI_WORKER_INSTANCE": f"{self.prefix}{instance}",
            "GUANXI_WORKER_EVENT_STORE": "0",
            "GUANXI_WORKER_COMMIT_S": "0.2",
            "GUANXI_SESSION_TIMEOUT_S": "3",
        }
        process = Forked(command, os.environ | settings | environment, log)
        worker = Worker(process, port, log)
        self.workers.append(worker)
        return worker

    def publish(self, events: Iterable[Event[Any]]) -> int:
        """In order, each to its partition; a close to every one. Returns the records written."""
        return self.send(
            (p, key_of(e).encode(), encode(e))
            for e in events
            for p in (
                range(self.partitions)
                if isinstance(e.data, DayClosed)
                else (partition_of(e.subject, self.partitions),)
            )
        )

    def describe(self, *events: Event[Any]) -> None:
        self.send(((0, e.subject.encode(), encode(e)) for e in events), topic="bank.reference")

    def send(
        self, records: Iterable[tuple[int, bytes | None, bytes]], topic: str = "bank.events"
    ) -> int:
        return asyncio.run(self._send(records, self.prefix + topic))

    async def _send(self, records: Iterable[tuple[int, bytes | None, bytes]], topic: str) -> int:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers.kafka, linger_ms=20,
                                    enable_idempotence=True, max_batch_size=500_000)  # fmt: skip
        await producer.start()
        count = 0
        try:
            batches = {}
            for partition, key, value in records:
                batch = batches.get(partition)
                if batch is None:
                    batch = batches[partition] = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    await producer.send_batch(batch, topic, partition=partition)
                    batch = batches[partition] = producer.create_batch()
                    batch.append(key=key, value=value, timestamp=None)
                count += 1
            for partition, batch in batches.items():
                await producer.send_batch(batch, topic, partition=partition)
            await producer.flush()
        finally:
            await producer.stop()
        return count

    # What is there -------------------------------------------------------------------------------

    def read(self, topic: str) -> list[tuple[int, bytes | None, bytes | None]]:
        """All records (partition, key, value) up to the end of now."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers.kafka, enable_auto_commit=False,
                                 max_partition_fetch_bytes=8 << 20)  # fmt: skip
        try:
            numbers = consumer.partitions_for_topic(self.prefix + topic) or ()
            parts = [TopicPartition(self.prefix + topic, p) for p in sorted(numbers)]
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            ends = consumer.end_offsets(parts)
            found = []
            deadline = time.monotonic() + 60
            while any(consumer.position(tp) < ends[tp] for tp in parts):
                assert time.monotonic() < deadline, f"{topic} cannot be read to its end"
                for tp, records in consumer.poll(timeout_ms=200, max_records=20_000).items():
                    found += [(tp.partition, r.key, r.value) for r in records]
            return found
        finally:
            consumer.close(autocommit=False)

    def customers(self) -> dict[str, state.CustomerState]:
        """The latest record of every customer."""
        found = {}
        for _, key, value in self.read("scoring.state"):
            one = state.unpack(key, value) if value is not None else None
            if isinstance(one, state.CustomerState):
                found[one.customer_number] = one
        return found

    def signals(self) -> list[dict[str, Any]]:
        """Distinct signals by id, without their position, in the order of their ids."""
        found = {}
        for _, _, value in self.read("scoring.signals"):
            signal_ = msgspec.json.decode(value)
            signal_.pop("position")
            before = found.setdefault(signal_["id"], signal_)
            assert before == signal_, "the same id, another signal"
        return [found[key] for key in sorted(found)]

    def wait_committed(self, timeout_s: float = 120) -> None:
        """Until the group has committed the end of every partition."""
        deadline = time.monotonic() + timeout_s
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            ends = self._ends()
            while True:
                at = {p: o for p, o in self._commits(admin).items() if o >= ends[p]}
                if len(at) == len(ends):
                    return
                for worker in self.workers[-2:]:
                    if time.monotonic() > deadline:
                        raise AssertionError(f"{ends} {self._commits(admin)}\n{worker.tail()}")
                time.sleep(0.1)
        finally:
            admin.close()

    def at_end(self) -> bool:
        """Has the group committed the end of the bank's events and of the inputs?"""
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            for topic in ("bank.events", "scoring.inputs"):
                commits = self._commits(admin, topic)
                if any(commits.get(p, -1) < end for p, end in self._ends(topic).items()):
                    return False
            return True
        finally:
            admin.close()

    def commits(self) -> dict[int, int]:
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            return self._commits(admin)
        finally:
            admin.close()

    def _commits(self, admin: KafkaAdminClient, topic: str = "bank.events") -> dict[int, int]:
        group = self.prefix + GROUP
        found = admin.list_group_offsets(group)
        found = found.get(group, found) if isinstance(found, dict) else found
        return {tp.partition: o.offset for tp, o in found.items()
                if tp.topic == self.prefix + topic}  # fmt: skip

    def _ends(self, topic: str = "bank.events") -> dict[int, int]:
        consumer = KafkaConsumer(bootstrap_servers=self.servers.kafka, enable_auto_commit=False)
        try:
            parts = [TopicPartition(self.prefix + topic, p) for p in range(self.partitions)]
            return {tp.partition: end for tp, end in consumer.end_offsets(parts).items()}
        finally:
            consumer.close(autocommit=False)

    def holes(self) -> float:
        return sum(w.metric("guanxi_holes") for w in self.workers if w.process.poll() is None)

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            if self._made:
                admin.delete_topics(self._made)
        finally:
            admin.close()


def same_figures(found: dict[str, state.CustomerState], stream: Stream) -> None:
    """Every account's sum and every customer's count are those of the distinct events."""
    sums = {(c.customer_number, a.account_number): a.sum_minor
            for c in found.values() for a in c.accounts}  # fmt: skip
    assert sums == dict(stream.sums)
    assert {n: c.count for n, c in found.items()} == dict(stream.counts)


def replay_of(
    events: Sequence[Event[Any]], file: Path, sources: Iterable[Event[Any]],
    risk_model: Path | None = None,
) -> Any:  # fmt: skip
    """The same events through `replay`."""
    from services.scoring import model, replay, risk_plan

    file.write_bytes(b"".join(encode(e) + b"\n" for e in [*sources, *events]))
    one = replay.Replay(
        model.load(), currency="CNY", zone="Asia/Shanghai", until=FIRST_DAY + timedelta(days=4000),
        plan=risk_plan.read(risk_model),
    )  # fmt: skip
    replay.run(one, file, None, [])
    return one
