"""What benches of scoring's query side share: its topics and schema, a bank whose customers are
parties, and a look at the sums."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError
from sqlalchemy import create_engine, make_url, text

from deploy.local.children import free_port
from services.scoring.__main__ import SERVICE
from shared.db import Database
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space
from tests.processes import Forked

PRIVATE = ("bank.events", "scoring.state", "scoring.leaves", "scoring.signals", "scoring.totals",
           "scoring.inputs", "score.updates")  # fmt: skip


@contextmanager
def query_room(found: Servers, partitions: int) -> Iterator[tuple[Space, ServiceUnderTest]]:
    """Topics as many as the local stack has, and the service; all goes away after."""
    space = Space(found, dict.fromkeys(PRIVATE, partitions))
    try:
        yield space, space.service(SERVICE)
    finally:
        space.close()


def start(found: Servers, space: Space, schema: str, role: str, log: Path) -> Forked:
    """A role of scoring as a process, as in production: `listen` has the jobs, `relay`."""
    settings = {
        "GUANXI_ENVIRONMENT": "local",
        "GUANXI_KAFKA": found.kafka,
        "GUANXI_DATABASE": found.database,
        "GUANXI_REDIS": found.redis,
        "GUANXI_TOPIC_PREFIX": space.prefix,
        "GUANXI_DB_SCHEMA": schema,
        "GUANXI_HTTP_PORT": str(free_port()),
    }
    return Forked(("services.scoring", role), os.environ | settings, log)


def wait_placed(space: Space, service: ServiceUnderTest, members: int = 1) -> None:
    """Until so many listeners share the partitions: they store where each begins."""
    runtime = service.runtime
    wanted = sum(len(runtime.broker.partitions(topic)) for topic in runtime.service.topics())
    group = space.prefix + runtime.service.name
    admin = KafkaAdminClient(bootstrap_servers=space.servers.kafka)
    deadline = time.monotonic() + 180
    try:
        while True:
            with service.database.read() as session:
                placed = session.execute(text("select count(*) from positions")).scalar_one()
            if placed == wanted and _members(admin, group) == members:
                return
            assert time.monotonic() < deadline, f"{placed} of {wanted} partitions are taken"
            time.sleep(0.2)
    finally:
        admin.close()


def _members(admin: KafkaAdminClient, group: str) -> int:
    try:
        return len(admin.describe_groups([group])[group]["members"])
    except CoordinatorNotAvailableError:  # nobody has joined a group of the broker yet
        return 0


def make_parties(database: Database, numbers: list[str]) -> None:
    """Every customer is a party, as after a first load: the party of C1 is P-C1."""
    with database.transaction() as tx:
        tx.session.execute(
            text(
                "insert into numbers (customer_number, party_id, party_as_of)"
                " select n, 'P-' || n, :at from unnest(cast(:numbers as text[])) as x(n)"
            ),
            {"numbers": numbers, "at": datetime(2025, 1, 1, tzinfo=UTC)},
        )


def vacuum(found: Servers, schema: str) -> None:
    """As a bank's tables are that were there before: the planner knows them."""
    engine = create_engine(make_url(found.database), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        tables = connection.execute(
            text("select tablename from pg_tables where schemaname = :schema"), {"schema": schema}
        ).scalars()
        for table in list(tables):
            connection.execute(text(f'vacuum analyze "{schema}"."{table}"'))
    engine.dispose()


def assert_folded(database: Database, sum_minor: int, *, transactions: int) -> None:
    """Accounts, customers and parties have each the same sum and count, and it is the bank's."""
    expected = (sum_minor, transactions)
    select = "select sum(sum_minor), sum(count) from"
    with database.read() as session:
        for table in ("account_figures", "customer_state", "party_figures"):
            row = session.execute(text(f"{select} {table}")).one()
            assert (int(row[0]), int(row[1])) == expected, table
