"""The driver without Kafka: what it may take, and when."""

import asyncio
from contextlib import nullcontext
from datetime import date, timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any, NoReturn
from zoneinfo import ZoneInfo

import msgspec
import pytest
from faust.types import TP

from services.scoring import model
from services.scoring.driver import Driver
from services.scoring.engine import Engine
from services.scoring.records import laid_out
from services.scoring.reference import tell
from services.scoring.replay import Line
from services.scoring.seen import KeepsAll
from services.scoring.share import Share
from services.scoring.told import Totals
from shared.clock import WallClock
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.unit.test_contribution_rules import rate
from tests.workers import FIRST_DAY, described, transaction

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


class Died(Exception):
    pass


def driver_of(
    generation: Any, partitions: int = 1, told: dict[int, Totals] | None = None,
    reference: Any = None, open_transaction: Any = lambda: False, **topics: Any,
) -> Driver:  # fmt: skip
    engine = Engine(model.load(), topic="bank.events", partitions=partitions, currency="CNY",
                    zone="Asia/Shanghai")  # fmt: skip

    async def catch_up(given_up: Any) -> bool:
        while open_transaction():
            if given_up():
                return False
            await asyncio.sleep(0.01)
        for event in reference() if reference else ():
            tell(engine, event)
        return True

    def fatal(reason: str) -> NoReturn:
        raise Died(reason)

    silent = ("scoring.leaves", "scoring.signals", "scoring.totals", "scoring.dead")
    writers = {topic: Silent() for topic in silent} | {"scoring.state": Together(partitions)}
    return Driver(
        engine, KeepsAll(), WallClock(ZoneInfo("Asia/Shanghai")), generation=generation,
        writers=writers | {"scoring." + name: writer for name, writer in topics.items()},
        catch_up=catch_up, fatal=fatal, delivered=lambda *_: None, has_events=lambda _: True,
        events_topic="bank.events", inputs_topic="scoring.inputs", waiting_max=partitions,
        told=told,
    )  # fmt: skip


def share(offset: int, customer: str = "C1", partition: int = 0, on: date = FIRST_DAY) -> Any:
    event = transaction(offset, customer, "A1", 1, on)
    message = SimpleNamespace(
        generation_id=GENERATION, tp=("bank.events", partition), offset=offset,
        topic="bank.events", partition=partition,
    )  # fmt: skip
    line = Line(offset, customer.encode(), encode(event))
    value = Share(laid_out([line]), offset, offset + 1)
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


def test_who_leaves_does_not_wait_for_a_transaction_that_is_open() -> None:
    """It may last longer than the group's session. The round comes again."""
    acknowledged: list[int] = []
    is_open = True

    async def scenario() -> None:
        nonlocal is_open
        driver = driver_of(lambda: GENERATION, open_transaction=lambda: is_open)
        event = share(0)
        event.ack = partial(acknowledged.append, 0)
        await driver.take(event)
        rounds = asyncio.create_task(driver.run())
        await asyncio.sleep(0.05)
        await asyncio.wait_for(driver.before_leaving([]), 5)
        is_open = False
        driver.resume({})
        await asyncio.sleep(0.05)
        assert acknowledged == []
        await driver.take(event)
        await asyncio.sleep(0.05)
        assert acknowledged == [0]
        rounds.cancel()

    asyncio.run(scenario())


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


PLACE = TP("bank.events", 0)
TOLD = Totals(partition=0, position=100, count=16, sum_minor={}, watermark=0)


@pytest.mark.parametrize("commit", [101, 90, 5], ids=["stopped", "killed", "no commit was left"])
def test_a_partition_of_no_row_at_all_behind_its_total_is_refused(commit: int) -> None:
    """Its topic was lost: nothing in it says so, and it would count on from 0."""
    with pytest.raises(Died, match=r"count 0 transactions, and 16 .* anew"):
        driver_of(lambda: GENERATION, told={0: TOLD}).resume({PLACE: commit})


