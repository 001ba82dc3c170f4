"""The driver without Kafka: what it may take, and when."""

import asyncio
from datetime import date, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from services.scoring import model
from services.scoring.driver import Driver
from services.scoring.engine import Engine
from services.scoring.records import laid_out
from services.scoring.reference import tell
from services.scoring.replay import Line
from services.scoring.seen import KeepsAll
from shared.clock import WallClock
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.unit.test_contribution_rules import rate
from tests.workers import FIRST_DAY, transaction

GENERATION = 7


class Silent:
    """Stands for a topic."""

    async def write(self, partition: int, records: Any) -> list[Any]:
        return []

    write_packed = write


class Together(Silent):
    """A topic that takes the rows of one partition only while it takes those of another."""

    def __init__(self, partitions: int) -> None:
        self._all_there = asyncio.Barrier(partitions)

    async def write_packed(self, partition: int, records: Any) -> list[Any]:
        await asyncio.wait_for(self._all_there.wait(), 5.0)
        return []


def driver_of(generation: Any, partitions: int = 1, reference: Any = None) -> Driver:
    engine = Engine(model.load(), topic="bank.events", partitions=partitions, currency="CNY",
                    zone="Asia/Shanghai")  # fmt: skip

    async def catch_up() -> None:
        for event in reference() if reference else ():
            tell(engine, event)

    def fatal(reason: str) -> None:
        raise AssertionError(reason)

    topics = ("scoring.state", "scoring.leaves", "scoring.signals", "scoring.totals",
              "scoring.dead")  # fmt: skip
    return Driver(
        engine, KeepsAll(), WallClock(ZoneInfo("Asia/Shanghai")), generation=generation,
        writers={t: Silent() for t in topics} | {"scoring.state": Together(partitions)},
        catch_up=catch_up, fatal=fatal, delivered=lambda *_: None, has_events=lambda _: True,
        events_topic="bank.events", inputs_topic="scoring.inputs", waiting_max=partitions,
    )  # fmt: skip


def share(offset: int, customer: str = "C1", partition: int = 0, on: date = FIRST_DAY) -> Any:
    event = transaction(offset, customer, "A1", 1, on)
    message = SimpleNamespace(
        generation_id=GENERATION, tp=("bank.events", partition), offset=offset,
        topic="bank.events", partition=partition,
    )  # fmt: skip
    value = laid_out([Line(offset, customer.encode(), encode(event))])
    return SimpleNamespace(message=message, value=value, ack=lambda: None)


def test_a_share_that_waited_or_came_while_its_partition_was_left_is_not_taken() -> None:
    """Those before it were dropped and come again: a row that has stepped over them would skip
    them for ever."""

    async def scenario() -> tuple[int, int]:
        driver = driver_of(lambda: GENERATION)
        await driver.take(share(0))
        waiting = asyncio.create_task(driver.take(share(1)))  # no room: it waits
        await asyncio.sleep(0)
        await driver.before_leaving([])
        rounds = asyncio.create_task(driver.run())
        await waiting
        await driver.take(share(2))  # was in the agent's queue
        await asyncio.sleep(0.05)
        before = int(driver.engine.partition(0).customers["count"][0])
        driver.resume({})  # a static member may come back to the same generation
        for offset in (0, 1, 2):
            await driver.take(share(offset))
            await asyncio.sleep(0.05)
        rounds.cancel()
        return before, int(driver.engine.partition(0).customers["count"][0])

    assert asyncio.run(scenario()) == (0, 3)


def test_the_rows_of_one_partition_do_not_wait_for_those_of_another() -> None:
    """A producer takes a partition's next batch only when the one before it is written."""
    of_each = {partition_of(number, 2): number for number in ("C1", "C2", "C3", "C4")}
    acknowledged: set[int] = set()

    async def scenario() -> None:
        driver = driver_of(lambda: GENERATION, partitions=2)
        for partition, customer in of_each.items():
            event = share(0, customer, partition)
            event.ack = partial(acknowledged.add, partition)
            await driver.take(event)
        rounds = asyncio.create_task(driver.run())
        async with asyncio.timeout(5):
            while acknowledged != {0, 1}:
                await asyncio.sleep(0.01)
        rounds.cancel()

    asyncio.run(scenario())


def test_what_was_published_before_the_first_event_of_a_day_is_known_before_it() -> None:
    """A rate of a use holds for days to come only: met behind an event of its day it is refused."""
    card = [rate("cost_driver", value, product=None, driver="card", on=FIRST_DAY + timedelta(days))
            for value, days in ((7, 0), (9, 9))]  # fmt: skip
    published = [rate("transfer_price", 0, product="CA-P"), card[0]]
    reads = []

    def read() -> list[Any]:
        found, published[:] = list(published), []
        reads.append(len(found))
        return found

    async def scenario() -> set[int]:
        driver = driver_of(lambda: GENERATION, reference=read)
        for offset, days in enumerate((0, 0, 9, 9, 9, 8)):
            if days == 9:
                published.extend(card[1:])
                card[1:] = []
            driver._begin()
            await driver._round([share(offset, on=FIRST_DAY + timedelta(days))])
        return {one.value for one in driver.engine.partition(0).books.rates.taken.values()}

    assert asyncio.run(scenario()) == {0, 7, 9}
    assert reads == [2, 0, 1], "once more for each day that begins"
