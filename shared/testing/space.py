"""One test's own room on the real servers: fresh topics, schemas and groups, real tokens."""

import os
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from sqlalchemy import create_engine, make_url, select, text

from shared.auth import KeyCache, TokenVerifier
from shared.clock import FixedClock
from shared.consumer import Listener
from shared.db import PositionRow
from shared.events import envelope
from shared.events.envelope import Event, Fact
from shared.http import create_app
from shared.migrations import migrate
from shared.policy import Actor
from shared.runtime import Runtime, Service
from shared.settings import Settings
from shared.testing.servers import Servers
from shared.wire import Sender

KEY = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": "ES256"})
ISSUER = "http://issuer.test"
START = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)  # a Monday morning in Shanghai

TOPICS = {
    "bank.events": 4, "bank.customers": 2, "bank.reference": 1, "customer.events": 2,
    "order.lifecycle": 2, "task.handoffs": 2, "staff.directory": 1, "score.updates": 2,
    "score.alerts": 2, "notice.requests": 2, "notice.deliveries": 2,
}  # fmt: skip
OF_SCORING = {  # made when a room asks for scoring: half of a room's cost, and few rooms do
    "scoring.state": 4, "scoring.leaves": 4, "scoring.signals": 4, "scoring.totals": 4,
    "scoring.inputs": 4, "scoring.rules": 1, "scoring.dead": 1,
}  # fmt: skip


def token_for(actor_id: str, *, kind: str = "staff", permissions: Iterable[str] = ()) -> str:
    """A token as the issuer would sign it, for an hour."""
    now = int(time.time())
    claims = {
        "iss": ISSUER, "aud": "guanxi", "sub": actor_id, "kind": kind, "name": actor_id,
        "iat": now, "exp": now + 3600, "permissions": sorted(permissions),
    }  # fmt: skip
    return jwt.encode({"alg": "ES256", "kid": "test"}, claims, KEY, algorithms=["ES256"])


def _template(servers: Servers, service: str) -> str:
    """The name of a database with the service's migrated schema: copied for each room, which takes
    a tenth of what the migrations take. Nobody may be connected to it, so each process has its own.
    """
    if service not in servers.templates:
        name = f"template_{uuid.uuid4().hex[:10]}_{service}"
        _execute(servers.database, f'create database "{name}"')
        migrate(Settings(service=service, database=_named(servers.database, name)))
        servers.templates[service] = name
    return servers.templates[service]


def forget_templates(servers: Servers) -> None:
    """When no more rooms are made on these servers."""
    _execute(servers.database, *map(_DROP.format, servers.templates.values()))


_DROP = 'drop database if exists "{}" with (force)'


def _named(database: str, name: str) -> str:
    return make_url(database).set(database=name).render_as_string(hide_password=False)


