"""All services in one space, driven step by step, and a picture of all they hold and said."""

import hashlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import text

from deploy.bank.publisher import Publisher
from deploy.local.children import free_port
from services.customer.__main__ import SERVICE as CUSTOMER
from services.notify.__main__ import SERVICE as NOTIFY
from services.orders.__main__ import SERVICE as ORDERS
from services.scoring.__main__ import SERVICE as SCORING
from services.workflow.__main__ import SERVICE as WORKFLOW
from services.workflow.commands.seed import seed_organisation
from shared import positions
from shared.events.envelope import Event
from shared.policy import Actor, Scope
from shared.runtime import Service
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record, Sender
from tests.integration.scoring_room import due_now
from tests.processes import Forked

ROOT = Path(__file__).parents[2]
ORGANISATION = ROOT / "deploy" / "demo_organisation.yaml"
BANK_TOPICS = ("bank.reference", "bank.customers", "bank.events")
OUR_TOPICS = (
    "customer.events", "order.lifecycle", "task.handoffs", "staff.directory", "score.updates",
    "score.alerts", "notice.requests", "notice.deliveries",
)  # fmt: skip
# What counts deliveries, not facts: it may move when something is delivered again.
DELIVERY_TABLES = frozenset({"positions", "tallies", "inbox", "outbox", "alembic_version"})


EVERY: tuple[Service, ...] = (CUSTOMER, ORDERS, WORKFLOW, SCORING, NOTIFY)


@dataclass(frozen=True)
class Picture:
    """Order-independent hashes: of every row of every table, of every distinct event told."""

    tables: dict[str, tuple[int, str]]
    topics: dict[str, tuple[int, str]]

    def changes(self, other: "Picture") -> list[str]:
        """What differs, as `customer.timeline: 31 -> 62`; empty when nothing does."""
        found = []
        for mine, theirs in ((self.tables, other.tables), (self.topics, other.topics)):
            for name in sorted(mine.keys() | theirs.keys()):
                if mine.get(name) != theirs.get(name):
                    counts = [one.get(name, (0, ""))[0] for one in (mine, theirs)]
                    found.append(f"{name}: {counts[0]} -> {counts[1]}")
        return found


