"""The scorer's driver: what waits when partitions are revoked is never stepped past."""

import asyncio
from typing import Any

from services.scoring.driver import Driver
from services.scoring.transport import Share


class Event:
    def __init__(self, offset: int) -> None:
        self.offset = offset
        self.value = Share([offset])


class Stepped(Driver):
    """A driver whose rounds only record what they were given."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(
            nothing, nothing, nothing, generation=lambda: 1, writers={}, catch_up=nothing,
            fatal=nothing, delivered=nothing, has_events=nothing, inputs_topic="", waiting_max=2,
        )  # fmt: skip
        self.offsets: list[int] = []

    async def _round(self, taken: list[Any]) -> None:
        self.offsets += [event.offset for event in taken]

    async def _publish_totals(self) -> None:
        pass


async def rounds_of(driver: Stepped) -> None:
    task = asyncio.create_task(driver.run())
    await asyncio.sleep(0.01)
    task.cancel()


def test_a_share_that_follows_a_dropped_one_is_not_stepped() -> None:
    async def story() -> list[int]:
        driver = Stepped()
        await driver.take(Event(0))
        await driver.before_leaving([])  # 0 was waiting: it comes again
        await driver.take(Event(1))  # still in the agent's queue
        await rounds_of(driver)
        assert driver.offsets == []
        driver.resume()
        await driver.take(Event(0))
        await driver.take(Event(1))
        await rounds_of(driver)
        return driver.offsets

    assert asyncio.run(story()) == [0, 1]


def test_a_share_that_waits_for_room_while_leaving_is_dropped_too() -> None:
    async def story() -> list[int]:
        driver = Stepped()
        await driver.take(Event(0))
        await driver.take(Event(1))  # now there is no room
        third = asyncio.create_task(driver.take(Event(2)))
        await asyncio.sleep(0)
        await driver.before_leaving([])
        await third
        await rounds_of(driver)
        return driver.offsets

    assert asyncio.run(story()) == []
