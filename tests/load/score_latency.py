"""`python -m tests.load.score_latency`: from an event's produce to the score that it moved.

Events of today flow at a fixed pace through real workers and scoring's listener and relay, each a
process, on a real broker. An event is in the first record of `score.updates` whose position of its
customer is not before the event's. Every event must come, and the last score of every party must
have his sum.
"""

import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import psutil
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from deploy.local.children import free_port
from services.scoring import risk_model
from shared.ids import partition_of
from shared.testing.servers import Servers, servers
from shared.testing.space import ServiceUnderTest, Space
from tests.load.bench_worker import PARTITIONS, Preloaded, compile_ahead, rates_of, records_of
from tests.load.query_rooms import assert_folded, make_parties, query_room
from tests.load.stage import spread
from tests.load.state_latency import Sent, publish_at
from tests.processes import Forked
from tests.risk_live import hand_made
from tests.workers import WorkerSpace, described

WARM_UP_S: Final = 5.0
LAST_SCORES_S: Final = 30.0
Published = tuple[int, bytes | None, bytes]


class _Scored(msgspec.Struct):
    party_id: str
    figures: dict[str, int]
    positions: dict[str, int]


class _Update(msgspec.Struct):
    data: _Scored


_decoder = msgspec.json.Decoder(_Update)


@dataclass
class Waiting:
    """Events sent whose score has not come; customers are known by their numbers."""

    sent: Sent = field(default_factory=lambda: defaultdict(list))
    offsets: defaultdict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    ends: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    took: list[tuple[float, float]] = field(default_factory=list)  # when sent, seconds
    sums: dict[str, int] = field(default_factory=dict)  # of parties, as last told
    updates: int = 0

    def noted(self, records: Iterator[Published]) -> Iterator[Published]:
        """The same records, each with its place in the log noted."""
        for partition, key, value in records:
            if key is None:
                continue  # the day goes on
            self.offsets[key.decode()].append(self.ends[partition])
            self.ends[partition] += 1
            yield partition, key, value

    def take(self, value: bytes, now: float) -> None:
        told = _decoder.decode(value).data
        self.updates += 1
        self.sums[told.party_id] = told.figures["net_transactions_minor"]
        for number, position in told.positions.items():
            waiting, at = self.offsets[number], self.sent[partition_of(number, PARTITIONS)]
            while waiting and waiting[0] <= position:
                sent_at = at[waiting.popleft()]
                self.took.append((sent_at, now - sent_at))

    def left(self) -> int:
        return sum(map(len, self.offsets.values()))


async def _watch(space: Space, waiting: Waiting) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, fetch_max_wait_ms=5,
                                auto_offset_reset="earliest")  # fmt: skip
    await consumer.start()
    try:
        consumer.assign(
            [TopicPartition(f"{space.prefix}score.updates", p) for p in range(PARTITIONS)]
        )
        while True:
            polled = await consumer.getmany(timeout_ms=50)
            now = time.perf_counter()
            for records in polled.values():
                for record in records:
                    if record.value:
                        waiting.take(record.value, now)
    finally:
        await consumer.stop()


async def _flow(
    space: WorkerSpace, query: Space, records: Iterator[Published], rate: int
) -> tuple[Waiting, float]:
    """What came of the events, and when the first was sent."""
    waiting = Waiting()
    watching = asyncio.create_task(_watch(query, waiting))
    begun = time.perf_counter()
    await publish_at(space, waiting.noted(records), rate, waiting.sent)
    deadline = time.perf_counter() + LAST_SCORES_S
    while waiting.left() and time.perf_counter() < deadline:
        await asyncio.sleep(0.2)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return waiting, begun


def _start(found: Servers, space: Space, schema: str, folder: Path) -> list[Forked]:
    """Scoring's listener, jobs and relay, as in production each role a process."""
    settings = {
        "GUANXI_ENVIRONMENT": "local",
        "GUANXI_KAFKA": found.kafka,
        "GUANXI_DATABASE": found.database,
        "GUANXI_REDIS": found.redis,
        "GUANXI_TOPIC_PREFIX": space.prefix,
        "GUANXI_DB_SCHEMA": schema,
    }
    return [
        Forked(
            ("services.scoring", role),
            os.environ | settings | {"GUANXI_HTTP_PORT": str(free_port())},
            folder / f"{role}.log",
        )
        for role in ("listen", "relay")
    ]


def _wait_placed(service: ServiceUnderTest) -> None:
    """Until the listener has every partition: it stores where each begins."""
    runtime = service.runtime
    wanted = sum(len(runtime.broker.partitions(topic)) for topic in runtime.service.topics())
    deadline = time.monotonic() + 180
    while True:
        with service.database.read() as session:
            placed = session.execute(text("select count(*) from positions")).scalar_one()
        if placed == wanted:
            return
        assert time.monotonic() < deadline, f"{placed} of {wanted} partitions are taken"
        time.sleep(0.2)


def main(
    rate: Annotated[int, typer.Option(min=100, help="events a second")] = 10_000,
    seconds: Annotated[int, typer.Option(min=8)] = 20,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure the latency of scores while events flow."""
    compile_ahead()
    with (
        servers() as found,
        tempfile.TemporaryDirectory() as name,
        query_room(found, PARTITIONS) as (query, service),
    ):
        folder = Path(name)
        service.listener.source.close()  # the process has its own
        schema = service.runtime.settings.schema_name
        make_parties(service.database, [f"C{n:09d}" for n in range(customers)])
        settings: dict[str, Any] = {}
        if risk:
            risk_model.save(hand_made("CA-P"), folder / "model.json")
            settings["GUANXI_RISK_MODEL"] = str(folder / "model.json")
        space = WorkerSpace(found, folder, PARTITIONS, prefix=query.prefix)
        running: list[Forked] = []
        try:
            space.describe(described(), *(rates_of() if rates else ()))
            started = [space.start(f"w{n}", **settings) for n in range(workers)]
            for worker in started:
                worker.wait_ready(180)
            running = _start(found, query, schema, folder)
            _wait_placed(service)
            loaded = Preloaded(rate * seconds, {}, {}, 0.0)
            today = datetime.now(UTC).astimezone(service.runtime.settings.zone).date()
            events = records_of(loaded.events, customers, loaded, today, days=1)
            every = [*running, *(w.process for w in started)]
            before = [_cpu_s(one.pid) for one in every]
            waiting, begun = asyncio.run(_flow(space, query, events, rate))
            cpu = [round(_cpu_s(one.pid) - b, 1) for one, b in zip(every, before, strict=True)]
            assert waiting.left() == 0, f"{waiting.left()} events came in no score"
            assert waiting.sums == {f"P-{n}": minor for n, minor in loaded.sums.items()}
            assert_folded(service.database, loaded.sums, transactions=loaded.events)
            took = [seconds for at, seconds in waiting.took if at > begun + WARM_UP_S]
            assert len(took) > 1000, "too few to say anything"
            typer.echo(json.dumps({
                "events_per_s": rate, "customers": customers, "rates": rates, "risk": risk,
                "updates_per_event": round(waiting.updates / loaded.events, 2),
                "cpu_s_listen_relay_workers": cpu,
                "load_average": round(os.getloadavg()[0], 1),
            } | spread(took)))  # fmt: skip
        finally:
            for one in running:
                one.kill()
            space.close()


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    typer.run(main)
