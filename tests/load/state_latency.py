"""`python -m tests.load.state_latency`: from an event's produce to its acknowledged state row.

Events flow at a fixed pace through real workers on a real broker. Of each state row the latest
event that is in it is known by its place; the row is taken as acknowledged when a consumer of the
topic has it, which is a little later. Prints one line of JSON; the sums are asserted.
"""

import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from services.scoring import risk_model
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.state import kind_of, place_of
from shared.testing.servers import servers
from tests.load.bench_worker import PARTITIONS, Preloaded, compile_ahead, rates_of, records_of
from tests.load.stage import spread
from tests.risk_live import hand_made
from tests.workers import WorkerSpace, described

TICK_S: Final = 0.01
WARM_UP_S: Final = 3.0
LAST_ROWS_S: Final = 2.0
Sent = dict[int, list[float]]  # partition -> when each of its records was handed to the producer


async def publish_at(
    space: WorkerSpace, records: Iterator[tuple[int, bytes | None, bytes]], rate: int, sent: Sent
) -> None:
    """A tick's events at a time, each partition's as one batch; says when each was sent."""
    producer = AIOKafkaProducer(bootstrap_servers=space.servers.kafka, acks="all")
    await producer.start()
    try:
        begun, ticks, reports = time.perf_counter(), 0, []
        while tick := list(islice(records, int(rate * TICK_S))):
            by_partition = defaultdict(list)
            for partition, key, value in tick:
                by_partition[partition].append((key, value))
            for partition, own in by_partition.items():
                batch = producer.create_batch()
                for key, value in own:
                    batch.append(key=key, value=value, timestamp=None)
                sent[partition] += [time.perf_counter()] * len(own)
                reports.append(await producer.send_batch(
                    batch, f"{space.prefix}bank.events", partition=partition
                ))  # fmt: skip
            ticks += 1
            await asyncio.sleep(max(begun + ticks * TICK_S - time.perf_counter(), 0.0))
        await asyncio.gather(*reports)
    finally:
        await producer.stop()


async def _watch(space: WorkerSpace, sent: Sent, took: list[tuple[float, float]]) -> None:
    """Adds (when it was sent, seconds to the row) for each row, until cancelled."""
    consumer = AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, fetch_max_wait_ms=5,
                                auto_offset_reset="earliest")  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(
            [TopicPartition(f"{space.prefix}scoring.state", p) for p in range(PARTITIONS)]
        )
        while True:
            polled = await consumer.getmany(timeout_ms=50)
            now = time.perf_counter()
            for place, records in polled.items():
                for record in records:
                    if record.value and kind_of(record.value) == KIND_CUSTOMER:
                        at = sent[place.partition][place_of(record.value)[0]]
                        took.append((at, now - at))
    finally:
        await consumer.stop()


async def _measure(
    space: WorkerSpace, records: Iterator[tuple[int, bytes | None, bytes]], rate: int
) -> list[float]:
    """Seconds of the rows of events sent after the warm-up."""
    sent: Sent = defaultdict(list)
    took: list[tuple[float, float]] = []
    watching = asyncio.create_task(_watch(space, sent, took))
    begun = time.perf_counter()
    await publish_at(space, records, rate, sent)
    await asyncio.sleep(LAST_ROWS_S)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return [seconds for at, seconds in took if at > begun + WARM_UP_S]


def main(
    rate: Annotated[int, typer.Option(min=100, help="events a second")] = 10_000,
    seconds: Annotated[int, typer.Option(min=5)] = 20,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure the latency of state rows while events flow."""
    compile_ahead()
    with servers() as found, tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {}
        if risk:
            file = Path(folder) / "model.json"
            risk_model.save(hand_made("CA-P"), file)
            settings["GUANXI_RISK_MODEL"] = str(file)
        space = WorkerSpace(found, Path(folder), PARTITIONS)
        try:
            space.describe(described(), *(rates_of() if rates else ()))
            running = [space.start(f"w{n}", **settings) for n in range(workers)]
            for worker in running:
                worker.wait_ready(180)
            loaded = Preloaded(rate * seconds, {}, {}, 0.0)
            events = records_of(loaded.events, customers, loaded)
            took = asyncio.run(_measure(space, events, rate))
            space.wait_committed(120)
            assert {n: c.sum_minor for n, c in space.customers().items()} == loaded.sums
            typer.echo(json.dumps({"events_per_s": rate, "workers": workers} | spread(took)))
        finally:
            space.close()


if __name__ == "__main__":
    typer.run(main)
