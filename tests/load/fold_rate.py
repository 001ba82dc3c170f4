"""`python -m tests.load.fold_rate`: rows a second that scoring's query side folds and stores.

What the scorer writes for random events is folded by the service's own handlers, in a schema of its
own: first into empty tables, then where every customer is known; both are told. Sums and what is
accrued are asserted, of all and of each.
Not in it: what a consumer of the topic costs (`fold_lag` has it).
"""

import json
import os
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from itertools import chain
from random import Random
from typing import Annotated, Any

import psutil
import typer
from sqlalchemy import TextClause, create_engine, event, make_url, text

from services.scoring import model, reference
from services.scoring.commands import fold, store
from services.scoring.engine import Engine
from shared.db import Database, Tx
from shared.events import envelope
from shared.events.bank import AccountOpened, TransactionBooked
from shared.events.envelope import Fact
from shared.migrations import migrate
from shared.settings import Settings
from shared.wire import Record
from tests.load.bench_worker import rates_of
from tests.load.full_servers import full_servers
from tests.load.query_rooms import assert_each, assert_folded, make_parties

WORKER_BATCH = 5_000  # events that the scorer takes together
EVENTS_MIN = 2 * WORKER_BATCH  # of fewer all may be taken with the openings, and none is left
TODAY = date(2026, 3, 2)
TIME = datetime(2026, 3, 2, 2, tzinfo=UTC)
Handler = Callable[[Tx, list[Record]], None]


def accounts(customers: int) -> Iterator[Fact]:
    """Two accounts of each customer, each with what was paid in at first."""
    rng = Random(2)
    for n in range(2 * customers):
        number = f"C{n // 2:07d}"
        yield AccountOpened(
            customer_number=number, account_number=f"A-{number}-{n % 2}", product_code="CA-P",
            currency="CNY", opened_on=TODAY,
        )  # fmt: skip
        yield _booking(f"first-{n}", number, n % 2, int(rng.lognormvariate(15, 1.5)))


def bookings(count: int, customers: int) -> Iterator[Fact]:
    """Small transactions of random customers, about a fiftieth of what they have."""
    rng = Random(3)
    for n in range(count):
        number = f"C{rng.randrange(customers):07d}"
        yield _booking(str(n), number, rng.randrange(2), rng.randrange(-100_000, 120_000) or 1)


def _booking(name: str, number: str, account: int, amount_minor: int) -> TransactionBooked:
    return TransactionBooked(
        transaction_id=name, account_number=f"A-{number}-{account}", customer_number=number,
        product_code="CA-P", amount_minor=amount_minor, currency="CNY", kind="card",
        initiated_by="customer", booked_on=TODAY,
    )  # fmt: skip


def told(facts: Iterable[Fact]) -> list[Record]:
    """As the broker would hand them over."""
    return [
        Record("bank.events", 0, n, fact.key("core").encode(), _event(n, fact), 0)
        for n, fact in enumerate(facts)
    ]


def _event(n: int, fact: Fact) -> bytes:
    return envelope.encode(
        envelope.wrap(fact, id=f"event-{n}", source="core", time=TIME, businessdate=TODAY)
    )


def states(records: list[Record], *, rates: bool) -> list[Record]:
    """The state records that the scorer writes for them, in its own order."""
    engine = Engine(
        model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
    )
    for rate in rates_of() if rates else ():
        reference.tell(engine, rate)
    made: list[Record] = []
    for begin in range(0, len(records), WORKER_BATCH):
        batch = engine.read(0, records[begin : begin + WORKER_BATCH], TODAY.toordinal() + 1)
        made += [
            Record("scoring.state", 0, len(made) + i, key, value, 0)
            for i, (key, value) in enumerate(engine.apply(batch, set()).records)
        ]
    return made


def events_and_states(
    events: int, customers: int, *, rates: bool
) -> tuple[list[Record], list[Record], list[Record]]:
    """All events; the states by which every customer is known, and those of what comes then."""
    every = told(chain(accounts(customers), bookings(events, customers)))
    folded = states(every, rates=rates)
    first = len(states(told(accounts(customers)), rates=rates))
    return every, folded[:first], folded[first:]


def cpu_s(*processes: psutil.Process) -> float:
    """Seconds of CPU that these have used."""
    return sum(times.user + times.system for times in (one.cpu_times() for one in processes))


def backend_of(database: Database) -> psutil.Process:
    """The server's process for this process's only connection; it must run on this machine."""
    with database.read() as session:
        return psutil.Process(session.execute(text("select pg_backend_pid()")).scalar_one())


