"""`python -m tests.load.state_latency`: from an event's produce to its acknowledged state row.

Events flow at a fixed pace through real workers on a real broker. Of each state row the latest
event that is in it is known by its place; the row is taken as acknowledged when a consumer of the
topic has it, which is a little later. Prints one line of JSON; the sums are asserted. Days are
closed while it runs: by default one in the middle, for no bank closes one a second.
"""

import asyncio
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.scoring import risk_model
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.state import kind_of, place_of
from tests.load.bench_worker import (
    PARTITIONS,
    RARE,
    Preloaded,
    closes_of,
    compile_ahead,
    openings_of,
    rates_of,
    records_of,
)
from tests.load.full_servers import full_servers
from tests.load.latest_rows import assert_figures, latest_rows
from tests.load.pace import Published, Sent, producer_of, publish_at, ticks_of
from tests.load.stage import spread
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, WorkerSpace, described

WARM_UP_S: Final = 3.0
LAST_ROWS_S: Final = 2.0


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
    space: WorkerSpace, records: Iterator[Published], rate: int, sent: Sent
) -> list[float]:
    """Seconds of the rows of events sent after the warm-up."""
    took: list[tuple[float, float]] = []
    watching = asyncio.create_task(_watch(space, sent, took))
    producer = producer_of(space.servers)
    await producer.start()
    try:
        ticks = list(ticks_of(producer, records, rate))
        begun = time.perf_counter()
        await publish_at(producer, f"{space.prefix}bank.events", ticks, sent)
    finally:
        await producer.stop()
    await asyncio.sleep(LAST_ROWS_S)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return [seconds for at, seconds in took if at > begun + WARM_UP_S]


def main(
    rate: Annotated[int, typer.Option(min=100, help="events a second")] = 10_000,
    seconds: Annotated[int, typer.Option(min=5)] = 20,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    days: Annotated[int, typer.Option(min=1, help="closed, the last at the end")] = 2,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure the latency of state rows while events flow."""
    compile_ahead()
    with full_servers() as found, tempfile.TemporaryDirectory() as folder:
        settings: dict[str, Any] = {}
        if risk:
            file = Path(folder) / "model.json"
            risk_model.save(hand_made("CA-P", RARE), file)
            settings["GUANXI_RISK_MODEL"] = str(file)
        space = WorkerSpace(found, Path(folder), PARTITIONS)
        try:
            space.describe(described(), *(rates_of() if rates else ()))
            sent: Sent = defaultdict(list)
            # A bank goes live before its day begins: the first close looks at every account.
            openings = [*openings_of(customers), *closes_of(FIRST_DAY)]
            for partition, _, _ in openings:
                sent[partition].append(0.0)
            space.send(openings)
            running = [space.start(f"w{n}", **settings) for n in range(workers)]
            for worker in running:
                worker.wait_ready(180)
            space.wait_committed(120)
            loaded = Preloaded(rate * seconds, {}, {}, 0.0)
            first_day = FIRST_DAY + timedelta(days=1)
            events = records_of(loaded.events, customers, loaded, first_day, days)
            took = asyncio.run(_measure(space, events, rate, sent))
            space.wait_committed(120)
            rows = latest_rows(space, dict.fromkeys(range(PARTITIONS), 0))
            assert_figures(rows, loaded.sums, loaded.counts, rates=rates)
            typer.echo(
                json.dumps({"events_per_s": rate, "workers": workers, "days": days} | spread(took))
            )
        finally:
            space.close()


if __name__ == "__main__":
    typer.run(main)
