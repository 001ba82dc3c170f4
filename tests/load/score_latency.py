"""`python -m tests.load.score_latency`: from an event's produce to the score that it moved.

Events of today flow at a fixed pace through real workers and scoring's listener and relay, each a
process, on a real broker. An event is in the first record of `score.updates` whose position of its
customer is not before the event's. Every event must come, and the last score of every party must
have his sum. With `--hops` it also says when its state row was there, and when it was folded; who
watches that takes CPU from who is watched.
"""

import asyncio
import json
import os
import tempfile
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import psutil
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from deploy.local.children import free_port
from services.scoring import risk_model
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.state import kind_of, place_of
from shared import positions
from shared.db import Database
from shared.ids import partition_of
from shared.testing.servers import Servers, servers
from shared.testing.space import ServiceUnderTest, Space
from tests.load.bench_worker import PARTITIONS, Preloaded, compile_ahead, rates_of, records_of
from tests.load.fold_rate import backend_of
from tests.load.query_rooms import assert_folded, make_parties, query_room
from tests.load.stage import spread
from tests.load.state_latency import Sent, publish_at
from tests.processes import Forked
from tests.risk_live import hand_made
from tests.workers import Worker, WorkerSpace, described

WARM_UP_S: Final = 5.0
LAST_SCORES_S: Final = 30.0  # without a score that was awaited
Published = tuple[int, bytes | None, bytes]


class _Scored(msgspec.Struct):
    party_id: str
    figures: dict[str, int]
    positions: dict[str, int]


class _Update(msgspec.Struct):
    data: _Scored


_decoder = msgspec.json.Decoder(_Update)


@dataclass
class Awaited:
    """Events sent that have not come to a place yet, by customer, and how long others took."""

    sent: Sent
    offsets: defaultdict[str, deque[int]] = field(default_factory=lambda: defaultdict(deque))
    took: list[tuple[float, float]] = field(default_factory=list)  # when sent, seconds

    def come(self, number: str, position: int, now: float) -> None:
        """All of this customer up to this place in `bank.events`."""
        waiting, at = self.offsets[number], self.sent[partition_of(number, PARTITIONS)]
        while waiting and waiting[0] <= position:
            sent_at = at[waiting.popleft()]
            self.took.append((sent_at, now - sent_at))

    def left(self) -> int:
        return sum(map(len, self.offsets.values()))

    def spread(self, begun: float) -> dict[str, float]:
        """Of those sent after the warm-up."""
        took = [seconds for at, seconds in self.took if at > begun + WARM_UP_S]
        assert len(took) > 1000, "too few to say anything"
        return spread(took)


@dataclass
class Waiting:
    """What flows, and where it is awaited: in a state row, in the tables, in a score."""

    sent: Sent = field(default_factory=lambda: defaultdict(list))
    ends: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[str, int] = field(default_factory=dict)  # of parties, as last told
    updates: int = 0
    rows: defaultdict[int, deque[tuple[int, str, int]]] = field(  # written, not folded yet
        default_factory=lambda: defaultdict(deque)
    )

    def __post_init__(self) -> None:
        self.row, self.folded, self.score = (Awaited(self.sent) for _ in range(3))

    def noted(self, records: Iterator[Published]) -> Iterator[Published]:
        """The same records, each with its place in the log noted."""
        for partition, key, value in records:
            if key is None:
                continue  # the day goes on
            for place in (self.row, self.folded, self.score):
                place.offsets[key.decode()].append(self.ends[partition])
            self.ends[partition] += 1
            yield partition, key, value

    def take(self, value: bytes, now: float) -> None:
        told = _decoder.decode(value).data
        self.updates += 1
        self.sums[told.party_id] = told.figures["net_transactions_minor"]
        for number, position in told.positions.items():
            self.score.come(number, position, now)

    def take_row(self, record: Any, now: float) -> None:
        if kind_of(record.value) == KIND_CUSTOMER:
            number, position = record.key.decode(), place_of(record.value)[0]
            self.row.come(number, position, now)
            self.rows[record.partition].append((record.offset, number, position))

    def fold(self, partition: int, next_offset: int, now: float) -> None:
        """The listener stands here in `scoring.state`."""
        rows = self.rows[partition]
        while rows and rows[0][0] < next_offset:
            _, number, position = rows.popleft()
            self.folded.come(number, position, now)