@dataclass
class Whole:
    """The services of one space."""

    space: Space
    services: dict[str, ServiceUnderTest] = field(default_factory=dict)
    history: list[Event[Any]] = field(default_factory=list)  # what the test lets the bank say
    orders: list[dict[str, Any]] = field(default_factory=list)  # and what it places
    worker: Forked | None = None

    @classmethod
    def of(cls, space: Space, **changes: Any) -> "Whole":
        """Migrated, with the demo's organisation known to all. `changes` are settings."""
        whole = cls(space, {s.name: space.service(s, **changes) for s in EVERY})
        with whole.services["workflow"].database.transaction() as tx:
            seed_organisation(tx, ORGANISATION)
        whole.drain()
        return whole

    def __getitem__(self, name: str) -> ServiceUnderTest:
        return self.services[name]

    # Driving it --------------------------------------------------------------------------------

    def drain(self, deadline_s: float = 120.0) -> None:
        """Until nobody has anything to hear, to do or to say."""
        deadline = time.monotonic() + deadline_s
        quiet = 0
        while quiet < 2:
            assert time.monotonic() < deadline, f"not drained after {deadline_s} s"
            due_now(self.services["scoring"])  # nobody waits for his turn to be told
            done = sum(self._step(one) for one in self.services.values())
            quiet = 0 if done or not all(s._at_end() for s in self.services.values()) else quiet + 1

    @staticmethod
    def _step(one: ServiceUnderTest) -> int:
        done = one.listen_once()
        while one.relay_once():
            done += 1
        return done

    def rewind(self, group: str) -> None:
        """Everyone reads as a new group: Kafka's offsets are back at the beginning."""
        for one in self.services.values():
            one.listener.source.close()
            source = one.runtime.source(f"{group}-{one.runtime.service.name}")
            one.listener = one.runtime.listener(source)

    # Publishing --------------------------------------------------------------------------------

    @cached_property
    def bank(self) -> Publisher:
        count = self.space.partitions["bank.events"]
        return Publisher(self.sender, count, timeout_s=60)

    @cached_property
    def sender(self) -> Sender:
        return Sender(self.space.settings("bank"))

    def publish(self, events: Iterable[Event[Any]]) -> int:
        """Bank events, routed and partitioned as the bank does it."""
        count = 0
        for event in events:
            self.bank.send(event)
            count += 1
        self.bank.settle()
        return count

    def publish_again(self, records: Iterable[Record]) -> int:
        """The same bytes on the same partitions, at new offsets."""
        reports = [self.sender.send(r.topic, r.key, r.value or b"", r.partition) for r in records]
        self.sender.flush(60)
        for report in reports:
            report.result(10)
        return len(reports)

    def records(self, *topics: str) -> list[Record]:
        """All that a topic holds, partition by partition."""
        space = self.space
        consumer = KafkaConsumer(bootstrap_servers=space.servers.kafka, enable_auto_commit=False)
        parts = [
            TopicPartition(space.prefix + t, p) for t in topics for p in range(space.partitions[t])
        ]
        found: dict[TopicPartition, list[Record]] = {part: [] for part in parts}
        try:
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            ends = consumer.end_offsets(parts)
            deadline = time.monotonic() + 60
            while any(consumer.position(part) < ends[part] for part in parts):
                assert time.monotonic() < deadline, f"{topics} cannot be read to their ends"
                for part, polled in consumer.poll(timeout_ms=200).items():
                    plain = part.topic.removeprefix(space.prefix)
                    found[part] += [
                        Record(plain, part.partition, r.offset, r.key, r.value, r.timestamp)
                        for r in polled
                    ]
        finally:
            consumer.close(autocommit=False)
        return [record for part in parts for record in found[part]]

    # Looking at it -----------------------------------------------------------------------------

    def rows(self, service: str, sql: str) -> list[Any]:
        with self[service].database.read() as session:
            return list(session.execute(text(sql)))

    def picture(self) -> Picture:
        tables = {}
        for name, one in self.services.items():
            for table in self._tables(one):
                tables[f"{name}.{table}"] = hash_of_table(one, table)
        told: dict[str, list[Record]] = {topic: [] for topic in OUR_TOPICS}
        for record in self.records(*OUR_TOPICS):
            told[record.topic].append(record)
        return Picture(tables, {topic: hash_of_topic(found) for topic, found in told.items()})

    @staticmethod
    def _tables(one: ServiceUnderTest) -> list[str]:
        with one.database.read() as session:
            names = session.execute(
                text("select tablename from pg_tables where schemaname = current_schema()")
            ).scalars()
            return sorted(set(names) - DELIVERY_TABLES)

    def reconciliation(self) -> dict[tuple[str, str], dict[str, int]]:
        """(service, topic) -> the line of the equation."""
        lines = {}
        for name, one in self.services.items():
            with one.database.read() as session:
                for line in positions.reconcile(session):
                    topic = str(line.pop("topic"))
                    lines[name, topic] = {k: int(v) for k, v in line.items()}
        return lines

    def outcomes(self) -> Counter[str]:
        """Messages by outcome, over all services and the topics that they take event by event."""
        total: Counter[str] = Counter()
        for (name, topic), line in self.reconciliation().items():
            if topic not in self[name].runtime.service.batches:  # stored raw, repeats as well
                total.update(line)
        return total

    def scored(self, transactions: int, deadline_s: float = 120.0) -> None:
        """Waits until the worker has applied all of `bank.events` and its state is folded."""
        deadline = time.monotonic() + deadline_s
        watcher = KafkaConsumer(
            bootstrap_servers=self.space.servers.kafka,
            group_id=f"{self.space.prefix}scoring-worker",
            enable_auto_commit=False,
        )
        try:
            while not (self._committed(watcher) and self._figures() >= transactions):
                assert self.worker is not None
                assert self.worker.poll() is None, "the worker died"
                assert time.monotonic() < deadline, (
                    f"{self._figures()} of {transactions} transactions are scored"
                    f" after {deadline_s} s"
                )
                self.drain()
        finally:
            watcher.close(autocommit=False)
        self.drain()

    def _figures(self) -> int:
        sql = "select coalesce(sum(count), 0) from account_figures"
        return int(self.rows("scoring", sql)[0][0])

    def _committed(self, watcher: KafkaConsumer) -> bool:
        """Does the group's commit stand at the end of every partition of `bank.events`?"""
        count = self.space.partitions["bank.events"]
        parts = [TopicPartition(self.space.prefix + "bank.events", p) for p in range(count)]
        ends = watcher.end_offsets(parts)
        return all((watcher.committed(part) or 0) >= ends[part] for part in parts)

    def assert_whole(self) -> None:
        """Differences are 0 everywhere, nothing waits, and no event of a kept topic is missing."""
        lines = self.reconciliation()
        assert {k: v["difference"] for k, v in lines.items() if v["difference"]} == {}
        for name, one in self.services.items():
            with one.database.read() as session:
                unsent = session.execute(text("select count(*) from outbox")).scalar_one()
            assert unsent == 0, f"{name} has {unsent} events unsent"
        for topic in ("customer.events", "order.lifecycle", "task.handoffs"):
            assert holes_of(self.space.read(topic)) == {}, topic

    @contextmanager
    def scorer(self) -> Iterator[None]:
        """The real worker as a process of its own, on the topics of this space."""
        settings = self["scoring"].runtime.settings
        environment = {
            **os.environ,
            "GUANXI_KAFKA": settings.kafka,
            "GUANXI_DATABASE": settings.database,
            "GUANXI_REDIS": settings.redis,
            "GUANXI_TOPIC_PREFIX": settings.topic_prefix,
            "GUANXI_CURRENCY": settings.currency,
            "GUANXI_HTTP_PORT": str(free_port()),
        }
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "worker.log"
            self.worker = worker = Forked(("services.scoring", "worker"), environment, log)
            try:
                yield
                assert worker.poll() is None, "the worker died"
            except BaseException:
                print(log.read_text(errors="replace")[-3000:])
                raise
            finally:
                worker.kill()
                worker.wait()

    def close(self) -> None:
        if "sender" in self.__dict__:
            self.sender.close()


