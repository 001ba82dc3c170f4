"""Rounds: all shares that are waiting are stepped and written, then acknowledged.

A round takes the bank's events first, then the inputs, by the watermark that the events have left.
What was published of `bank.reference` before a close, or before the first event of a day, is known
before that is taken.
A closed month is walked a step at a time, after a round or when none waits.
A rate for days behind corrects the ledgers before a batch is read, in steps of this same order.
Order of writes: rates just taken and who was refused by what is known now, awaited; signals and
leaves, awaited; state rows, awaited; what closes have done, awaited; then what was refused (a
verdict met again must be the one that was told), awaited; only then the acknowledgement. A write
that fails ends the process: the state in memory is ahead of what is written, and only recovery can
put that right.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import chain
from typing import Any

import msgspec
import structlog

from services.scoring import columns, inputs, leaves, month_walk, signals, state
from services.scoring.counting import count, count_walked
from services.scoring.engine import Batch, Engine, Outcome
from services.scoring.metrics import INPUTS_APART, MONTH_LEFT, POSITION, STATE_ROWS
from services.scoring.partition import Partition
from services.scoring.records import Records, joined
from services.scoring.seen import SeenBefore
from services.scoring.told import Totals, refuse_less
from shared.clock import Clock
from shared.failpoints import reach

log = structlog.get_logger()
TOPIC = "bank.events"
TOTALS_EVERY_S = 1.0
_json = msgspec.json.Encoder()


class Driver:
    """Owns the engine while the worker runs. One round at a time."""

    def __init__(
        self,
        engine: Engine,
        seen: SeenBefore,
        clock: Clock,
        *,
        generation: Callable[[], int],
        writers: dict[str, Any],
        catch_up: Callable[[Callable[[], bool]], Awaitable[bool]],
        fatal: Callable[[str], Any],
        delivered: Callable[[Any, int, int, int], None],
        has_events: Callable[[int], bool],
        events_topic: str,
        inputs_topic: str,
        waiting_max: int,
        told: dict[int, Totals] | None = None,
    ) -> None:
        self.engine = engine
        self._seen = seen
        self._clock = clock
        self._generation = generation
        self._writers = writers
        self._catch_up = catch_up
        self._fatal = fatal
        self._delivered = delivered  # the hole counter: what reaches a round is what counts
        self._has_events = has_events  # is the partition's `bank.events` here too
        self._events_topic, self._inputs_topic = events_topic, inputs_topic  # with their prefix
        # Records after which no more is taken; who waited then comes with one share more each.
        self._waiting_max = waiting_max
        self._pending: list[Any] = []
        self._pending_records = 0
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._leaving = False  # since partitions were revoked, until all stand at their commits
        self._standing = False  # do all stand there: then their state is whole
        self._published: dict[int, tuple[int, int]] = {}  # partition -> its last total's place
        self._totals_at = 0.0
        self._begun_in = -1  # the generation of the round in hand
        self._told = {} if told is None else told  # the last total before a partition's recovery

    async def take(self, event: Any) -> None:
        """Takes a share; waits while too much is waiting already.

        While leaving it takes none: an earlier share of that partition was dropped, and a row that
        stepped past it would call it a redelivery when it comes again.
        """
        await self._room.wait()
        if self._leaving:
            return
        self._pending.append(event)
        self._pending_records += len(event.value)
        if self._pending_records >= self._waiting_max:
            self._room.clear()
        self._wake.set()

    async def before_leaving(self, revoked: Iterable[Any]) -> None:
        """Drops what is waiting (it will be delivered again) and lets the round in hand finish."""
        self._leaving = True
        self._standing = False
        self._pending.clear()
        self._pending_records = 0
        self._room.set()
        await self._idle.wait()
        self._published.clear()

    def resume(self, starts: Mapping[Any, int]) -> None:
        """Every partition stands at its commit again: what is delivered now is all there is.

        What is behind a commit was stepped: a worker that died before it told that total left it
        to the next one, and events that would move the position may be long in coming.
        One that told a total and has no row at all is looked at too, and one of which markers alone
        were taken has no row: its place is to be told all the same.
        """
        for place, start in starts.items():
            number = place.partition
            if place.topic == self._events_topic and (
                number in self.engine.partitions or number in self._told or start > 0
            ):
                partition = self.engine.partition(number)
                partition.position = max(partition.position, start - 1)
                self._refuse_less(partition)
        self._leaving = False
        self._standing = True

    def _refuse_less(self, partition: Partition) -> None:
        """A total of what comes again, which a worker of this one's name told while this one
        recovered, says nothing against rows that stand before it."""
        told = self._told.get(partition.number)
        reached = max(partition.position, partition.recovered_to)
        if told is not None and told.position > reached and len(partition.numbers):
            return
        try:
            refuse_less(told, partition.totals()[0])
        except state.UnreadableState as error:
            self._fatal(str(error))

    async def run(self) -> None:
        """Rounds until cancelled. Nothing that fails here is survivable."""
        try:
            while True:
                if not self._pending:
                    if await self._post_months():
                        continue
                    self._wake.clear()
                    try:
                        await asyncio.wait_for(self._wake.wait(), TOTALS_EVERY_S)
                    except TimeoutError:
                        await self._publish_totals()
                        continue
                taken, self._pending = self._pending, []
                self._pending_records = 0
                self._room.set()
                self._begin()
                try:
                    await self._round(taken)
                finally:
                    self._idle.set()
                await self._post_months()
                await self._publish_totals()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("round_failed")
            self._fatal(f"round failed: {error!r}")

    def _begin(self) -> None:
        self._idle.clear()
        self._begun_in = self._generation()

    async def _round(self, taken: list[Any]) -> None:
        generation = self._generation()
        events: defaultdict[int, list[Any]] = defaultdict(list)
        replays: defaultdict[int, list[Any]] = defaultdict(list)
        for event in taken:
            message = event.message
            if message.generation_id == generation:
                share = event.value
                self._delivered(message.tp, share.begin, message.offset, share.accounted)
                of_inputs = message.topic == self._inputs_topic
                (replays if of_inputs else events)[message.partition].append(event)
        if events:
            await self._round_of_events(events, generation)
        if replays:
            await self._round_of_inputs(replays, generation)

    def _is_leaving(self) -> bool:
        return self._leaving

    def _latest_day(self) -> int:
        return columns.latest_day(self._clock.bank_now().astimezone(self._clock.zone))

    async def _round_of_events(self, events: dict[int, list[Any]], generation: int) -> None:
        latest_day = self._latest_day()
        of_each = {partition: _joined(shares) for partition, shares in events.items()}
        # Of the others came only markers of transactions, and what these have aborted.
        of_each = {partition: records for partition, records in of_each.items() if records}
        # The first events settle whether there is a contribution.
        is_first = not all(self.engine.partition(number).latest_on for number in of_each)
        if is_first and not await self._catch_up(self._is_leaving):
            return
        if not await self._restate(list(of_each)) or self._generation() != generation:
            return
        batches = [
            self.engine.read(partition, records, latest_day)
            for partition, records in of_each.items()
        ]
        if any(b.columns.waiting or b.columns.closes or b.begins_day() for b in batches):
            # A close takes effect by the sources, rates and rules that were published before it,
            # the first event of a day by the rates: what a use costs holds from days to come only.
            if not await self._catch_up(self._is_leaving):
                return
            if not await self._restate(list(of_each)) or self._generation() != generation:
                return
            batches = [self.engine.reread(batch) for batch in batches]
        for batch in batches:
            self._seen.note(batch.partition.number, batch.columns)
        repeats = [
            await self._repeats(batch, of_each[batch.partition.number].offset)
            for batch in batches
        ]
        if self._generation() != generation:
            return  # a rebalance while the store was asked: all of it comes again
        outcomes = [
            self.engine.apply(batch, known) for batch, known in zip(batches, repeats, strict=True)
        ]
        for partition, shares in events.items():
            self.engine.partition(partition).position = shares[-1].message.offset
        await self._write([batch.partition for batch in batches], outcomes)
        for partition, shares in events.items():
            for event in shares:
                event.ack()
            POSITION.labels(str(partition)).set(shares[-1].message.offset)
        count(TOPIC, batches, outcomes)

    async def _round_of_inputs(self, replays: dict[int, list[Any]], generation: int) -> None:
        """Steps inputs. They move no position of `bank.events`: each row has their sequence."""
        if not await self._catch_up(self._is_leaving):
            return  # else an event that waited for a rate comes again when it is there
        numbers = [number for number in replays if self._has_events(number)]
        if not await self._restate(numbers) or self._generation() != generation:
            return
        batches = []
        for partition, shares in replays.items():
            if self._has_events(partition):
                batches.append(
                    self.engine.read_inputs(partition, _joined(shares), self._latest_day())
                )
            else:  # a worker of the release before shares the group: its leaving moves them
                INPUTS_APART.inc()
                log.error("inputs_without_their_events", partition=partition)
        repeats = [await self._repeats(batch, batch.through()) for batch in batches]
        if self._generation() != generation:
            return
        outcomes = [
            self.engine.apply(batch, known) for batch, known in zip(batches, repeats, strict=True)
        ]
        await self._write([batch.partition for batch in batches], outcomes)
        for batch, outcome in zip(batches, outcomes, strict=True):
            self._seen.note(batch.partition.number, batch.columns)
            batch.partition.inputs += outcome.counts["applied"]
            for event in replays[batch.partition.number]:
                event.ack()
        count(inputs.TOPIC, batches, outcomes)

    async def _restate(self, numbers: list[int]) -> bool:
        """What was published for days behind is booked first. Events wait; each step is written
        before the next, so a kill leaves ledgers that have it and others that will.

        False: cut short by a rebalance. No event may be stepped then: its ledger may still stand
        on the rates of before. All of the round comes again.
        """
        for number in numbers:
            begun = time.monotonic()
            partition = self.engine.partition(number)
            for outcome in self.engine.restate(number):
                await self._write([partition], [outcome])
                reach("worker.restating")
                count_walked(number, outcome, time.monotonic() - begun)
                if self._leaving and outcome.walked and outcome.walked.customers_left:
                    return False
        return True

    async def _post_months(self) -> bool:
        """One step of the first partition that has one. A rebalance waits until it is written."""
        if not self._standing:
            return False
        self._begin()
        try:
            for number, partition in self.engine.partitions.items():
                outcome = self.engine.post_months(number)
                MONTH_LEFT.labels(str(number)).set(month_walk.customers_left(partition))
                if outcome is not None:
                    await self._write([partition], [outcome])
                    STATE_ROWS.inc(outcome.touched)
                    return True
            return False
        finally:
            self._idle.set()

    async def _repeats(self, batch: Batch, through: int) -> set[int]:
        number = batch.partition.number
        if not batch.late:
            return set()
        return await self._seen.ask(number, batch.asked(), through, batch.refused_before())

    async def _write(self, partitions: list[Partition], outcomes: list[Outcome]) -> None:
        reports: list[Any] = []
        for partition, outcome in zip(partitions, outcomes, strict=True):
            reports += await self._writers["scoring.state"].write(partition.number, outcome.first)
        await self._written(reports)
        reports = []
        for partition, outcome in zip(partitions, outcomes, strict=True):
            number = partition.number
            reports += await self._writers["scoring.leaves"].write(
                number, [(x.customer_number.encode(), leaves.encode(x)) for x in outcome.leaves]
            )
            reports += await self._writers["scoring.signals"].write(
                number, [(s.customer_number.encode(), signals.encode(s)) for s in outcome.signals]
            )
            reports += await self._tell(outcome.beyond)
        await self._written(reports)
        reach("worker.after_signals")
        # Beside each other: a partition's next batch waits until the one before it is written.
        rows = await asyncio.gather(*(
            self._writers["scoring.state"].write_packed(partition.number, outcome.records)
            for partition, outcome in zip(partitions, outcomes, strict=True)
        ))  # fmt: skip
        await self._written(chain.from_iterable(rows))
        reach("worker.after_state")
        reports = []
        for partition, outcome in zip(partitions, outcomes, strict=True):
            if outcome.closes_changed:
                reports += await self._writers["scoring.state"].write(
                    partition.number, [state.partition_record(partition.closes)]
                )
        await self._written(reports)
        reach("worker.after_closes")
        reports = []
        for outcome in outcomes:
            reports += await self._tell(outcome.refused)
        await self._written(reports)
        reach("worker.before_ack")

    async def _written(self, reports: Iterable[Any]) -> None:
        """A stage is. What was begun before the group was joined anew goes no further."""
        await _delivered(reports)
        if self._generation() != self._begun_in:
            self._fatal("a round outlived its generation: its partitions may be another's")

    async def _tell(self, refusals: list[columns.Refused]) -> list[Any]:
        reports: list[Any] = await self._writers["scoring.dead"].write(
            0, [(b"%d" % refused.partition, _json.encode(refused)) for refused in refusals]
        )
        return reports

    async def _publish_totals(self) -> None:
        """Totals of partitions that moved; none before a recovered row's own position is passed."""
        if not self._standing or time.monotonic() - self._totals_at < TOTALS_EVERY_S:
            return
        self._totals_at = time.monotonic()
        reports: list[Any] = []
        for number, partition in self.engine.partitions.items():
            position = partition.position
            place = (position, partition.inputs)
            if position < partition.recovered_to or place <= self._published.get(number, (-1, 0)):
                continue
            events, sums = partition.totals()
            totals = Totals(number, position, events, sums, partition.closes.watermark)
            reports += await self._writers["scoring.totals"].write(
                number, [(b"%d" % number, _json.encode(totals))]
            )
            self._published[number] = place
        await _delivered(reports)


def _joined(shares: list[Any]) -> Records:
    return joined(event.value for event in shares)


async def _delivered(reports: Iterable[Any]) -> None:
    """Every delivery report, or the first failure."""
    for report in reports:
        await report