def rate(
    database: Database, handler: Handler, records: list[Record], batch: int
) -> dict[str, float]:
    """What one handler does with all the records, and the CPU that it and the server took."""
    own, server = psutil.Process(), backend_of(database)
    own_before, server_before = cpu_s(own), cpu_s(server)
    began, distinct = time.perf_counter(), 0
    for at in range(0, len(records), batch):
        taken = records[at : at + batch]
        with database.transaction() as tx:
            handler(tx, taken)
        distinct += len({record.key for record in taken})
    took = time.perf_counter() - began
    cpu = [(cpu_s(own) - own_before), (cpu_s(server) - server_before)]
    return {
        "rows": len(records),
        "rows_per_s": round(len(records) / took),
        "distinct_per_s": round(distinct / took),
        "rows_per_cpu_s": round(len(records) / sum(cpu)),
        "distinct_per_cpu_s": round(distinct / sum(cpu)),
        "own_and_server_us_a_row": [round(one * 1e6 / len(records), 1) for one in cpu],
    }


@contextmanager
def seconds_by_statement(database: Database) -> Iterator[dict[str, float]]:
    """Fills what each statement took; those of `services.scoring.commands` by their names."""
    names = {
        id(value): f"{name.rpartition('.')[2]}.{word}"
        for name, module in sys.modules.items() if name.startswith("services.scoring.commands.")
        for word, value in vars(module).items() if isinstance(value, TextClause)
    }  # fmt: skip
    took: defaultdict[str, float] = defaultdict(float)
    begun: list[float] = []

    def before(*_: Any) -> None:
        begun.append(time.perf_counter())

    def after(_c: Any, _r: Any, statement: str, _p: Any, context: Any, _m: Any) -> None:
        clause = context.compiled.statement if context.compiled else None
        took[names.get(id(clause), " ".join(statement.split())[:48])] += (
            time.perf_counter() - begun.pop()
        )

    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "after_cursor_execute", after)
    try:
        yield took
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        event.remove(database.engine, "after_cursor_execute", after)


def main(
    events: Annotated[int, typer.Option(min=EVENTS_MIN)] = 200_000,
    customers: Annotated[int, typer.Option(min=10)] = 20_000,
    batch: Annotated[int, typer.Option(help="records in one transaction", min=1)] = 5_000,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
    steps: Annotated[bool, typer.Option(help="tell the seconds of each statement")] = False,
) -> None:
    """Measure how fast records of `scoring.state` become rows of PostgreSQL."""
    with full_servers() as found:
        schema = f"load{uuid.uuid4().hex[:8]}_scoring"
        settings = Settings(service="scoring", database=found.database, db_schema=schema)
        migrate(settings)
        database = Database(settings)
        try:
            with seconds_by_statement(database) as took:
                _measure(database, events, customers, batch, rates, took)
            if steps:
                for name, seconds in sorted(took.items(), key=lambda one: -one[1]):
                    typer.echo(f"{seconds:8.2f} s  {name}")
        finally:
            database.close()
            engine = create_engine(make_url(found.database), isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(text(f'drop schema "{schema}" cascade'))
            engine.dispose()


def _measure(
    database: Database, events: int, customers: int, batch: int, rates: bool,
    took: dict[str, float],
) -> None:  # fmt: skip
    every, bank, later = events_and_states(events, customers, rates=rates)
    make_parties(database, [f"C{n:07d}" for n in range(customers)])
    stamp = {"batch": batch, "customers": customers, "rates": rates}

    def measure(what: str, handler: Handler, records: list[Record]) -> None:
        took.clear()
        measured = rate(database, handler, records, batch)
        load = {"load_average": round(os.getloadavg()[0], 1)}
        typer.echo(json.dumps({"what": what} | stamp | measured | load))

    measure("event store", store.store_events, every)
    measure("fold into empty tables", fold.fold_state, bank)
    measure("fold", fold.fold_state, later)
    _assert_sums(database, amounts_of(every), rates=rates)
    assert_each(database, [*bank, *later])


def amounts_of(records: Iterable[Record]) -> list[int]:
    """Minor units of each transaction."""
    facts = (envelope.decode(record.value or b"").data for record in records)
    return [f.amount_minor for f in facts if type(f) is TransactionBooked]


def _assert_sums(database: Database, booked: list[int], *, rates: bool) -> None:
    assert_folded(database, sum(booked), transactions=len(booked))
    with database.read() as session:
        stored = session.execute(
            text("select sum(amount_minor), count(amount_minor) from bank_events")
        ).one()
        assert (int(stored[0]), int(stored[1])) == (sum(booked), len(booked))
        uses, open_uses = (
            int(session.execute(text(sql)).scalar() or 0)
            for sql in (
                "select accrued_minor from contribution_totals"
                " where dimension = 'bank' and component = 'abc_txn'",
                "select sum(uses) from open_leaves",
            )
        )
    assert uses == open_uses
    assert (uses != 0) == rates, "contribution was not what was to be measured"


if __name__ == "__main__":
    typer.run(main)
