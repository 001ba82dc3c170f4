"""`python -m tests.load.fold_lag`: how fast a listener of scoring works off `scoring.state`.

The topic is full before it starts: its whole lag is folded, through a real broker, by the steps
that the service takes (poll, fold, positions, commit). Every second it says how much is left. Sums
are asserted, and that the equation has no difference.
"""

import asyncio
import json
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import chain
from typing import Annotated

import psutil
import typer
from aiokafka import AIOKafkaProducer

from shared import positions
from shared.ids import partition_of
from shared.testing.servers import servers
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.load.fold_rate import accounts, amounts_of, bookings, cpu_s, states, told
from tests.load.query_rooms import assert_folded, make_parties, query_room

PARTITIONS = 8
JOIN_S = 60.0


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


def _join(service: ServiceUnderTest) -> None:
    """Until it has every partition: it stores where each begins."""
    deadline = time.monotonic() + JOIN_S
    while True:
        assert time.monotonic() < deadline, "the listener has not joined its group"
        service.listen_once()
        with service.database.read() as session:
            if len(positions.stored(session, "scoring.state")) == PARTITIONS:
                return


def _work_off(service: ServiceUnderTest, count: int) -> Iterator[tuple[int, int]]:
    """Steps until nothing is left: records of each step, and how many are left then."""
    left = count
    while left:
        taken = service.listen_once()
        left -= taken
        yield taken, left


def main(
    events: Annotated[int, typer.Option(min=1000)] = 400_000,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure how fast the lag of `scoring.state` falls."""
    every = told(chain(accounts(customers), bookings(events, customers)))
    folded, booked = states(every, rates=rates), amounts_of(every)
    sums: defaultdict[str, int] = defaultdict(int)
    for number, minor in booked:
        sums[number] += minor
    with servers() as found, query_room(found, PARTITIONS) as (space, service):
        make_parties(service.database, [f"C{n:07d}" for n in range(customers)])
        _join(service)
        asyncio.run(preload(space, folded, PARTITIONS))
        own = psutil.Process()
        lag = service.runtime.count_behind()["scoring.state"]
        assert lag == len(folded), f"{lag} of {len(folded)} records wait"
        begun, cpu, said, steps = time.perf_counter(), cpu_s(own), 0.0, 0
        for taken, left in _work_off(service, lag):
            steps += taken > 0
            if time.perf_counter() - begun > said + 1:
                said = time.perf_counter() - begun
                typer.echo(f"{said:6.1f} s: {left:,} wait, {taken:,} together", err=True)
        took = time.perf_counter() - begun
        used = cpu_s(own) - cpu
        assert_folded(service.database, sums, transactions=len(booked))
        with service.database.read() as session:
            assert all(line["difference"] == 0 for line in positions.reconcile(session))
        assert service.runtime.count_behind()["scoring.state"] == 0
        typer.echo(json.dumps({
            "what": "fold from Kafka", "customers": customers, "rates": rates, "rows": lag,
            "rows_per_s": round(lag / took), "rows_together": round(lag / steps),
            "own_us_a_row": round(used * 1e6 / lag, 1),
            "load_average": round(os.getloadavg()[0], 1),
        }))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
