"""One batch of one partition: columns in, changed rows and signals out. No Kafka, no clock.

The worker and `replay` run this very code, so their figures are equal bit for bit.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.scoring import inputs, month_walk, restatement, risk_signals, verdicts, watermark
from services.scoring.columns import (
    Asked,
    Close,
    Columns,
    Context,
    Refused,
    refuse,
)
from services.scoring.leaves import Leaf
from services.scoring.live_sets import LiveSet, LiveSets
from services.scoring.model import Model
from services.scoring.partition import Partition, Record
from services.scoring.rate import Rate
from services.scoring.reading import read
from services.scoring.records import Delivered, Packed
from services.scoring.risk_plan import NO_PLAN, Plan
from services.scoring.rows import SEEN_BEFORE
from services.scoring.signals import Signal, Writer
from services.scoring.state import UnreadableState, partition_record
from services.scoring.stepping import Run
from services.scoring.watermark import Source
from shared.events.envelope import decode

Ints = NDArray[np.int64]


@dataclass(slots=True)
class Batch:
    """A batch that was read but not yet applied."""

    partition: Partition
    records: Sequence[Delivered]
    latest_day: int
    columns: Columns
    watermarks: list[int]  # of each segment between closes
    late: list[int]  # places of events whose day is closed already
    of_inputs: bool = False
    heard: int = 0  # so much was known of `bank.reference` and of rules

    def asked(self) -> list[Asked]:
        """The identities that only the event store can know.

        An event is a repeat of what stands before it. An input is one of whatever else its row has
        met, before its origin or behind it, of what other inputs have settled, and of its origin,
        unless that was refused: in a state that was made anew it may have counted.
        """
        columns, partition = self.columns, self.partition
        if not self.of_inputs:
            return [
                Asked(
                    columns.source_of(i), columns.id_of(i), columns.offsets[i],
                    columns.offsets[i] - 1
                )
                for i in self.late
            ]
        reached, settled = partition.customers["offset"], frozenset(partition.closes.replayed)
        refused = partition.closes.refused()
        return [
            Asked(columns.source_of(i), columns.id_of(i), columns.offsets[i],
                  int(reached[columns.rows[i]]), settled, columns.offsets[i] not in refused)
            for i in self.late
        ]  # fmt: skip

    def through(self) -> int:
        """How far the event store must have come before it is asked."""
        asked = self.asked()
        return max((max(one.offset, one.until) for one in asked), default=-1)

    def begins_day(self) -> bool:
        """Has it the partition's first event of a day?"""
        known = self.partition.latest_on
        return self.columns.latest_on(known) > known

    def refused_before(self) -> frozenset[int]:
        """Offsets of events that were stored but never counted, by this batch or before it."""
        closes = self.partition.closes
        kept = closes.refused() - {*closes.replayed}
        return kept | {r.offset for r in self.columns.refused if not r.sequence}


@dataclass(slots=True)
class Outcome:
    """What a batch did. Everything in it is to be written before the batch is acknowledged."""

    records: Packed
    signals: list[Signal]
    beyond: list[Refused]  # their rows have moved: to be told before the rows are written
    refused: list[Refused]  # to be told when the verdicts are written
    counts: Counter[str]
    closes_changed: bool
    alarms: list[str] = field(default_factory=list)
    touched: int = 0
    first: list[Record] = field(default_factory=list)  # to be written before anything else
    leaves: list[Leaf] = field(default_factory=list)
    verdicts: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    walked: restatement.Walked | None = None


