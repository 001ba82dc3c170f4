"""`rebuild`: the worker's state built anew from the log, as it is now or as it was after a day, and
its hash beside that of the live state. It writes nothing.

The events go through the worker's own code, by the sets of rules of their days. Places that the
worker refused are left out, as its letters say; an event that was replayed counts on its own day.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from services.scoring import model, seen
from services.scoring.canonical import Digest, digest
from services.scoring.columns import Delivered
from services.scoring.engine import Batch, Engine
from services.scoring.queries import rehearsals as queries
from services.scoring.reference import placed, tell
from services.scoring.rehearsal import LATEST_DAY
from services.scoring.restoring import restore
from services.scoring.risk_plan import read
from services.scoring.settings import ScoringSettings
from shared.clock import clock_of
from shared.db import Database
from shared.settings import Settings
from shared.sources import window_at
from shared.wire import Broker, read_span

EVENTS, STATE = "bank.events", "scoring.state"
REFERENCE = ("bank.reference", "scoring.rules")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """One partition: the last day closed there, and what it holds."""

    partition: int
    closed_on: date | None
    digest: Digest


class Rebuild:
    """Builds partitions one at a time, so that no more than one is in memory."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings, self._database = settings, database
        self._broker = Broker(settings)
        self._plan = read(ScoringSettings().risk_model)

    def from_log(self, as_of: date | None = None) -> Iterator[Rebuilt]:
        """What the events make, up to the close by which all days through `as_of` are closed."""
        last = as_of.toordinal() if as_of else LATEST_DAY
        for number, end in sorted(self._broker.end_offsets(EVENTS).items()):
            engine = self._engine()
            with self._database.read() as session:
                refused = queries.refused(session, number)
            for records in read_span(self._settings, EVENTS, number, end):
                counted = [r for r in records if r.offset not in refused]
                if self._step(engine, number, counted, last):
                    break
            yield _told(engine, number)

    def live(self) -> Iterator[Rebuilt]:
        """What the worker has written: the state that another one would begin with."""
        for number, end in sorted(self._broker.end_offsets(STATE).items()):
            engine = self._engine()
            partition = engine.partition(number)
            for records in read_span(self._settings, STATE, number, end):
                restore(partition, ((r.key or b"", r.value) for r in records))
            engine.recovered(partition)
            yield _told(engine, number)

    def close(self) -> None:
        self._broker.close()

    def _engine(self) -> Engine:
        engine = Engine(
            model.load(), topic=EVENTS, partitions=len(self._broker.partitions(EVENTS)),
            currency=self._settings.currency, zone=self._settings.bank_time_zone, plan=self._plan,
        )  # fmt: skip
        clock = clock_of(self._settings.clock_file, self._settings.zone)
        window = window_at(clock.bank_now(), clock.zone, {})
        for topic in REFERENCE:
            end = self._broker.end_offsets(topic)[0]
            for records in read_span(self._settings, topic, 0, end):
                for record in records:
                    event = placed(topic, record.key, record.value)
                    if event is not None and window.refuses(event) is None:
                        tell(engine, event)
        return engine

    def _step(
        self, engine: Engine, number: int, records: Sequence[Delivered], last: int
    ) -> bool:
        """Says whether the day is reached; what comes behind its close is left."""
        for _ in engine.restate(number):
            pass  # the leaves are not asked for
        batch = engine.read(number, records, LATEST_DAY)
        reached = next((n for n, mark in enumerate(batch.watermarks) if mark >= last), None)
        if reached:
            through = batch.columns.closes[reached - 1].offset
            batch = engine.read(number, [r for r in records if r.offset <= through], LATEST_DAY)
        engine.apply(batch, self._repeats(number, batch))
        return reached is not None

    def _repeats(self, number: int, batch: Batch) -> set[int]:
        if not batch.late:
            return set()
        with self._database.read() as session:
            return seen.repeats(session, number, batch.asked(), batch.refused_before())


def _told(engine: Engine, number: int) -> Rebuilt:
    partition = engine.partition(number)
    watermark = partition.closes.watermark
    closed_on = date.fromordinal(watermark) if watermark else None
    return Rebuilt(number, closed_on, digest(engine, partition))