# Keeps every record at its place, repeats too: what counts is which identities there are.
EVENT_STORE = (
    "select distinct (source, event_id, type, customer_number, amount_minor)::text from bank_events"
)


def hash_of_table(one: ServiceUnderTest, table: str) -> tuple[int, str]:
    """(rows, hash); the order of rows does not matter."""
    query = EVENT_STORE if table == "bank_events" else f'select t::text from "{table}" t'  # noqa: S608
    with one.database.read() as session:
        rows = session.execute(text(query)).scalars()
        return hash_of(row.encode() for row in rows)


def hash_of_topic(records: list[Record]) -> tuple[int, str]:
    """What a reader of the topic is told: each identity once, its first body, in key order."""
    from shared.events import envelope

    first: dict[tuple[str, str], bytes] = {}
    last: dict[bytes | None, bytes] = {}
    for record in records:
        value = record.value or b""
        event = envelope.decode(value)
        if event.sequence is None:  # compacted: the last of a key is what counts
            last[record.key] = value
        else:
            first.setdefault((event.source, event.id), value)
    return hash_of([*first.values(), *last.values()])


def hash_of(parts: Iterable[bytes]) -> tuple[int, str]:
    digests = sorted(hashlib.sha256(part).digest() for part in parts)
    return len(digests), hashlib.sha256(b"".join(digests)).hexdigest()


def holes_of(events: Iterable[Event[Any]]) -> dict[str, list[int]]:
    """Keys whose sequences, each identity read once, are not 1, 2, 3 ... in this order."""
    seen: set[str] = set()
    told: dict[str, list[int]] = {}
    for event in events:
        if event.id not in seen:
            seen.add(event.id)
            told.setdefault(event.subject, []).append(event.sequence or 0)
    return {k: s for k, s in told.items() if s != list(range(1, len(s) + 1))}


def member(staff_id: str, *permissions: str, limit: int | None = None) -> Actor:
    """A member of staff who may do this everywhere."""
    return Actor(
        staff_id,
        permissions=frozenset(permissions),
        scopes=tuple(Scope(p, "all", "/head") for p in permissions),
        limits={} if limit is None else {"order.approve": limit},
        org_path="/head",
    )


MAKER = member("S012", "order.view", "order.edit", "order.submit", "order.collect")
CHECKER = member("S011", "order.view", "order.edit", "order.approve", limit=10**12)


def place_orders(whole: Whole, count: int) -> Iterator[dict[str, Any]]:
    """Orders of the first customers, submitted by one and approved by another."""
    with whole["orders"].database.read() as session:
        parties = session.execute(
            text("select party_id, customer_numbers from parties order by party_id limit :n"),
            {"n": count},
        ).all()
    maker, checker = whole["orders"].client(MAKER), whole["orders"].client(CHECKER)
    for number in range(count):
        party = parties[number % len(parties)]
        line = {"product_code": "GOLD-BAR-10G", "quantity": 1, "unit_price_minor": 805_000 + number}
        answer = maker.post(
            "/orders",
            json={"party_id": party.party_id, "lines": [line], "submit": True, "deliver_days": 1},
        )
        assert answer.status_code == 201, answer.text
        order = answer.json()
        answer = checker.post(
            f"/orders/{order['order_id']}/approve", json={"content_hash": order["content_hash"]}
        )
        assert answer.status_code == 200, answer.text
        yield {**order, "customer_number": party.customer_numbers[0]}
