"""`python -m tests.load.state_latency`: from an event's produce to its acknowledged state row.

Events flow at a fixed pace through real workers on a real broker. An event is in the first state
row of its customer whose place is not before the event's; the row is taken as acknowledged when a
consumer of the topic has it, which is a little later. Every event must come. Prints one line of
JSON; the sums are asserted. Days are closed while it runs: by default one while it counts, for no
bank closes one a second.
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
from tests.load.awaited import Awaited, some_after
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
from tests.load.latest_rows import assert_figures, customers_in, latest_rows
from tests.load.pace import Published, Sent, producer_of, publish_at, ticks_of, whole_ticks
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, WorkerSpace, described

WARM_UP_S: Final = 30.0  # so long the broker's JVM compiles; a bank's has done so
QUIET_S: Final = 1.0  # without a row: time to look whether all have come
LAST_ROWS_S: Final = 30.0
Row = tuple[int, bytes, int, float]  # partition, customer, place in `bank.events`, when it came


async def _watch(space: WorkerSpace, rows: list[Row]) -> None:
    """Notes each row, until cancelled: to look whose it is would hold up those behind it."""
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
                        position = place_of(record.value)[0]
                        rows.append((place.partition, record.key, position, now))
    finally:
        await consumer.stop()


def _noted(records: Iterator[Published], awaited: Awaited) -> Iterator[Published]:
    """The same records; each event is awaited from its place in the log on."""
    ends = {partition: len(sent) for partition, sent in awaited.sent.items()}
    for partition, key, value in records:
        if key is not None:  # a close is nobody's
            awaited.expect(partition, key.decode(), ends[partition])
        ends[partition] += 1
        yield partition, key, value


async def _measure(
    space: WorkerSpace, records: Iterator[Published], rate: int, sent: Sent, warm_up_s: float
) -> dict[str, float]:
    """The spread over all events sent after the warm-up."""
    awaited, rows = Awaited(sent), list[Row]()
    watching = asyncio.create_task(_watch(space, rows))
    producer = producer_of(space.servers)
    await producer.start()
    try:
        ticks = list(ticks_of(producer, _noted(records, awaited), rate))
        begun = await publish_at(producer, f"{space.prefix}bank.events", ticks, sent)
    finally:
        await producer.stop()
    await _all_come(rows, awaited)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return awaited.spread(begun, warm_up_s)


async def _all_come(rows: list[Row], awaited: Awaited) -> None:
    """Whose the rows are is looked up only when none comes."""
    ended = time.perf_counter()
    while True:
        await asyncio.sleep(0.1)
        now, newest = time.perf_counter(), max(rows[-1][-1] if rows else 0.0, ended)
        if now > min(newest + QUIET_S, ended + LAST_ROWS_S):
            for partition, key, position, came in rows:
                awaited.come(partition, key.decode(), position, came)
            rows.clear()
            if awaited.left() == 0:
                return
        assert now < ended + LAST_ROWS_S, f"{awaited.left()} events came in no state row"


def main(
    rate: Annotated[int, typer.Option(help="events a second", callback=whole_ticks)] = 10_000,
    seconds: Annotated[int, typer.Option(min=5)] = 50,
    warm_up_s: Annotated[float, typer.Option(min=1, help="of these, not counted")] = WARM_UP_S,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    workers: Annotated[int, typer.Option(min=1)] = 2,
    days: Annotated[int, typer.Option(min=1, help="closed, the last at the end")] = 3,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure the latency of state rows while events flow."""
    some_after(rate, seconds, warm_up_s)
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
            took = asyncio.run(_measure(space, events, rate, sent, warm_up_s))
            space.wait_committed(120)
            rows = customers_in(latest_rows(space))
            assert_figures(rows, loaded.sums, loaded.counts, rates=rates)
            typer.echo(json.dumps({"events_per_s": rate, "workers": workers, "days": days} | took))
        finally:
            space.close()


if __name__ == "__main__":
    typer.run(main)
