"""One test's own room on the real servers: fresh topics, schemas and groups, real tokens."""

import os
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache, cached_property
from typing import Any

from fastapi import FastAPI
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.jwk import ECKey
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.admin import NewTopic
from sqlalchemy import Engine, create_engine, event, make_url, select, text

from shared.auth import KeyCache, TokenVerifier
from shared.clock import FixedClock
from shared.consumer import Listener
from shared.db import PositionRow, role_of, service_engine
from shared.events import envelope
from shared.events.envelope import Event, Fact
from shared.http import create_app
from shared.migrations import migrate, prepare_schema
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


_RAN: dict[str, list[tuple[str, Any]]] = {}  # by service: what its migrations ran, in order


def make_schema(settings: Settings) -> None:
    """As `migrate`, which a process runs once for each service: a run makes hundreds of schemas,
    and to find out what to run takes longer than to run it."""
    prepare_schema(settings)
    if settings.service not in _RAN:
        _RAN[settings.service] = _recorded(settings)
        return
    engine = service_engine(settings, pool_size=1)
    with engine.execution_options(no_parameters=True).begin() as connection:
        made = connection.exec_driver_sql("select to_regclass('schema_version')").scalar()
        for statement, parameters in () if made else _RAN[settings.service]:
            connection.exec_driver_sql(statement, parameters or None)
    engine.dispose()


def _recorded(settings: Settings) -> list[tuple[str, Any]]:
    ran: list[tuple[str, Any]] = []
    bare: list[str] = []

    def run_together() -> None:
        if bare:  # without parameters one call takes many statements, and a % is itself
            ran.append((";\n".join(bare).replace("%%", "%"), None))
            bare.clear()

    def take(by: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if by.engine.url.username != role_of(settings):
            return  # made the role and the schema
        if not parameters:
            bare.append(statement)
            return
        run_together()
        ran.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", take)
    try:
        migrate(settings)
    finally:
        event.remove(Engine, "before_cursor_execute", take)
    run_together()
    return ran


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
    """Fresh names on the real servers. Topics are made at once, schemas as services are asked."""

    def __init__(self, servers: Servers, partitions: dict[str, int] | None = None) -> None:
        self.servers = servers
        self.name = f"t{uuid.uuid4().hex[:10]}"
        self.prefix = self.name + "."
        self.clock = FixedClock(Settings().zone, START)
        self.partitions = {**TOPICS, **OF_SCORING, **(partitions or {})}
        self._made: set[str] = set()
        self._services: list[ServiceUnderTest] = []
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
            "database": self.servers.database,
            "redis": self.servers.redis,
            "topic_prefix": self.prefix,
            "db_schema": f"{self.name}_{service}",
            "issuer": ISSUER,
            "poll_timeout_s": 0.05,
            "fetch_rest_s": 0.05,  # the question for the ends waits behind a fetch
            "retry_backoff_s": 0.01,
        }
        return _settings_of(given).model_copy(update={**own, **changes})

    def service(self, service: Service, **changes: Any) -> ServiceUnderTest:
        """The service with its schema migrated, its clock fixed, nothing running by itself."""
        settings = self.settings(service.name, **changes)
        make_schema(settings)
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
        """Closes connections; drops the schemas and topics so that a long run stays small."""
        for one in self._services:
            one.close()
        if self._sender is not None:
            self._sender.close()
        engine = create_engine(make_url(self.servers.database), isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for one in self._services:
                schema = one.runtime.settings.schema_name
                connection.execute(text(f'drop schema if exists "{schema}" cascade'))
        engine.dispose()
        admin = KafkaAdminClient(bootstrap_servers=self.servers.kafka)
        try:
            admin.delete_topics([self.prefix + topic for topic in self._made])
        finally:
            admin.close()