@pytest.mark.parametrize(("commit", "died"), [(60, False), (101, True)])
def test_a_total_that_was_told_while_rows_were_recovered_is_not_held_against_them(
    commit: int, died: bool
) -> None:
    """By a worker of the same name. What it counts comes again, or the rows should have it."""
    driver = driver_of(lambda: GENERATION, told={0: TOLD})
    partition = driver.engine.partition(0)
    partition.account(partition.row("C1"), ("C1", "A", "CA", "CNY", ""))
    partition.accounts["count"][0], partition.recovered_to = TOLD.count - 1, TOLD.position - 1
    with pytest.raises(Died, match="count 15") if died else nullcontext():
        driver.resume({PLACE: commit})


def test_a_partition_that_never_told_a_total_begins_from_nothing() -> None:
    """As one that is built anew: its totals were made anew with it."""
    driver = driver_of(lambda: GENERATION)
    driver.resume({PLACE: 5})
    assert driver.engine.partition(0).totals()[0] == 0


@pytest.mark.parametrize(("commit", "told"), [(3, [2]), (0, [])])
def test_a_partition_of_markers_only_tells_its_place_after_a_worker_that_died(
    commit: int, told: list[int]
) -> None:
    """It is behind its commit, and no event moves it: else it seemed to stand for ever."""
    positions: list[int] = []

    class Totalling(Silent):
        async def write(self, partition: int, records: Any) -> list[Any]:
            positions.extend(msgspec.json.decode(value)["position"] for _, value in records)
            return []

    async def scenario() -> None:
        driver = driver_of(lambda: GENERATION, totals=Totalling())
        driver.resume({PLACE: commit})
        await driver._publish_totals()

    asyncio.run(scenario())
    assert positions == told


class Rejoins(Silent):
    """The group is joined anew while a write to this topic is under way."""

    generation = GENERATION

    async def write(self, partition: int, records: Any) -> list[Any]:
        self.generation += 1
        return []


def test_a_round_that_outlives_its_generation_writes_no_further_stage() -> None:
    """A member of the new generation passes the fence, and the partition may be another's."""
    written: list[int] = []

    class Later(Silent):
        async def write(self, partition: int, records: Any) -> list[Any]:
            written.append(partition)
            return []

    async def scenario(first: Any) -> None:
        driver = driver_of(
            lambda: getattr(first, "generation", GENERATION), state=first, signals=Later()
        )
        event = share(0)
        acknowledged = asyncio.Event()
        event.ack = acknowledged.set
        await driver.take(event)
        rounds = asyncio.create_task(driver.run())
        done = asyncio.create_task(acknowledged.wait())
        await asyncio.wait([rounds, done], timeout=5, return_when=asyncio.FIRST_COMPLETED)
        if rounds.done():
            rounds.result()
        rounds.cancel()
        assert acknowledged.is_set()

    with pytest.raises(Died, match="outlived its generation"):
        asyncio.run(scenario(Rejoins()))
    assert written == []
    asyncio.run(scenario(Silent()))
    assert written == [0], "a round in its generation does"


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


def test_a_batch_is_decoded_again_only_where_more_is_known_than_when_it_was_read() -> None:
    news: list[Any] = [described()]
    decoded = []

    def read() -> list[Any]:
        found, news[:] = list(news), []
        return found

    async def scenario() -> None:
        driver = driver_of(lambda: GENERATION, reference=read)
        of_engine = driver.engine.read

        def counted(*asked: Any) -> Any:
            decoded.append(len(asked[1]))
            return of_engine(*asked)

        driver.engine.read = counted  # type: ignore[method-assign]
        for offset, days in enumerate((0, 0, 1, 2)):  # each day begins with an event
            if days == 2:
                news.append(rate("transfer_price", 0, product="CA-P"))
            driver._begin()
            await driver._round([share(offset, on=FIRST_DAY + timedelta(days))])

    asyncio.run(scenario())
    assert decoded == [1, 1, 1, 1, 1], "the last one twice"
