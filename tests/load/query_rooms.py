"""What benches of scoring's query side share: its topics and schema, a bank whose customers are
parties, and a look at the sums."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import create_engine, make_url, text

from services.scoring.__main__ import SERVICE
from shared.db import Database
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space

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


def assert_folded(database: Database, sums: Mapping[Any, int], *, transactions: int) -> None:
    """Accounts, customers and parties have each the same sum and count, and it is the bank's."""
    expected = (sum(sums.values()), transactions)
    select = "select sum(sum_minor), sum(count) from"
    with database.read() as session:
        for table in ("account_figures", "customer_state", "party_figures"):
            row = session.execute(text(f"{select} {table}")).one()
            assert (int(row[0]), int(row[1])) == expected, table
