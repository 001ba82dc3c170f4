"""The driver without Kafka: what it may take, and when."""

import asyncio
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

from services.scoring import model
from services.scoring.driver import Driver
from services.scoring.engine import Engine
from services.scoring.records import laid_out
from services.scoring.replay import Line
from services.scoring.seen import KeepsAll
from shared.clock import WallClock
from shared.events.envelope import encode
from tests.workers import FIRST_DAY, transaction

GENERATION = 7


class Silent:
    """Stands for a topic."""

    async def write(self, partition: int, records: Any) -> list[Any]:
        return []

    write_packed = write


def driver_of(generation: Any) -> Driver:
    engine = Engine(model.load(), topic="bank.events", partitions=1, currency="CNY",
                    zone="Asia/Shanghai")  # fmt: skip

    async def catch_up() -> None:
        """There is no reference data."""

    def fatal(reason: str) -> None:
        raise AssertionError(reason)

    topics = ("scoring.state", "scoring.leaves", "scoring.signals", "scoring.totals",
              "scoring.dead")  # fmt: skip
    return Driver(
        engine, KeepsAll(), WallClock(ZoneInfo("Asia/Shanghai")), generation=generation,
        writers={t: Silent() for t in topics}, catch_up=catch_up, fatal=fatal,
        delivered=lambda *_: None, has_events=lambda _: True, events_topic="bank.events",
        inputs_topic="scoring.inputs", waiting_max=1,
    )  # fmt: skip


def share(offset: int, generation: int = GENERATION) -> Any:
    event = transaction(offset, "C1", "A1", 1, FIRST_DAY)
    message = SimpleNamespace(
        generation_id=generation, tp=("bank.events", 0), offset=offset, topic="bank.events",
        partition=0,
    )  # fmt: skip
    value = laid_out([Line(offset, b"C1", encode(event))])
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
