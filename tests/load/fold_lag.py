"""`python -m tests.load.fold_lag`: how fast listeners of scoring work off `scoring.state`.

They are processes as in production, and share the partitions. The bank is there before: each
customer has been folded once. They stand still while the topic is filled; then its whole lag is
folded, through a real broker. Every second it says how much is left. Of a customer who has several
records in a transaction the last is written, so what came into the tables is told beside the
records. Sums and what is accrued are asserted of every account, customer and party, and that the
equation has no difference.
"""

import asyncio
import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Annotated

import psutil
import typer
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from shared import positions
from shared.db import Database
from shared.ids import partition_of
from shared.testing.servers import Servers
from shared.testing.space import Space
from shared.wire import Record
from tests.load.fold_rate import EVENTS_MIN, amounts_of, cpu_s, events_and_states
from tests.load.full_servers import full_servers
from tests.load.query_rooms import (
    assert_each,
    assert_folded,
    make_parties,
    query_room,
    start,
    vacuum,
    wait_placed,
)
from tests.processes import Forked

PARTITIONS = 8
STILL_S = 30.0  # without progress: what is missing was lost


async def preload(space: Space, records: list[Record], partitions: int) -> None:
    """Writes what the worker wrote, each customer to his partition."""
    producer = AIOKafkaProducer(bootstrap_servers=space.servers.kafka, max_batch_size=500_000)
    await producer.start()
    topic = f"{space.prefix}scoring.state"
    try:
        batches = {}
        for record in records:
            key = record.key or b""
            partition = partition_of(key.decode(), partitions)
            for _ in range(2):
                batch = batches.setdefault(partition, producer.create_batch())
                if batch.append(key=key, value=record.value, timestamp=None) is not None:
                    break
                await producer.send_batch(batches.pop(partition), topic, partition=partition)
        for partition, batch in batches.items():
            await producer.send_batch(batch, topic, partition=partition)
        await producer.flush()
    finally:
        await producer.stop()


def _folded(database: Database) -> int:
    with database.read() as session:
        found = session.execute(
            text("select sum(next_offset) from positions where topic = 'scoring.state'")
        )
        return int(found.scalar_one())


def _written(database: Database) -> tuple[int, int]:
    """Rows of customers, and of all tables, that were ever inserted or updated."""
    time.sleep(2)  # a server's process tells its counts once a second
    with database.read() as session:
        customers, rows = session.execute(
            text(
                """
                select sum(n) filter (where relname = 'customer_state'), sum(n)
                  from (select relname, n_tup_ins + n_tup_upd as n from pg_stat_user_tables
                         where schemaname = current_schema()) x
                """
            )
        ).one()
        return int(customers), int(rows)


def _work_off(database: Database, running: list[Forked], count: int) -> float:
    """Lets the listeners go on until so much is done. Returns seconds."""
    for one in running:
        one.send_signal(signal.SIGCONT)
    begun, said = time.perf_counter(), 1
    most, moved = -1, begun
    while (done := _folded(database)) < count:
        assert all(one.poll() is None for one in running), "a listener ended"
        now = time.perf_counter()
        if done > most:
            most, moved = done, now
        assert now < moved + STILL_S, f"{count - done:,} are missing, none came for {STILL_S:g} s"
        if now > begun + said:
            typer.echo(f"{said:6.1f} s: {count - done:,} wait", err=True)
            said += 1
        time.sleep(0.02)
    return time.perf_counter() - begun


def _measure(
    found: Servers, bank: list[Record], lag: list[Record], booked: list[int], customers: int,
    members: int,
) -> dict[str, float]:  # fmt: skip
    with (
        tempfile.TemporaryDirectory() as name,
        query_room(found, PARTITIONS) as (space, service),
    ):
        database = service.database
        service.listener.source.close()  # the processes have their own
        make_parties(database, [f"C{n:07d}" for n in range(customers)])
        running = [start(service, "listen", Path(name) / f"{n}.log") for n in range(members)]
        try:
            wait_placed(space, service, members)
            asyncio.run(preload(space, bank, PARTITIONS))
            _work_off(database, running, len(bank))
            before = _written(database)
            for one in running:
                one.send_signal(signal.SIGSTOP)
            vacuum(service.runtime.settings)
            asyncio.run(preload(space, lag, PARTITIONS))
            processes = [psutil.Process(one.pid) for one in running]
            cpu = cpu_s(*processes)
            took = _work_off(database, running, len(bank) + len(lag))
            used = cpu_s(*processes) - cpu
            after = _written(database)
        finally:
            for one in running:
                one.kill()
        assert_folded(database, sum(booked), transactions=len(booked))
        assert_each(database, [*bank, *lag])
        with database.read() as session:
            assert all(line["difference"] == 0 for line in positions.reconcile(session))
    return {
        "records": len(lag),
        "records_per_s": round(len(lag) / took),
        "customers_per_s": round((after[0] - before[0]) / took),
        "table_rows_per_s": round((after[1] - before[1]) / took),
        "own_us_a_record": round(used * 1e6 / len(lag), 1),
    }


def main(
    events: Annotated[int, typer.Option(min=EVENTS_MIN)] = 400_000,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
    members: Annotated[
        list[int] | None, typer.Option(help="listeners that share the partitions; default: 1, 2")
    ] = None,
) -> None:
    """Measure how fast the lag of `scoring.state` falls."""
    every, bank, lag = events_and_states(events, customers, rates=rates)
    booked = amounts_of(every)
    with full_servers() as found:
        for count in members or (1, 2):
            stamp = {"members": count, "customers": customers, "rates": rates}
            measured = _measure(found, bank, lag, booked, customers, count)
            load = {"load_average": round(os.getloadavg()[0], 1)}
            typer.echo(json.dumps({"what": "fold from Kafka"} | stamp | measured | load))


if __name__ == "__main__":
    typer.run(main)
