"""`rebuild`: the worker's state built anew from the log, as it is now or as it was after a day, and
its hash beside that of the live state. It writes nothing.

The events go through the worker's own code, by the sets of rules of their days and by the rates of
now. Places that the worker refused are left out, as its letters say. An event that was replayed
counts on its own day, one that had to wait as soon as what it waited for is there.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec
from xxhash import xxh3_64_intdigest

from services.scoring import model, seen, state
from services.scoring.canonical import Digest, digest
from services.scoring.engine import Batch, Engine
from services.scoring.leaves import Leaf
from services.scoring.partition import Partition
from services.scoring.queries import rehearsals as queries
from services.scoring.records import Delivered
from services.scoring.reference import placed, tell
from services.scoring.rehearsal import LATEST_DAY
from services.scoring.restoring import restore
from services.scoring.risk_plan import read
from services.scoring.settings import ScoringSettings
from services.scoring.standing import Posted
from services.scoring.waiting import Waiting, cut_behind
from shared.clock import clock_of
from shared.db import Database
from shared.settings import Settings
from shared.sources import window_at
from shared.wire import Broker, Record, read_span

EVENTS, STATE, LEAVES = "bank.events", "scoring.state", "scoring.leaves"
REFERENCE = ("bank.reference", "scoring.rules")
TRIES = 10  # to meet a worker between two batches
PAUSE_S = 0.5
_leaf = msgspec.json.Decoder(Leaf)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One partition: the last day closed there, and what it holds."""

    partition: int
    closed_on: date | None
    digest: Digest
    left_out: int = field(default=0, compare=False)  # events that were replayed and wait still


@dataclass(slots=True)
class Stepped:
    """One partition as far as its records are taken: events of the log, or those of its state."""

    number: int
    engine: Engine
    refused: set[int] = field(default_factory=set)  # places of the log that are left out
    posted: Posted = field(default_factory=Posted)
    at: int = 0  # the next event of the log
    told: dict[str, int] = field(default_factory=dict)  # the next record of reference data
    first_closed_on: date | None = None
    waiting: Waiting = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = Waiting(self.engine, self.number)

    @property
    def partition(self) -> Partition:
        return self.engine.partition(self.number)

    @property
    def closed_on(self) -> date | None:
        return state.day_of(self.partition.closes.watermark)

    def rebuilt(self) -> Rebuilt:
        found = digest(self.engine, self.partition, self.posted)
        return Rebuilt(self.number, self.closed_on, found, len(self.waiting.held))

    def place(self) -> int:
        """The greatest place of an event that its rows have seen."""
        rows = self.partition.customers["offset"][: len(self.partition.numbers)]
        return max(int(rows.max(initial=-1)), self.partition.closes.offset)


