"""What benches of scoring's query side share: its topics and schema, a bank whose customers are
parties, and a look at the sums."""

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import CoordinatorNotAvailableError
from sqlalchemy import create_engine, make_url, text

from deploy.local.children import free_port
from services.scoring.__main__ import SERVICE
from services.scoring.books import COMPONENTS
from services.scoring.open_leaf import COLUMNS
from services.scoring.rows import KIND_CUSTOMER, LEDGER_WORDS
from services.scoring.state import accounts_at, kind_of
from shared.db import Database
from shared.settings import Settings
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests import plain_open_leaf
from tests.processes import Forked

PRIVATE = ("bank.events", "scoring.state", "scoring.leaves", "scoring.signals", "scoring.totals",
           "scoring.inputs", "score.updates")  # fmt: skip

_ACCOUNTS = "select customer_number, account_number, sum_minor, count from account_figures"
_CUSTOMERS = "select customer_number, sum_minor, count from customer_state"
_PARTIES = "select substr(party_id, 3), sum_minor, count from party_figures"  # of C1 it is P-C1
_OPEN_LEAVES = f"select customer_number, account_number, {', '.join(COLUMNS)} from open_leaves"  # noqa: S608
_ACCRUED = "select component, accrued_minor from contribution_totals where dimension = 'bank'"


@contextmanager
def query_room(found: Servers, partitions: int) -> Iterator[tuple[Space, ServiceUnderTest]]:
    """Topics as many as the local stack has, and the service; all goes away after."""
    space = Space(found, dict.fromkeys(PRIVATE, partitions))
    try:
        yield space, space.service(SERVICE)
    finally:
        space.close()


def start(service: ServiceUnderTest, role: str, log: Path) -> Forked:
    """A role of scoring as a process, as in production: `listen` has the jobs, `relay`."""
    own = service.runtime.settings
    settings = {
        "GUANXI_ENVIRONMENT": "local",
        "GUANXI_KAFKA": own.kafka,
        "GUANXI_DATABASE": own.database,
        "GUANXI_REDIS": own.redis,
        "GUANXI_TOPIC_PREFIX": own.topic_prefix,
        "GUANXI_DB_SCHEMA": own.schema_name,
        "GUANXI_HTTP_PORT": str(free_port()),
        # Who is stopped while a topic is filled stays a member: else it joins again in the figure.
        "GUANXI_SESSION_TIMEOUT_S": "600",
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


def vacuum(settings: Settings) -> None:
    """As a bank's tables are that were there before: the planner knows them."""
    schema = settings.schema_name
    engine = create_engine(make_url(settings.database), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        tables = connection.execute(
            text("select tablename from pg_tables where schemaname = :schema"), {"schema": schema}
        ).scalars()
        for table in list(tables):
            connection.execute(text(f'vacuum analyze "{schema}"."{table}"'))
    engine.dispose()


def assert_each(database: Database, records: Iterable[Record]) -> None:
    """Every account, customer and party has the figures of the customer's last state record, every
    account what the record has accrued by component, and the bank the sum of that."""
    figures, owned, accrued = _told(records)
    with database.read() as session:

        def rows(sql: str) -> list[tuple[Any, ...]]:
            return [tuple(row) for row in session.execute(text(sql))]

        _same("account", {row[:2]: row[2:] for row in rows(_ACCOUNTS)}, figures)
        _same("customer", {row[0]: row[1:] for row in rows(_CUSTOMERS)}, owned)
        _same("party", {row[0]: row[1:] for row in rows(_PARTIES)}, owned)
        _same("open leaf", {row[:2]: row[2:] for row in rows(_OPEN_LEAVES)}, accrued)
        of_bank = {name: int(minor) for name, minor in rows(_ACCRUED) if minor}
    by_component: Counter[str] = Counter()
    for minor in accrued.values():
        for component, one in zip(COLUMNS.values(), minor, strict=True):
            by_component[COMPONENTS[component]] += one
    _same("component", of_bank, {name: one for name, one in by_component.items() if one})


Each = dict[Any, tuple[int, ...]]


def _told(records: Iterable[Record]) -> tuple[Each, Each, Each]:
    """Of the last record of each customer: sum and count by account, the same by customer, what is
    accrued by account."""
    latest = {r.key: r.value for r in records if r.key and r.value}
    figures, owned, accrued = Each(), Each(), Each()
    for key, value in latest.items():
        if kind_of(value) != KIND_CUSTOMER:
            continue
        number = key.decode()
        accounts, _ = accounts_at(value)
        owned[number] = tuple(sum(one.figures[n] for one in accounts) for n in (0, 1))
        for one in accounts:
            figures[number, one.account_number] = one.figures[:2]
            if one.ledger:
                ledger = [*one.ledger, *[0] * (LEDGER_WORDS - len(one.ledger))]
                accrued[number, one.account_number] = plain_open_leaf.accrued(ledger, one.entries)
    return figures, owned, accrued


def _same(what: str, found: Mapping[Any, Any], expected: Mapping[Any, Any]) -> None:
    wrong = [k for k in found.keys() | expected.keys() if found.get(k) != expected.get(k)]
    first = [(key, found.get(key), expected.get(key)) for key in sorted(wrong)[:3]]
    assert not wrong, f"{len(wrong)} of {what} differ: {first}"


def assert_folded(database: Database, sum_minor: int, *, transactions: int) -> None:
    """Accounts, customers and parties have each the same sum and count, and it is the bank's."""
    expected = (sum_minor, transactions)
    select = "select sum(sum_minor), sum(count) from"
    with database.read() as session:
        for table in ("account_figures", "customer_state", "party_figures"):
            row = session.execute(text(f"{select} {table}")).one()
            assert (int(row[0]), int(row[1])) == expected, table