async def _watch(space: Space, topic: str, take: Callable[[Any, float], None]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, fetch_max_wait_ms=20,
                                fetch_min_bytes=1 << 14,  # a fetch for each record costs the broker
                                auto_offset_reset="earliest")  # fmt: skip
    await consumer.start()
    try:
        consumer.assign([TopicPartition(f"{space.prefix}{topic}", p) for p in range(PARTITIONS)])
        while True:
            polled = await consumer.getmany(timeout_ms=50)
            now = time.perf_counter()
            for records in polled.values():
                for record in records:
                    if record.value:
                        take(record, now)
    finally:
        await consumer.stop()


async def _watch_fold(database: Database, waiting: Waiting) -> None:
    while True:
        with database.read() as session:
            at = positions.stored(session, "scoring.state")
        now = time.perf_counter()
        for partition, next_offset in at.items():
            waiting.fold(partition, next_offset, now)
        await asyncio.sleep(0.02)


async def _flow(
    space: WorkerSpace, query: Space, service: ServiceUnderTest, records: Iterator[Published],
    rate: int, cpu_s: Callable[[], dict[str, float]], *, hops: bool,
) -> tuple[Waiting, float, dict[str, int]]:  # fmt: skip
    """What came of the events, when the first was sent, and microseconds of CPU an event by role
    after the warm-up."""
    waiting = Waiting()

    async def warmed_up() -> tuple[dict[str, float], int]:
        await asyncio.sleep(WARM_UP_S)
        return cpu_s(), sum(map(len, waiting.sent.values()))

    warming = asyncio.create_task(warmed_up())
    watching = [
        asyncio.create_task(
            _watch(query, "score.updates", lambda record, now: waiting.take(record.value, now))
        )
    ]
    if hops:
        watching += [
            asyncio.create_task(_watch(query, "scoring.state", waiting.take_row)),
            asyncio.create_task(_watch_fold(service.database, waiting)),
        ]
    begun = time.perf_counter()
    await publish_at(space, waiting.noted(records), rate, waiting.sent)
    came_at, left = time.perf_counter(), waiting.score.left()
    while left and time.perf_counter() < came_at + LAST_SCORES_S:
        await asyncio.sleep(0.2)
        if waiting.score.left() < left:
            came_at, left = time.perf_counter(), waiting.score.left()
    for one in watching:
        one.cancel()
    await asyncio.gather(*watching, return_exceptions=True)
    (before, already), after = await warming, cpu_s()
    count = sum(map(len, waiting.sent.values())) - already
    return waiting, begun, {r: round((after[r] - before[r]) * 1e6 / count) for r in after}


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
    hops: Annotated[bool, typer.Option(help="also row and fold; it costs the others")] = False,
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
            cpu_s = partial(_cpu_s_by_role, found, service.database, running, started)
            waiting, begun, cpu_us = asyncio.run(
                _flow(space, query, service, events, rate, cpu_s, hops=hops)
            )
            left = waiting.score.left()
            assert left == 0, f"{left} events came in no score"
            assert waiting.sums == {f"P-{n}": minor for n, minor in loaded.sums.items()}
            assert_folded(service.database, loaded.sums, transactions=loaded.events)
            typer.echo(json.dumps({
                "events_per_s": rate, "customers": customers, "rates": rates, "risk": risk,
                "updates_per_event": round(waiting.updates / loaded.events, 2),
                "cpu_us_per_event": cpu_us,
                "load_average": round(os.getloadavg()[0], 1),
            } | ({
                "to_row": waiting.row.spread(begun), "to_folded": waiting.folded.spread(begun),
            } if hops else {}) | waiting.score.spread(begun)))  # fmt: skip
        finally:
            for one in running:
                one.kill()
            space.close()


def _cpu_s_by_role(
    found: Servers, database: Database, running: list[Forked], workers: list[Worker]
) -> dict[str, float]:
    """Seconds of CPU so far; of this process too, which makes the events and reads the scores."""
    port = int(found.kafka.rpartition(":")[2])
    listening = [c.pid for c in psutil.net_connections("tcp")
                 if c.status == psutil.CONN_LISTEN and c.laddr.port == port]  # fmt: skip
    listen, relay = running
    server = backend_of(database).parent()
    assert server is not None
    postgres = [server.pid, *(one.pid for one in server.children())]
    roles: dict[str, list[int]] = {
        "worker": [one.process.pid for one in workers], "listen": [listen.pid],
        "relay": [relay.pid], "broker": [pid for pid in listening if pid], "here": [os.getpid()],
        "postgres": postgres,
    }  # fmt: skip
    return {role: sum(map(_cpu_s, pids)) for role, pids in roles.items()}


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


if __name__ == "__main__":
    typer.run(main)
