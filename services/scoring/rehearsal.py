"""One partition of the stored events through the worker's own code, by two sets of rules at once:
the one that is proposed, and the one that it would follow. No Kafka, no database.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import msgspec

from services.scoring import model
from services.scoring.columns import Asked
from services.scoring.engine import Engine
from services.scoring.records import Delivered
from services.scoring.risk_plan import Plan
from services.scoring.rule_set import RuleSet
from services.scoring.signals import Signal
from services.scoring.watermark import Source

# Of dates beyond it only the worker's own verdict counts, which stands in its letters.
LATEST_DAY = date.max.toordinal()
Holder = tuple[str, str, str, str, int]  # rule, customer, account, product, episode
Set = tuple[int, date, RuleSet]  # number, the first day that it judges
Sides = tuple[Sequence[Set], Sequence[Set]]  # the sets of now, and with the proposed one


@dataclass(frozen=True)
class Bank:
    """What a scorer is made of, beside its rules."""

    plan: Plan  # of the first set
    partitions: int
    currency: str
    zone: str
    sources: dict[str, Source]


@dataclass(frozen=True, slots=True)
class Said:
    """A signal of one side; `carried`: it was raised before the first day judged and held then."""

    proposed: bool
    signal: Signal
    carried: bool


class Side:
    """A scorer that lives by one line of sets."""

    def __init__(self, bank: Bank, sets: Iterable[Set], first_day: int) -> None:
        self.engine = Engine(
            model.load(), topic="bank.events", partitions=bank.partitions, currency=bank.currency,
            zone=bank.zone, plan=bank.plan,
        )  # fmt: skip
        for name, source in bank.sources.items():
            self.engine.describe(name, source)
        for number, on, rules in sets:
            self.engine.sets.take(number, on.toordinal(), rules)
        self._first_day = first_day
        self._holding: dict[Holder, Signal] = {}
        self._judged: list[Signal] = []

    def step(self, number: int, records: Sequence[Delivered], repeats: "Repeats") -> None:
        """A batch; one with the close from which the sets differ is cut there."""
        partition = self.engine.partition(number)
        batch = self.engine.read(number, records, LATEST_DAY)
        marks = batch.watermarks
        if marks[0] < self._first_day <= marks[-1]:
            at = next(n for n, mark in enumerate(marks) if mark >= self._first_day)
            cut = batch.columns.closes[at - 1].offset
            before = [r for r in records if r.offset < cut]
            if before:
                self.step(number, before, repeats)
                records = [r for r in records if r.offset >= cut]
                batch = self.engine.read(number, records, LATEST_DAY)
        asked = batch.asked()
        known = repeats(number, asked, batch.refused_before()) if asked else set()
        signals = [_bare(signal) for signal in self.engine.apply(batch, known).signals]
        if partition.closes.watermark >= self._first_day:
            self._judged += signals
            return
        for signal in signals:
            if signal.kind == "raised":
                self._holding[_holder(signal)] = signal
            else:
                self._holding.pop(_holder(signal), None)

    def said(self, proposed: bool) -> Iterator[Said]:
        """What held when the sets parted, and everything since."""
        for signal in self._holding.values():
            yield Said(proposed, signal, True)
        for signal in self._judged:
            yield Said(proposed, signal, False)


Repeats = Callable[[int, Sequence[Asked], Collection[int]], set[int]]


class Rehearsal:
    """Both sides of one partition. `refused`: places that the worker never counted."""

    def __init__(
        self, bank: Bank, number: int, refused: Iterable[int], sides: Sides, from_on: date
    ) -> None:
        first_day = from_on.toordinal()
        self._number = number
        self._refused = frozenset(refused)
        self._sides = [Side(bank, sets, first_day) for sets in sides]

    def step(self, records: Sequence[Delivered], repeats: Repeats) -> None:
        counted = [r for r in records if r.offset not in self._refused]
        if counted:
            for side in self._sides:
                side.step(self._number, counted, repeats)

    @property
    def closed_on(self) -> date | None:
        """The last day that the partition has closed."""
        watermark = self._sides[0].engine.partition(self._number).closes.watermark
        return date.fromordinal(watermark) if watermark else None

    def said(self) -> Iterator[Said]:
        for proposed, side in enumerate(self._sides):
            yield from side.said(bool(proposed))


def _bare(signal: Signal) -> Signal:
    """Without what explains it: that is most of it, a partition has many, and nobody asks why."""
    return msgspec.structs.replace(signal, terms={}, events=(), position=None)


def _holder(signal: Signal) -> Holder:
    account = (signal.account_number, signal.product_code)
    return signal.rule, signal.customer_number, *account, signal.episode


def lines(
    accepted: Sequence[Set], base: tuple[int, RuleSet], proposed: tuple[int, RuleSet], from_on: date
) -> Sides:
    """The sets of both sides: as they were until the day, then that of now beside the proposed.

    A set that was accepted for a later day is not in them: the rehearsal asks what the two would
    have done.
    """
    before = [one for one in accepted if one[1] < from_on]
    now = list(before)
    if (before[-1][0] if before else 0) != base[0]:
        now.append((base[0], from_on, base[1]))
    return now, [*before, (proposed[0], from_on, proposed[1])]