class Rebuild:
    """Builds partitions one at a time, so that no more than one is in memory, twice."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._broker = Broker(settings)
        self._plan = read(ScoringSettings().risk_model)

    def from_log(self, as_of: date | None = None) -> Iterator[Stepped]:
        """What the events make, up to the close by which all days through `as_of` are closed."""
        last = as_of.toordinal() if as_of else LATEST_DAY
        for number, end in sorted(self._broker.end_offsets(EVENTS).items()):
            one = self._begun(number)
            self._step_on(one, end, last)
            yield one

    def live(self) -> Iterator[Stepped]:
        """What the worker has written: the state that another one would begin with."""
        for number in sorted(self._broker.end_offsets(STATE)):
            yield self._written(number)

    def compared(self) -> Iterator[tuple[Rebuilt, Rebuilt]]:
        """Of each partition what the log makes, and the live state, at one place of the log: that
        to which the live one has come.

        Between two records of one batch of the worker the live state stands at no place: then
        it is read again, and the log is stepped on. A difference that is one remains.
        """
        for number in sorted(self._broker.end_offsets(EVENTS)):
            one = self._begun(number)
            for left in range(TRIES - 1, -1, -1):
                written = self._written(number)
                self._step_on(one, written.place() + 1, LATEST_DAY)
                made, live = one.rebuilt(), written.rebuilt()
                if made == live or not left:
                    yield made, live
                    break
                time.sleep(PAUSE_S)

    def reach(self) -> None:
        """Raises what the first question would: before a file is begun anew."""
        self._broker.partitions(EVENTS)
        with self._database.read() as session:
            session.connection()

    def close(self) -> None:
        self._broker.close()

    def _begun(self, number: int) -> Stepped:
        with self._database.read() as session:
            refused = queries.refused(session, number)
        return Stepped(number, self._engine(), refused)

    def _written(self, number: int) -> Stepped:
        one = Stepped(number, self._engine())
        self._tell(one)
        for records in self._records(STATE, number):
            restore(one.partition, ((r.key or b"", r.value) for r in records))
        one.engine.recovered(one.partition)
        known: set[int] = set()  # after a crash a leaf comes again, equal
        for records in self._records(LEAVES, number):
            values = {xxh3_64_intdigest(r.value or b""): r.value or b"" for r in records}
            one.posted.add(_leaf.decode(v) for h, v in values.items() if h not in known)
            known |= values.keys()
        return one

    def _records(self, topic: str, number: int, begin: int = 0) -> Iterator[list[Record]]:
        end = self._broker.end_offsets(topic)[number]
        yield from read_span(self._settings, topic, number, end, begin=begin)

    def _engine(self) -> Engine:
        return Engine(
            model.load(), topic=EVENTS, partitions=len(self._broker.partitions(EVENTS)),
            currency=self._settings.currency, zone=self._settings.bank_time_zone, plan=self._plan,
        )  # fmt: skip

    def _tell(self, one: Stepped) -> None:
        """What reference data have said since."""
        clock = clock_of(self._settings.clock_file, self._settings.zone)
        window = window_at(clock.bank_now(), clock.zone, {})
        for topic in REFERENCE:
            for records in self._records(topic, 0, one.told.get(topic, 0)):
                for record in records:
                    event = placed(topic, record.key, record.value)
                    if event is not None and window.refuses(event) is None:
                        tell(one.engine, event)
                one.told[topic] = records[-1].offset + 1

    def _step_on(self, one: Stepped, end: int, last: int) -> None:
        """Takes the log up to a place, or to the close that closes a day."""
        self._tell(one)
        for outcome in one.engine.restate(one.number):
            one.posted.add(outcome.leaves)
        if one.at >= end:
            return
        for records in read_span(self._settings, EVENTS, one.number, end, begin=one.at):
            counted = [r for r in records if r.offset not in one.refused]
            if self._step(one, counted, last):
                break
        one.at = end

    def _step(self, one: Stepped, records: Sequence[Delivered], last: int) -> bool:
        """Says whether the day is reached; what comes behind its close is left."""
        batch = one.engine.read(one.number, records, LATEST_DAY)
        keys = one.waiting.keys(batch)
        if not keys:
            return self._take(one, batch, last)
        for part in cut_behind(records, keys):
            reached = self._take(one, one.engine.read(one.number, part, LATEST_DAY), last)
            for again in one.waiting.again(part[-1].key, LATEST_DAY):
                self._apply(one, again)
            if reached:
                return True
        return False

    def _take(self, one: Stepped, batch: Batch, last: int) -> bool:
        reached = next((n for n, mark in enumerate(batch.watermarks) if mark >= last), None)
        if reached:
            through = batch.columns.closes[reached - 1].offset
            before = [r for r in batch.records if r.offset <= through]
            batch = one.engine.read(one.number, before, LATEST_DAY)
        self._apply(one, batch)
        one.waiting.hold(batch)
        one.first_closed_on = one.first_closed_on or next(
            (day for mark in batch.watermarks if (day := state.day_of(mark))), None
        )
        return reached is not None

    def _apply(self, one: Stepped, batch: Batch) -> None:
        outcome = one.engine.apply(batch, self._repeats(one.number, batch))
        one.posted.add(outcome.leaves)

    def _repeats(self, number: int, batch: Batch) -> set[int]:
        if not batch.late:
            return set()
        with self._database.read() as session:
            return seen.repeats(session, number, batch.asked(), batch.refused_before())
