"""What a worker takes from `bank.reference`: nothing that the query side sets aside as a letter."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from structlog.testing import capture_logs

from services.scoring import model, reference_reader
from services.scoring.engine import Engine
from services.scoring.reference_reader import TOPICS, ReferenceReader
from services.scoring.worker_settings import WorkerSettings
from shared.clock import FixedClock
from shared.events.bank import RateSet
from shared.events.envelope import Event, encode, wrap
from shared.testing.servers import Servers
from tests.integration.test_worker_contribution import sums
from tests.transactions import open_transaction, publish_in_transactions
from tests.unit.test_contribution_nearer_rates import card
from tests.unit.test_contribution_rules import RATES
from tests.unit.test_contribution_rules import rate as rate_of
from tests.unit.test_replay_late_reference import day
from tests.workers import FIRST_DAY, SOURCE, WorkerSpace, closed, described

ZONE = ZoneInfo("Asia/Shanghai")
NOW = datetime(2025, 9, 1, 4, tzinfo=UTC)


@pytest.fixture
def space(servers: Servers, tmp_path: Path) -> Iterator[WorkerSpace]:
    room = WorkerSpace(servers, tmp_path, partitions=1)
    yield room
    room.close()


def rate(value: int, time: datetime = NOW) -> Event[RateSet]:
    fact = RateSet(kind="margin", product_code="CA-P", from_on=FIRST_DAY, value=value)
    return wrap(fact, id=f"rate-{value}", source=SOURCE, time=time, businessdate=NOW.date())


def reader_of(space: WorkerSpace, clock: FixedClock) -> tuple[ReferenceReader, Engine]:
    settings = WorkerSettings(
        service="scoring", kafka=space.servers.kafka, topic_prefix=space.prefix,
        database=space.servers.database,
    )  # fmt: skip
    engine = Engine(model.load(), topic="bank.events", partitions=1, currency="CNY",
                    zone="Asia/Shanghai")  # fmt: skip
    return ReferenceReader(settings, engine, clock), engine


def test_what_a_listener_sets_aside_changes_no_rate_of_the_worker(space: WorkerSpace) -> None:
    clock = FixedClock(ZONE, NOW)
    reader, engine = reader_of(space, clock)
    good = rate(1)
    key = good.subject.encode()
    foreign = msgspec.structs.replace(rate(2), subject="nonsense")
    ahead = rate(3, NOW + timedelta(days=3))
    space.send([(0, key, encode(good)), (0, b"rubbish", encode(foreign)),
                (0, b"rubbish", encode(rate(4))),
                (0, key, encode(ahead)), (0, key, b"not json")], topic=TOPICS[0])  # fmt: skip
    space.describe(described())

    async def read() -> list[list[int]]:
        found = []
        try:
            for _ in range(2):
                await reader.catch_up()
                found.append([one.value for one in engine.rates])
                clock.bank += timedelta(days=2)
        finally:
            await reader.close()
        return found

    assert asyncio.run(read()) == [[1], [1, 3]]
    assert set(engine.sources) == {SOURCE}


def test_a_rate_of_an_aborted_transaction_is_none(space: WorkerSpace) -> None:
    reader, engine = reader_of(space, FixedClock(ZONE, NOW))
    groups = [[(one.subject.encode(), encode(one))] for one in (rate(1), rate(2))]
    topic = space.prefix + TOPICS[0]

    async def read() -> list[int]:
        await publish_in_transactions(space.servers.kafka, topic, 0, groups, aborted={1})
        try:
            await asyncio.wait_for(reader.catch_up(), 30)  # behind the last marker
        finally:
            await reader.close()
        return [one.value for one in engine.rates]

    assert asyncio.run(read()) == [1]


def test_a_transaction_that_nobody_ends_is_waited_for_aloud_until_the_broker_ends_it(
    space: WorkerSpace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reference_reader, "_SAY_S", 0.2)
    reader, engine = reader_of(space, FixedClock(ZONE, NOW))
    topic, one = space.prefix + TOPICS[0], rate(1)

    async def read() -> list[Any]:
        message = one.subject.encode(), encode(one)
        try:
            assert await reader.catch_up_with_acknowledged(lambda: False)
            async with open_transaction(space.servers.kafka, topic, message, lasts_s=3):
                await reader.catch_up()  # what is recovered lived by no such rate
                assert not await reader.catch_up_with_acknowledged(lambda: True)
                with capture_logs() as said:
                    async with asyncio.timeout(60):
                        assert await reader.catch_up_with_acknowledged(lambda: False)
        finally:
            await reader.close()
        return [line for line in said if line["event"] == "reference_stands"]

    said = asyncio.run(read())
    assert {(line["topic"], line["at"], line["end"]) for line in said} == {(TOPICS[0], 0, 1)}
    assert engine.rates == []


def test_between_its_reads_no_fetch_waits_at_the_broker(space: WorkerSpace) -> None:
    """Whoever asks for the ends would wait behind it: a close of a day, and all rows with it."""
    reader, engine = reader_of(space, FixedClock(ZONE, NOW))

    async def read() -> list[list[int]]:
        found = []
        try:
            for value in (1, 2):
                one = rate(value)
                await space._send([(0, one.subject.encode(), encode(one))],
                                  space.prefix + TOPICS[0])  # fmt: skip
                await reader.catch_up()
                found.append([one.value for one in engine.rates])
                assert reader._consumer is not None
                assert {place.topic for place in reader._consumer.paused()} == {
                    space.prefix + topic for topic in TOPICS
                }
        finally:
            await reader.close()
        return found

    assert asyncio.run(read()) == [[1], [1, 2]]


def test_a_rate_that_another_needs_is_missed_once(space: WorkerSpace) -> None:
    reader, _ = reader_of(space, FixedClock(ZONE, NOW))

    async def tell(kind: str, grade: str) -> list[str]:
        fact = RateSet(kind=kind, product_code="OD", grade_code=grade, from_on=FIRST_DAY,  # type: ignore[arg-type]
                       value=9)  # fmt: skip
        one = wrap(fact, id=kind + grade, source=SOURCE, time=NOW, businessdate=NOW.date())
        await space._send([(0, one.subject.encode(), encode(one))], space.prefix + TOPICS[0])
        with capture_logs() as said:
            await reader.catch_up()
        return [one["what"] for one in said if one["event"] == "rates_lacking"]

    async def read() -> list[list[str]]:
        try:
            return [await tell("pd", "A"), await tell("lgd", "B"), await tell("lgd", "A"),
                    await tell("pd", "B")]  # fmt: skip
        finally:
            await reader.close()

    no_loss = "no expected loss (el) is computed"
    assert asyncio.run(read()) == [
        [f"OD of grade A: {no_loss}: its pd came without lgd"],
        [f"OD of grade B: {no_loss}: its lgd came without pd"], [], [],
    ]  # fmt: skip


def test_a_rate_of_a_use_that_was_published_in_time_holds_from_its_day(space: WorkerSpace) -> None:
    """Behind the close of the day before it, and before any event of its own day."""
    space.describe(described(), *RATES)
    space.publish([card(1, 1), *(closed(day(n)) for n in range(1, 10))])
    worker = space.start()
    worker.wait_ready()
    space.wait_committed(60)
    space.describe(rate_of("cost_driver", 9, product=None, driver="card", on=day(10)))
    space.publish([card(2, 10)])
    space.wait_committed(60)
    space.publish([closed(day(10))])
    space.wait_committed(60)
    costs = {key: -amount for key, amount in sums(space).items() if key[2] == "abc_txn"}
    assert costs == {("1-CA", "CA", "abc_txn"): 7 + 9}
    assert "restatement of" not in worker.tail()


def test_a_rate_that_was_acknowledged_before_a_close_is_known_though_its_commit_is_late(
    space: WorkerSpace,
) -> None:
    """A system is told that it committed before its markers are written, each in its partition."""
    space.describe(described(), *RATES)
    space.publish([card(1, 1), *(closed(day(n)) for n in range(1, 10))])
    worker = space.start()
    worker.wait_ready()
    space.wait_committed(60)
    dearer = rate_of("cost_driver", 9, product=None, driver="card", on=day(10))
    message, topic = (dearer.subject.encode(), encode(dearer)), space.prefix + TOPICS[0]
    before = space.commits()

    async def scenario() -> None:
        async with open_transaction(space.servers.kafka, topic, message) as slow:
            await asyncio.to_thread(space.publish, [card(2, 10)])
            async with asyncio.timeout(60):
                while worker.metric("guanxi_worker_reference_waits_seconds") < 2:
                    await asyncio.sleep(0.1)
            assert space.commits() == before
            await slow.commit_transaction()
            await asyncio.to_thread(space.wait_committed, 60)

    asyncio.run(scenario())
    space.publish([closed(day(10))])
    space.wait_committed(60)
    costs = {key: -amount for key, amount in sums(space).items() if key[2] == "abc_txn"}
    assert costs == {("1-CA", "CA", "abc_txn"): 7 + 9}
    assert "restatement of" not in worker.log.read_text()
    assert worker.metric("guanxi_worker_reference_waits_seconds") == 0
