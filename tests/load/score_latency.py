"""`python -m tests.load.score_latency`: from an event's produce to the score that it moved.

Events of today flow at one pace after the other through real workers and scoring's listener and
relay, each a process, on a real broker. The bank is there before: each account has had an event.
An event is in the first record of `score.updates` whose position of its customer is not before
the event's. Every event must come, and the last score of every party must have his sum and what he
has contributed. What comes
is read at the end of a pace, only the time is noted when it comes: who looks on takes CPU from who
is looked at. With `--hops` it also says when an event's state row was there, and when it was
folded.
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
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
import psutil
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy import text

from services.scoring import risk_model
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.state import kind_of, place_of
from shared import positions
from shared.db import Database
from shared.ids import partition_of
from shared.process import spare_the_collector
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space
from tests.load.awaited import Awaited, some_after
from tests.load.bench_worker import (
    PARTITIONS,
    Preloaded,
    compile_ahead,
    first_records_of,
    rates_of,
    records_of,
)
from tests.load.fold_rate import backend_of
from tests.load.full_servers import full_servers
from tests.load.pace import Published, Sent, producer_of, publish_at, ticks_of, whole_ticks
from tests.load.query_rooms import (
    assert_folded,
    make_parties,
    query_room,
    start,
    vacuum,
    wait_placed,
)
from tests.processes import Forked
from tests.risk_live import hand_made
from tests.workers import Worker, WorkerSpace, described

WARM_UP_S: Final = 4.0  # of each pace
QUIET_S: Final = 1.0  # without anything that comes: time to read what came
LAST_SCORES_S: Final = 30.0  # without a score that was awaited
DRAIN_S: Final = 240.0  # for all that waits when the last event of a pace was sent
FILL_RATE: Final = 5_000  # each account has its first event, while the broker's JVM compiles
FIRST_MINOR: Final = 5_000_000  # a balance is more than what one event moves
P99_MS: Final = 500.0  # a pace at which more is needed does not hold


class _Contribution(msgspec.Struct):
    posted_minor: int
    accrued_minor: int


class _Scored(msgspec.Struct):
    party_id: str
    contribution: _Contribution
    figures: dict[str, int]
    positions: dict[str, int]


class _Update(msgspec.Struct):
    data: _Scored


_decoder = msgspec.json.Decoder(_Update)


@dataclass
class Waiting:
    """What flows, and where it is awaited: in a state row, in the tables, in a score."""

    sent: Sent = field(default_factory=lambda: defaultdict(list))
    ends: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[str, int] = field(default_factory=dict)  # of parties, as last told
    earned: dict[str, tuple[int, int]] = field(default_factory=dict)  # posted and accrued, the same
    updates: int = 0
    # What has come, not read yet: scores, state rows, places of the listener; each with its time.
    scores: list[tuple[bytes, float]] = field(default_factory=list)
    state_rows: list[tuple[Any, float]] = field(default_factory=list)
    places: list[tuple[dict[int, int], float]] = field(default_factory=list)
    rows: defaultdict[int, deque[tuple[int, str, int]]] = field(  # written, not folded yet
        default_factory=lambda: defaultdict(deque)
    )

    def __post_init__(self) -> None:
        self.row, self.folded, self.score = (Awaited(self.sent) for _ in range(3))

    def noted(self, records: Iterator[Published]) -> Iterator[Published]:
        """The same records, each with its place in the log noted."""
        for partition, key, value in records:
            assert key is not None, "the day goes on"
            for place in (self.row, self.folded, self.score):
                place.expect(partition, key.decode(), self.ends[partition])
            self.ends[partition] += 1
            yield partition, key, value

    def take_score(self, record: Any, now: float) -> None:
        self.scores.append((record.value, now))

    def take_row(self, record: Any, now: float) -> None:
        self.state_rows.append((record, now))

    def read(self) -> None:
        """Reads all that has come."""
        for value, now in self.scores:
            told = _decoder.decode(value).data
            self.sums[told.party_id] = told.figures["net_transactions_minor"]
            earned = told.contribution
            self.earned[told.party_id] = (earned.posted_minor, earned.accrued_minor)
            for number, position in told.positions.items():
                self.score.come(partition_of(number, PARTITIONS), number, position, now)
        self.updates += len(self.scores)
        for record, now in self.state_rows:
            if kind_of(record.value) == KIND_CUSTOMER:
                number, position = record.key.decode(), place_of(record.value)[0]
                self.row.come(record.partition, number, position, now)
                self.rows[record.partition].append((record.offset, number, position))
        for at, now in self.places:
            for partition, next_offset in at.items():
                rows = self.rows[partition]
                while rows and rows[0][0] < next_offset:
                    _, number, position = rows.popleft()
                    self.folded.come(partition, number, position, now)
        self.scores, self.state_rows, self.places = [], [], []


async def _watch(space: Space, topic: str, take: Callable[[Any, float], None]) -> None:
    consumer = AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, fetch_max_wait_ms=20,
                                fetch_min_bytes=1 << 16,  # a fetch for each record costs the broker
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
        waiting.places.append((at, time.perf_counter()))
        await asyncio.sleep(0.02)


@dataclass
class Flow:
    """What is measured: the topics, the tables, whose CPU is counted, and what flows."""

    space: WorkerSpace
    query: Space
    service: ServiceUnderTest
    pids: dict[str, list[int]]
    first: Iterator[Published]
    records: Iterator[Published]
    waiting: Waiting = field(default_factory=Waiting)

    async def run(
        self, rates: list[int], seconds: int, tell: Callable[[dict[str, Any]], None], *, hops: bool
    ) -> None:
        waiting = self.waiting
        watching = [_watch(self.query, "score.updates", waiting.take_score)]
        if hops:
            watching += [
                _watch(self.query, "scoring.state", waiting.take_row),
                _watch_fold(self.service.database, waiting),
            ]
        running = [asyncio.create_task(one) for one in watching]
        producer = producer_of(self.space.servers)
        await producer.start()
        try:
            first = waiting.noted(self.first)
            await self._sent(producer, list(ticks_of(producer, first, FILL_RATE)))
            vacuum(self.service.runtime.settings)
            for rate in rates:
                events = waiting.noted(islice(self.records, rate * seconds))
                ticks = list(ticks_of(producer, events, rate))
                spare_the_collector()
                tell(await self._pace(producer, ticks, rate, seconds, hops=hops))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await producer.stop()

    async def _pace(
        self, producer: Any, ticks: list[Any], rate: int, seconds: int, *, hops: bool
    ) -> dict[str, Any]:
        """What came of the events of one pace, and microseconds of CPU an event by role after the
        warm-up."""
        waiting, updates = self.waiting, self.waiting.updates

        async def warmed_up() -> dict[str, float]:
            await asyncio.sleep(WARM_UP_S)
            return self.cpu_s()

        warming = asyncio.create_task(warmed_up())
        begun, ended, came, after = await self._sent(producer, ticks)
        before, count = await warming, rate * (seconds - WARM_UP_S)
        score = waiting.score.spread(begun, WARM_UP_S)
        return {
            "events_per_s": rate,
            "holds": score["p99_ms"] <= P99_MS,
            "updates_per_event": round((waiting.updates - updates) / (rate * seconds), 2),
            "last_after_s": round(came - ended, 2),
            "cpu_us_per_event": {r: round((after[r] - before[r]) * 1e6 / count) for r in after},
            "load_average": round(os.getloadavg()[0], 1),
        } | ({
            "to_row": waiting.row.spread(begun, WARM_UP_S),
            "to_folded": waiting.folded.spread(begun, WARM_UP_S),
        } if hops else {}) | score  # fmt: skip

    async def _sent(
        self, producer: Any, ticks: list[Any]
    ) -> tuple[float, float, float, dict[str, float]]:
        """Sends them and waits until each is in a score. When the first and the last were sent,
        when the last score came, and the CPU until then."""
        waiting, topic = self.waiting, f"{self.space.prefix}bank.events"
        begun = await publish_at(producer, topic, ticks, waiting.sent)
        ended, came, after = time.perf_counter(), 0.0, self.cpu_s()
        while time.perf_counter() < min(max(came, ended) + LAST_SCORES_S, ended + DRAIN_S):
            await asyncio.sleep(0.1)
            if waiting.scores and waiting.scores[-1][1] > came:
                came, after = waiting.scores[-1][1], self.cpu_s()
            elif time.perf_counter() > max(came, ended) + QUIET_S:
                waiting.read()
                if waiting.score.left() == 0:
                    return begun, ended, came, after
        waiting.read()
        raise AssertionError(f"{waiting.score.left()} events came in no score")

    def cpu_s(self) -> dict[str, float]:
        """Seconds of CPU so far, by role; `here`: who makes the events and reads the scores."""
        (server,) = self.pids["postgres"]
        found = {role: sum(map(_cpu_s, pids)) for role, pids in self.pids.items()}
        found["postgres"] += sum(_cpu_s(one.pid) for one in psutil.Process(server).children())
        return found


def main(
    rate: Annotated[
        list[int] | None, typer.Option(help="events/s; default: 10000", callback=whole_ticks)
    ] = None,
    seconds: Annotated[int, typer.Option(min=8, help="of each rate")] = 15,
    customers: Annotated[int, typer.Option(min=10)] = 50_000,
    workers: Annotated[int, typer.Option(min=1)] = 1,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
    hops: Annotated[bool, typer.Option(help="also row and fold; it costs the others")] = False,
) -> None:
    """Measure the latency of scores while events flow, at one rate after the other."""
    paces = rate or [10_000]
    for pace in paces:
        some_after(pace, seconds, WARM_UP_S)
    compile_ahead()
    with (
        full_servers() as found,
        tempfile.TemporaryDirectory() as name,
        query_room(found, PARTITIONS) as (query, service),
    ):
        folder = Path(name)
        service.listener.source.close()  # the process has its own
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
            running = [start(service, role, folder / f"{role}.log") for role in ("listen", "relay")]
            wait_placed(query, service)
            loaded = Preloaded(sum(paces) * seconds, {}, {}, 0.0)
            today = datetime.now(UTC).astimezone(service.runtime.settings.zone).date()
            events = records_of(loaded.events, customers, loaded, today, days=1)
            pids = _pids_by_role(found, service.database, running, started)
            first = first_records_of(customers, today, FIRST_MINOR)
            flow = Flow(space, query, service, pids, first, events)
            stamp = {"customers": customers, "rates": rates, "risk": risk}
            held: list[int] = []

            def tell(measured: dict[str, Any]) -> None:
                typer.echo(json.dumps(stamp | measured))
                if measured["holds"]:
                    held.append(measured["events_per_s"])

            asyncio.run(flow.run(paces, seconds, tell, hops=hops))
            assert [key for _, key, _ in events if key is not None] == []  # its sums are known now
            sums = {f"C{n:09d}": 2 * FIRST_MINOR for n in range(customers)}
            for number, minor in loaded.sums.items():
                sums[number] += minor
            assert flow.waiting.sums == {f"P-{n}": minor for n, minor in sums.items()}
            _assert_earned(service.database, flow.waiting.earned, rates=rates)
            total = loaded.events + 2 * customers
            assert_folded(service.database, sum(sums.values()), transactions=total)
            most = max(held, default=0)
            typer.echo(json.dumps({"greatest_rate_with_p99_within_500_ms": most}))
        finally:
            for one in running:
                one.kill()
            space.close()


def _assert_earned(database: Database, told: dict[str, tuple[int, int]], *, rates: bool) -> None:
    """What the last scores say that parties have contributed is what the tables have, and theirs
    together what the bank has."""
    with database.read() as session:
        rows = session.execute(
            text("select party_id, posted_minor, accrued_minor from party_figures")
        )
        kept = {row[0]: (int(row[1]), int(row[2])) for row in rows}
        bank = session.execute(
            text(
                "select coalesce(sum(posted_minor), 0), coalesce(sum(accrued_minor), 0)"
                " from contribution_totals where dimension = 'bank'"
            )
        ).one()
    wrong = [one for one in kept.keys() | told.keys() if kept.get(one) != told.get(one)]
    assert not wrong, [(one, kept.get(one), told.get(one)) for one in sorted(wrong)[:3]]
    assert tuple(map(int, bank)) == tuple(sum(one[n] for one in told.values()) for n in (0, 1))
    assert any(any(one) for one in told.values()) == rates, "it is not what was to be measured"


def _pids_by_role(
    found: Servers, database: Database, running: list[Forked], workers: list[Worker]
) -> dict[str, list[int]]:
    """The processes of each role; of PostgreSQL the first, whose clock has those that ended."""
    port = int(found.kafka.rpartition(":")[2])
    listening = [c.pid for c in psutil.net_connections("tcp")
                 if c.status == psutil.CONN_LISTEN and c.laddr.port == port]  # fmt: skip
    listen, relay = running
    server = backend_of(database).parent()
    assert server is not None
    return {
        "worker": [one.process.pid for one in workers],
        "listen": [listen.pid],
        "relay": [relay.pid],
        "broker": [pid for pid in listening if pid],
        "here": [os.getpid()],
        "postgres": [server.pid],
    }


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


if __name__ == "__main__":
    typer.run(main)