class Engine:
    """The scorer of some partitions. `sources` may be added to while it runs."""

    def __init__(self, model: Model, *, topic: str, partitions: int, currency: str, zone: str,
                 plan: Plan = NO_PLAN) -> None:  # fmt: skip
        self.sets = LiveSets(model, plan)
        self.currency = currency
        self.sources: dict[str, Source] = {}
        self.rates: list[Rate] = []  # in the order of `bank.reference`
        self.heard = 0  # events of `bank.reference` and `scoring.rules`
        self.partitions: dict[int, Partition] = {}
        self._context = Context(topic, partitions, currency, self.sources, ZoneInfo(zone), 0)
        self._writer = Writer(zone)
        self._crossings = risk_signals.Writer(zone)

    def partition(self, number: int) -> Partition:
        """The partition's state; an empty one for a partition that has none."""
        found = self.partitions.get(number)
        if found is None:
            found = self.partitions[number] = Partition(number, self.sets.first, self.currency)
        return found

    def recovered(self, partition: Partition) -> None:
        """When its last record is in: its timers, by the sets of rules that were live meanwhile.

        Raises UnreadableState where the state has lived by rules that are not known here.
        """
        seed = partition.closes.seed
        if seed and seed != self.sets.seed:
            raise UnreadableState(
                f"its first rules were {seed}, not {self.sets.seed}: GUANXI_RISK_MODEL names"
                " another model than at the start; propose it as a set, or rebuild the state"
            )
        for number, first_day in partition.closes.sets:
            try:
                live = self.sets.of(number)
            except KeyError:
                raise UnreadableState(f"set {number} of rules is not on scoring.rules") from None
            # The looks since a row was written are gone through by the rules of their day.
            partition.arm_anew(first_day - 1)
            _go_over(partition, live)
        partition.recovered()

    def describe(self, source: str, described: Source) -> None:
        """Takes a source's description; the newest replaces what was known."""
        self.sources[source] = described

    def set_rate(self, rate: Rate) -> None:
        """Takes note of a rate; every partition decides for itself whether it can still hold."""
        self.rates.append(rate)

    def read(self, number: int, records: Sequence[Delivered], latest_day: int) -> Batch:
        """Decodes, checks and looks up. Nothing is applied yet."""
        partition = self.partition(number)
        self._context.latest_day = latest_day
        partition.books.look_at(self.rates, partition.closes.watermark, partition.latest_on)
        columns = read(self._context, partition, records)
        marks = _watermarks(partition, columns, self.sources)
        late: list[int] = []
        days = np.asarray(columns.days)
        for segment, (begin, end) in enumerate(_segments(columns)):
            mark = marks[segment]
            late += (begin + np.flatnonzero(days[begin:end] <= mark)).tolist()
        return Batch(partition, records, latest_day, columns, marks, late, heard=self.heard)

    def read_inputs(self, number: int, records: Sequence[Delivered], latest_day: int) -> Batch:
        """The same for records of `scoring.inputs`: after the events of a round, by the watermark
        that these have left."""
        partition = self.partition(number)
        self._context.latest_day = latest_day
        partition.books.look_at(self.rates, partition.closes.watermark, partition.latest_on)
        columns, origins = inputs.read(self._context, partition, records)
        mark = partition.closes.watermark
        late = np.flatnonzero(np.asarray(columns.days) <= mark).tolist()
        return Batch(partition, origins, latest_day, columns, [mark], late, of_inputs=True)

    def restate(self, number: int) -> Iterator[Outcome]:
        """Corrects the ledgers by the rates that came for days behind; to be asked before a batch
        is read. Each outcome is to be written before the next is asked for."""
        partition = self.partition(number)
        books, closes = partition.books, partition.closes
        books.look_at(self.rates, closes.watermark, partition.latest_on)
        while found := books.restatement(closes.restated, closes.watermark, partition.latest_on):
            for walked, touched, leaf_rows in restatement.walk(partition, found):
                rates, alarms = books.told(number)
                done = walked.customers_left == 0
                if done:
                    closes.restated = walked.number
                yield Outcome(
                    partition.records(touched), [], [], [], Counter(), done, alarms,
                    len(touched), rates, books.leaves_of(partition.key_of, leaf_rows),
                    walked=walked,
                )  # fmt: skip

    def post_months(self, number: int) -> Outcome | None:
        """One step of what a closed month asks, to be written before anything else is stepped;
        None: all is posted."""
        partition = self.partition(number)
        found = month_walk.step(partition)
        if found is None:
            return None
        touched, leaf_rows = found
        rates, alarms = partition.books.told(number)
        return Outcome(
            partition.records(touched), [], [], [], Counter(), False, alarms, len(touched), rates,
            partition.books.leaves_of(partition.key_of, leaf_rows),
        )  # fmt: skip

    def reread(self, batch: Batch) -> Batch:
        """The same records, judged by what is known now: decoded again only if that is more."""
        if batch.heard == self.heard:
            return batch
        return self.read(batch.partition.number, batch.records, batch.latest_day)

    def apply(self, batch: Batch, duplicates: set[int]) -> Outcome:
        """Steps the batch. `duplicates` are offsets of late events that were applied before."""
        partition, columns = batch.partition, batch.columns
        met: set[tuple[str, str]] = set()
        for i in batch.late:
            identity = (columns.source_of(i), columns.id_of(i))
            if columns.offsets[i] in duplicates or (batch.of_inputs and identity in met):
                columns.flags[i] |= SEEN_BEFORE
            met.add(identity)
        run = Run(partition, columns)
        changed, signals = False, list[Signal]()
        first, alarms = partition.books.told(partition.number)
        if verdicts.note_refused(columns, partition.closes, of_inputs=batch.of_inputs):
            first.append(partition_record(partition.closes))
        partition.latest_on = columns.latest_on(partition.latest_on)
        for segment, (begin, end) in enumerate(_segments(columns)):
            run.step(begin, end, batch.watermarks[segment])
            if segment < len(columns.closes):
                moved, alarm = self._close(run, partition, columns, segment, signals)
                changed |= moved
                alarms += alarm
        signals += self._signals(run, partition, columns)
        beyond = self._beyond(batch, run.verdicts)
        changed |= verdicts.keep(columns, partition.closes, run.verdicts, of_inputs=batch.of_inputs)
        touched = run.touched()
        return Outcome(
            records=partition.records(touched),
            signals=signals,
            beyond=beyond,
            refused=columns.refused,
            counts=verdicts.counts(columns, run.verdicts),
            closes_changed=changed,
            alarms=alarms,
            touched=len(touched),
            first=first,
            leaves=partition.books.leaves_of(partition.key_of, partition.books.posted()),
            verdicts=run.verdicts,
        )

    def _beyond(self, batch: Batch, judged: Ints) -> list[Refused]:
        columns = batch.columns
        places = np.flatnonzero(verdicts.is_beyond(judged)).tolist()
        if not places:
            return []
        records, found = {record.offset: record for record in batch.records}, []
        for i in places:
            record = records[columns.offsets[i]]
            type_ = decode(record.value or b"").type
            told = refuse(self._context, batch.partition.number, record, "dead",
                          *verdicts.BEYOND[int(judged[i])], type_)  # fmt: skip
            found.append(inputs.with_sequence(told, columns.sequences[i] if batch.of_inputs else 0))
        return found

    def _signals(self, run: Run, partition: Partition, columns: Columns) -> list[Signal]:
        """What has crossed since they were last taken, in the words of the rules that did it."""
        found = self._writer.signals(partition, columns, run.signals())
        found += self._crossings.signals(partition, partition.watched.crossed())
        run.forget_signals()
        return found

    def _close(
        self, run: Run, partition: Partition, columns: Columns, at: int, signals: list[Signal]
    ) -> tuple[bool, list[str]]:
        close: Close = columns.closes[at]
        source, day, offset = close.source, close.day, close.offset
        closes = partition.closes
        if offset <= closes.offset:
            return False, []  # a redelivery: the record of the partition is ahead of it
        before = closes.watermark
        verdict = watermark.close(closes, self.sources, source, day)
        if verdict == "too_late":
            return False, [f"{source} was described when its days were closed already"]
        if verdict in ("duplicate", "not_holding"):
            return False, []
        closes.offset = offset
        alarm = [f"{source} closed {day} before the day it follows"] if verdict == "held" else []
        if closes.watermark > before:
            closes.seed = self.sets.seed
            due = self.sets.due(partition.live.number, closes.watermark)
            if due is not None:
                signals += self._signals(run, partition, columns)
                _go_over(partition, due)
                closes.sets.append((due.number, before + 1))
                if before >= due.first_day:
                    alarm.append(_heard_late(due, before + 1))
            run.fire(closes.watermark, offset)
        return True, alarm


def _go_over(partition: Partition, live: LiveSet) -> None:
    """Another set of rules judges from here on. No row changes before it is looked at."""
    books = partition.books
    partition.live = live
    products = books.owners[: len(partition.account_keys), 0]
    partition.watched.go_over(live.plan, books.rates.products, products)


def _heard_late(live: LiveSet, first_day: int) -> str:
    """Days that the set should have judged are closed; they stay as they were judged."""
    return f"late_rules set {live.number} judges from day {first_day}, not from {live.first_day}"


def _segments(columns: Columns) -> list[tuple[int, int]]:
    """The runs of transactions between closes, one more than closes."""
    cuts = [0, *(close.before for close in columns.closes), len(columns.rows)]
    return list(pairwise(cuts))


def _watermarks(partition: Partition, columns: Columns, sources: Mapping[str, Source]) -> list[int]:
    """The watermark of each segment, by trying the closes on a copy."""
    marks = [partition.closes.watermark]
    if columns.closes:
        trial = deepcopy(partition.closes)
        for close in columns.closes:
            if close.offset > trial.offset:
                verdict = watermark.close(trial, sources, close.source, close.day)
                if verdict in ("applied", "held"):
                    trial.offset = close.offset
            marks.append(trial.watermark)
    return marks
