"""Sets of rules that follow each other, and a scorer that steps a stream under them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import msgspec

from services.scoring import model, risk_plan, rule_set, state
from services.scoring.engine import Engine
from services.scoring.restoring import restore
from services.scoring.risk_model import RiskModel
from services.scoring.rule_set import RuleSet
from services.scoring.signals import encode
from services.scoring.watermark import Source
from shared.events import Event
from shared.events.bank import DayClosed
from shared.events.envelope import encode as encode_event
from shared.ids import partition_of
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, SOURCE

PRODUCT = "CA-P"


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


def stricter(risk: RiskModel | None = None, **thresholds: int) -> RuleSet:
    """Other thresholds for all rules."""
    found = risk or hand_made(PRODUCT)
    scores = tuple(
        msgspec.structs.replace(
            score, threshold=msgspec.structs.replace(
                score.threshold, raise_ppm=350_000, clear_ppm=200_000),
        )
        for score in found.scores
    )  # fmt: skip
    changed = {"outflow_ppm": 700_000, "outflow_clear_ppm": 800_000, "silence_gaps_milli": 4_000,
               "silence_days_min": 10, **thresholds}  # fmt: skip
    return RuleSet(
        msgspec.structs.replace(rule_set.first_thresholds(), **changed),
        msgspec.to_builtins(msgspec.structs.replace(found, version="stricter", scores=scores)),
    )


def looser() -> RuleSet:
    return RuleSet(
        msgspec.structs.replace(rule_set.first_thresholds(), silence_gaps_milli=20_000,
                                outflow_ppm=300_000),
        msgspec.to_builtins(hand_made(PRODUCT)),
    )  # fmt: skip


Sets = Sequence[tuple[int, date, RuleSet]]


@dataclass(frozen=True)
class Record:
    offset: int
    key: bytes | None
    value: bytes


@dataclass
class Scorer:
    """What a worker writes, kept as a compacted log, so that it can be begun anew from there."""

    partitions: int
    sets: Sets
    log: dict[int, dict[bytes, bytes]] = field(default_factory=dict)
    signals: dict[str, bytes] = field(default_factory=dict)
    alarms: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine = self.fresh()

    def fresh(self) -> Engine:
        engine = Engine(
            model.load(), topic="bank.events", partitions=self.partitions, currency="CNY",
            zone="Asia/Shanghai", plan=risk_plan.plan_of(hand_made(PRODUCT)),
        )  # fmt: skip
        engine.describe(SOURCE, Source(True, FIRST_DAY.toordinal()))
        for number, on, rules in self.sets:
            engine.sets.take(number, on.toordinal(), rules)
        return engine

    def die(self) -> None:
        """Another worker begins from what was written."""
        self.engine = self.fresh()
        for number, log in self.log.items():
            partition = self.engine.partition(number)
            restore(partition, list(log.items()))
            self.engine.recovered(partition)

    def step(self, number: int, records: Sequence[Record], *, closes: bool = True) -> None:
        """One batch; `closes` False: it is killed before what closes have done is written."""
        batch = self.engine.read(number, records, date(2100, 1, 1).toordinal())
        outcome = self.engine.apply(batch, set())
        for signal in outcome.signals:
            said = encode(signal, with_position=False)
            assert self.signals.setdefault(signal.id, said) == said, "the same id, another signal"
        log = self.log.setdefault(number, {})
        log |= {key: value for key, value in outcome.records if value is not None}
        self.alarms += outcome.alarms
        if outcome.closes_changed and closes:
            key, value = state.partition_record(batch.partition.closes)
            log[key] = value


def parted(events: Sequence[Event[Any]], partitions: int) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {n: [] for n in range(partitions)}
    for event in events:
        closes = isinstance(event.data, DayClosed)
        key = None if closes else event.subject.encode()
        for n in range(partitions) if closes else (partition_of(event.subject, partitions),):
            found[n].append(Record(len(found[n]), key, encode_event(event)))
    return found


def lived(
    events: Sequence[Event[Any]], sets: Sets, *, partitions: int = 1, batch: int = 5000,
    dies: bool = False,
) -> Scorer:  # fmt: skip
    """The stream from its beginning; `dies`: after every batch, now and then in the midst of
    writing it, and the batch comes again."""
    scorer = Scorer(partitions, sets)
    for number, records in parted(events, partitions).items():
        for n, begin in enumerate(range(0, len(records), batch)):
            part = records[begin : begin + batch]
            if dies and n % 3 == 1:
                scorer.step(number, part, closes=False)
                scorer.die()
            scorer.step(number, part)
            if dies:
                scorer.die()
    return scorer