def _execute(database: str, *statements: str) -> None:
    """One by one, each outside of a transaction."""
    engine = create_engine(make_url(database), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@cache
def is_ours(service: str) -> bool:
    return find_spec(f"services.{service}") is not None


@cache
def _settings_of(_given: frozenset[tuple[str, str]]) -> Settings:
    """To read an environment takes longer than a test's own settings."""
    return Settings()


class ServiceUnderTest:
    """A migrated service, driven step by step by the test."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.database = runtime.database
        self.listener: Listener = runtime.listener()
        self.relay = runtime.relay()
        self._idle = 0

    def listen_once(self) -> int:
        return self.listener.step()

    def relay_once(self) -> int:
        return self.relay.round()

    def drain(self, deadline_s: float = 120.0) -> None:
        """Listens and relays until the service stands at the end of all its topics."""
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            done = self.listener.step()
            while self.relay.round():
                done += 1
            if done == 0 and self._at_end():
                return
        raise AssertionError(f"{self.runtime.service.name} is not drained after {deadline_s} s")

    def _at_end(self) -> bool:
        ends = self.listener.source.end_offsets(self.runtime.service.topics())
        with self.database.read() as session:
            rows = session.execute(
                select(PositionRow.topic, PositionRow.partition, PositionRow.next_offset)
            )
            at = {(topic, partition): offset for topic, partition, offset in rows}
        return all(end <= at.get(part, 0) for part, end in ends.items())

    @cached_property
    def app(self) -> FastAPI:
        return create_app(self.runtime)

    def client(
        self, actor: Actor | str, *, kind: str = "staff", permissions: Iterable[str] = ()
    ) -> TestClient:
        """An HTTP client with a real token. An `Actor` is put into the directory copy as it is."""
        actor_id = actor if isinstance(actor, str) else actor.id
        if isinstance(actor, Actor):
            self._known(actor)
            kind, permissions = actor.kind, actor.permissions
        self.runtime.directory.must_reach = self.runtime.directory.must_reach or 0
        client = TestClient(self.app, raise_server_exceptions=False)
        client.headers["authorization"] = (
            f"Bearer {token_for(actor_id, kind=kind, permissions=permissions)}"
        )
        return client

    def _known(self, actor: Actor) -> None:
        directory = self.runtime.directory
        known = getattr(directory, "test_actors", None)
        if known is None:
            known = {}
            stock = directory.actor
            directory.test_actors = known  # type: ignore[attr-defined]
            directory.actor = lambda i, at: known.get(i) or stock(i, at)  # type: ignore[method-assign, assignment]
        known[actor.id] = actor

    def close(self) -> None:
        self.listener.source.close()
        self.runtime.close()


class Space:
    """Fresh names on the real servers. Topics are made at once, databases as services are asked."""

    def __init__(self, servers: Servers, partitions: dict[str, int] | None = None) -> None:
        self.servers = servers
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.prefix = self.name + "."
        self.clock = FixedClock(Settings().zone, START)
        self.partitions = {**TOPICS, **OF_SCORING, **(partitions or {})}
        self._made: set[str] = set()
        self._services: list[ServiceUnderTest] = []
        self._databases: dict[str, str] = {}
        self._sender: Sender | None = None
        self._make(TOPICS)

    def _make(self, topics: Iterable[str]) -> None:
        """The broker answers for a new topic a moment after the controller has made it."""
        new = set(topics) - self._made
        if not new:
            return
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            admin.create_topics(
                [
                    NewTopic(
                        name=self.prefix + topic,
                        num_partitions=self.partitions[topic],
                        replication_factor=1,
                        topic_configs={"message.timestamp.type": "LogAppendTime"},
                    )
                    for topic in new
                ]
            )
            deadline = time.monotonic() + 90
            while any(
                found["error_code"]
                for found in admin.describe_topics([self.prefix + topic for topic in new])
            ):
                assert time.monotonic() < deadline, "the topics were not made"
                time.sleep(0.02)
        finally:
            admin.close()
        self._made |= new

    def settings(self, service: str, **changes: Any) -> Settings:
        if service == "scoring":
            self._make(OF_SCORING)
        given = frozenset((k, v) for k, v in os.environ.items() if k.startswith("GUANXI_"))
        own = {
            "service": service,
            "kafka": self.servers.kafka,
            "database": self.database(service) if is_ours(service) else self.servers.database,
            "redis": self.servers.redis,
            "topic_prefix": self.prefix,
            "issuer": ISSUER,
            "poll_timeout_s": 0.05,
            "fetch_rest_s": 0.05,  # the question for the ends waits behind a fetch
            "retry_backoff_s": 0.01,
        }
        return _settings_of(given).model_copy(update={**own, **changes})

    def database(self, service: str) -> str:
        """The service's own, made when first asked for; empty for what is no service of ours."""
        if service not in self._databases:
            name, server = f"{self.name}_{service}", self.servers.database
            of = _template(self.servers, service) if is_ours(service) else "template0"
            _execute(server, f'create database "{name}" template "{of}" strategy file_copy')
            self._databases[service] = _named(server, name)
        return self._databases[service]

    def service(self, service: Service, **changes: Any) -> ServiceUnderTest:
        """The service with its schema migrated, its clock fixed, nothing running by itself."""
        settings = self.settings(service.name, **changes)
        runtime = Runtime(service, settings, self.clock)
        runtime.__dict__["verifier"] = TokenVerifier(
            settings, keys=KeyCache(lambda: {"keys": [KEY.as_dict(private=False)]})
        )
        runtime.directory.must_reach = 0
        under_test = ServiceUnderTest(runtime)
        self._services.append(under_test)
        return under_test

    def publish(
        self,
        *facts: Fact,
        source: str = "test/bank",
        event_id: str | None = None,
        businessdate: Any = None,
        at: datetime | None = None,
        sequence: int | None = None,
    ) -> None:
        """Sends facts as another system would: in order, and waits for the broker's reports.

        `sequence` is that of the first; the others count on.
        """
        reports = []
        for n, fact in enumerate(facts):
            event = envelope.wrap(
                fact,
                id=event_id or f"test-{uuid.uuid4().hex[:12]}",
                source=source,
                time=at or self.clock.bank,
                businessdate=businessdate or self.clock.bank.astimezone(self.clock.zone).date(),
                sequence=None if sequence is None else sequence + n,
            )
            key = envelope.key_of(event)
            reports.append(self.sender.send(type(fact).TOPIC, key.encode(), envelope.encode(event)))
        self.sender.flush(60)
        for report in reports:
            report.result(60)

    @property
    def sender(self) -> Sender:
        if self._sender is None:
            self._sender = Sender(self.settings("test"))
        return self._sender

    def read(self, topic: str) -> list[Event[Any]]:
        """All events of a topic, partition by partition, in order."""
        consumer = KafkaConsumer(bootstrap_servers=self.servers.kafka, enable_auto_commit=False)
        try:
            parts = [TopicPartition(self.prefix + topic, p) for p in range(self.partitions[topic])]
            consumer.assign(parts)
            consumer.seek_to_beginning(*parts)
            ends = consumer.end_offsets(parts)
            found: dict[int, list[Event[Any]]] = {p.partition: [] for p in parts}
            deadline = time.monotonic() + 90
            while any(consumer.position(tp) < ends[tp] for tp in parts):
                assert time.monotonic() < deadline, f"{topic} cannot be read to its end"
                for tp, records in consumer.poll(timeout_ms=200).items():
                    found[tp.partition] += [envelope.decode(r.value) for r in records]
            return [event for p in sorted(found) for event in found[p]]
        finally:
            consumer.close(autocommit=False)

    def close(self) -> None:
        """Closes connections; drops the databases and topics so that a long run stays small."""
        for one in self._services:
            one.close()
        if self._sender is not None:
            self._sender.close()
        names = (make_url(address).database or "" for address in self._databases.values())
        _execute(self.servers.database, *map(_DROP.format, names))
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            admin.delete_topics([self.prefix + topic for topic in self._made])
        finally:
            admin.close()
