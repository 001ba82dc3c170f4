"""`python -m tests.load.roll_rate`: what it costs to bring all open leaves to a day that closed.

Every customer has an account with a balance and none has an event; two days close one after the
other. The log is read, accounts are settled by the worker's code, rows and all totals are written,
through a real broker and PostgreSQL. The sum is asserted against the engine's own.
"""

import asyncio
import json
import os
import time
from datetime import timedelta
from itertools import chain
from typing import Annotated

import psutil
import typer
from sqlalchemy import text

from services.scoring import model, reference, state
from services.scoring.engine import Engine
from services.scoring.roller import Roller
from shared.testing.space import ServiceUnderTest
from shared.wire import Record
from tests.load.bench_worker import rates_of
from tests.load.fold_lag import preload
from tests.load.fold_rate import TODAY, WORKER_BATCH, accounts, backend_of, bookings, cpu_s, told
from tests.load.full_servers import full_servers
from tests.load.query_rooms import make_parties, query_room


def worker(customers: int) -> tuple[Engine, list[tuple[bytes, bytes]]]:
    """A worker that has booked once for each customer on average, and what it has written."""
    engine = Engine(
        model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
    )
    for rate in rates_of():
        reference.tell(engine, rate)
    written: dict[bytes, bytes] = {}
    events = told(chain(accounts(customers), bookings(customers, customers)))
    for begin in range(0, len(events), WORKER_BATCH):
        batch = engine.read(0, events[begin : begin + WORKER_BATCH], TODAY.toordinal() + 1)
        outcome = engine.apply(batch, set())
        written |= {key: value for key, value in (*outcome.first, *outcome.records) if value}
    return engine, list(written.items())


def close(day: int) -> tuple[bytes, bytes]:
    said = state.PartitionState(partition=0, offset=day, watermark=day, sources={})
    return state.PARTITION_KEY + b"0", state.pack_partition(said)


def accrued(service: ServiceUnderTest) -> int:
    with service.database.read() as session:
        found = session.execute(text("select sum(accrued_minor) from party_figures"))
        return int(found.scalar_one())


def main(customers: Annotated[int, typer.Option(min=10)] = 200_000) -> None:
    """Measure a roll of all customers of one partition."""
    engine, written = worker(customers)
    with full_servers() as found, query_room(found, 1) as (space, service):
        make_parties(service.database, [f"C{n:07d}" for n in range(customers)])
        for days in (1, 2):
            day = (TODAY + timedelta(days=days)).toordinal()
            sent = [*(written if days == 1 else ()), close(day)]
            records = [Record("scoring.state", 0, 0, key, value, 0) for key, value in sent]
            asyncio.run(preload(space, records, 1))
            while service.listen_once() or service.runtime.count_behind()["scoring.state"]:
                pass
            before = accrued(service)
            _roll(service, engine, day, {"customers": customers, "day": days})
            assert accrued(service) != before


def _roll(service: ServiceUnderTest, engine: Engine, day: int, stamp: dict[str, int]) -> None:
    own, server = psutil.Process(), backend_of(service.database)
    own_cpu, server_cpu = cpu_s(own), cpu_s(server)
    began, roller, first = time.perf_counter(), Roller(service.runtime), 0.0
    while roller.step():
        first = first or time.perf_counter() - began
    took = time.perf_counter() - began
    partition = engine.partition(0)
    leaves = partition.books.open_leaves(len(partition.account_keys), day + 1)
    assert accrued(service) == int(leaves[:, -1].sum()), "the totals are not the engine's"
    typer.echo(json.dumps({
        "what": "roll to a closed day", **stamp, "accounts": len(partition.account_keys),
        "seconds": round(took, 1), "customers_per_s": round(stamp["customers"] / took),
        "first_step_s": round(first, 2), "own_cpu_s": round(cpu_s(own) - own_cpu, 1),
        "server_cpu_s": round(cpu_s(server) - server_cpu, 1),
        "load_average": round(os.getloadavg()[0], 1),
    }))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
