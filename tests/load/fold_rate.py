"""How many rows a second the query side of scoring folds and stores, effects asserted.

`python -m tests.load.fold_rate`: on the servers of the environment, in a schema of its own.
"""

import os
import time
import uuid
from datetime import UTC, date, datetime
from random import Random

import psutil
from sqlalchemy import create_engine, make_url, text

from services.scoring import model
from services.scoring.commands import fold, store
from services.scoring.engine import Engine
from shared.db import Database
from shared.events import envelope
from shared.events.bank import TransactionBooked
from shared.migrations import migrate
from shared.settings import Settings
from shared.testing.servers import servers
from shared.wire import Record

CUSTOMERS = 20_000
EVENTS = 100_000
BATCH = 5_000
TODAY = date(2026, 3, 2)


def events(count: int) -> list[Record]:
    """Transactions of random customers, as the broker would hand them over."""
    rng = Random(3)
    made = []
    for n in range(count):
        number = f"C{rng.randrange(CUSTOMERS):07d}"
        fact = TransactionBooked(
            transaction_id=str(n), account_number=f"A-{number}-{rng.randrange(2)}",
            customer_number=number, product_code="CA-P", amount_minor=rng.randrange(1, 10**6),
            currency="CNY", kind="card", initiated_by="customer", booked_on=TODAY,
        )  # fmt: skip
        event = envelope.wrap(
            fact, id=f"txn-{n}", source="core", time=datetime(2026, 3, 2, 2, tzinfo=UTC),
            businessdate=TODAY,
        )  # fmt: skip
        made.append(Record("bank.events", 0, n, number.encode(), envelope.encode(event), 0))
    return made


def states(records: list[Record]) -> list[Record]:
    """The state records that the scorer writes for them, in its own order."""
    engine = Engine(
        model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
    )
    made: list[Record] = []
    for begin in range(0, len(records), BATCH):
        batch = engine.read(0, records[begin : begin + BATCH], TODAY.toordinal() + 1)
        made += [
            Record("scoring.state", 0, len(made) + i, key, value, 0)
            for i, (key, value) in enumerate(engine.apply(batch, set()).records)
        ]
    return made


def rate(database: Database, handler: object, records: list[Record]) -> tuple[float, float]:
    """Rows a second, and CPU microseconds a row of this process."""
    began, cpu = time.perf_counter(), psutil.Process().cpu_times()
    for at in range(0, len(records), BATCH):
        with database.transaction() as tx:
            handler(tx, records[at : at + BATCH])  # type: ignore[operator]
    took = time.perf_counter() - began
    used = psutil.Process().cpu_times()
    spent = used.user + used.system - cpu.user - cpu.system
    return len(records) / took, spent * 1e6 / len(records)


def main() -> None:
    with servers() as found:
        schema = f"load{uuid.uuid4().hex[:8]}_scoring"
        settings = Settings(service="scoring", database=found.database, db_schema=schema)
        migrate(settings)
        database = Database(settings)
        try:
            measure(database)
        finally:
            database.close()
            engine = create_engine(make_url(found.database), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f'drop schema "{schema}" cascade'))
            engine.dispose()


def measure(database: Database) -> None:
    booked = events(EVENTS)
    folded = states(booked)
    with database.transaction() as tx:  # every customer is a party, as after a first load
        tx.session.execute(
            text(
                "insert into numbers (customer_number, party_id, party_as_of)"
                " select 'C' || lpad(cast(n as text), 7, '0'), 'P' || n, :at"
                " from generate_series(0, :last) as x(n)"
            ),
            {"last": CUSTOMERS - 1, "at": datetime(2026, 1, 1, tzinfo=UTC)},
        )
    print(f"load average {os.getloadavg()[0]:.1f}, batches of {BATCH}")
    stored_rate, stored_cpu = rate(database, store.store_events, booked)
    print(f"event store: {stored_rate:,.0f} rows/s, {stored_cpu:.1f} µs CPU a row")
    fold_rate, fold_cpu = rate(database, fold.fold_state, folded)
    per_event = len(folded) / len(booked)
    print(f"state fold: {fold_rate:,.0f} rows/s, {fold_cpu:.1f} µs CPU a row")
    print(f"{per_event:.2f} state records an event; conflated within a poll")
    sums = "select sum(sum_minor), sum(count) from"
    expected = (sum(_amount(r) for r in booked), len(booked))
    with database.read() as session:
        for table in ("account_figures", "customer_state", "party_figures"):
            row = session.execute(text(f"{sums} {table}")).one()
            assert (int(row[0]), int(row[1])) == expected, table
        stored = session.execute(text("select sum(amount_minor), count(*) from bank_events")).one()
        assert (int(stored[0]), int(stored[1])) == expected
    print(f"sum {expected[0]} in accounts, customers, parties and events alike")


def _amount(record: Record) -> int:
    return int(envelope.decode(record.value or b"").data.amount_minor)


if __name__ == "__main__":
    main()
