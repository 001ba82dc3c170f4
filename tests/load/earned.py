"""What customers have contributed and what was signalled: of an engine in this process that takes
the same events, and of what workers have written.

Leaves are added up by component, period and origin, posted ones and accrued ones apart; beside each
sum stands one of the amounts times a number of their account, which changes when two accounts are
exchanged.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np

from services.scoring import model as models
from services.scoring import reference
from services.scoring.books import COMPONENTS
from services.scoring.engine import Engine, Outcome
from services.scoring.leaves import Leaf
from services.scoring.partition import Partition
from services.scoring.replay import Line
from services.scoring.restoring import restore
from services.scoring.risk_plan import Plan
from services.scoring.rows import F_ACCOUNT, F_AMOUNT, F_COMPONENT, F_ORIGIN, F_PERIOD
from services.scoring.scores.contribution.months import period_of
from shared.events.envelope import Event
from tests.load.latest_rows import Latest, latest_rows, values_of
from tests.load.pace import Published
from tests.workers import FIRST_DAY, WorkerSpace

BATCH: Final = 20_000
LATEST: Final = FIRST_DAY.toordinal() + 3_000
_WEIGHTS: Final = 1 << 20  # times the amounts of a bank, within 64 bits
_MONTH_BITS: Final = 20
Cell = tuple[str, str, str]  # component, period, origin
_leaf = msgspec.json.Decoder(Leaf)


class _Named(msgspec.Struct):
    id: str


_named = msgspec.json.Decoder(_Named)


@dataclass
class Earned:
    """Sums of leaves and the same by weight, and the ids of signals."""

    posted: Counter[Cell] = field(default_factory=Counter)
    posted_by_weight: Counter[Cell] = field(default_factory=Counter)
    accrued: Counter[Cell] = field(default_factory=Counter)
    accrued_by_weight: Counter[Cell] = field(default_factory=Counter)
    signals: set[str] = field(default_factory=set)

    def post(self, leaves: Iterable[Leaf]) -> None:
        for leaf in leaves:
            cell = (leaf.component, leaf.period, leaf.origin_period)
            self.posted[cell] += leaf.amount_minor
            self.posted_by_weight[cell] += leaf.amount_minor * _weight(leaf.account_number)

    def accrue(self, partition: Partition) -> None:
        """What a close at the watermark would post of it."""
        accounts = len(partition.account_keys)
        rows = partition.books.open_leaves(accounts, partition.closes.watermark + 1)
        weights = np.array([_weight(partition.key_of(n)[1]) for n in range(accounts)], np.int64)
        codes, of = np.unique(
            rows[:, F_COMPONENT] << 2 * _MONTH_BITS
            | rows[:, F_PERIOD] << _MONTH_BITS
            | rows[:, F_ORIGIN],
            return_inverse=True,
        )
        amounts = rows[:, F_AMOUNT]
        sums, by_weight = np.zeros(len(codes), np.int64), np.zeros(len(codes), np.int64)
        np.add.at(sums, of, amounts)
        np.add.at(by_weight, of, amounts * weights[rows[:, F_ACCOUNT]])
        for code, minor, weighted in zip(
            codes.tolist(), sums.tolist(), by_weight.tolist(), strict=True
        ):
            component, months = divmod(code, 1 << 2 * _MONTH_BITS)
            period, origin = divmod(months, 1 << _MONTH_BITS)
            cell = (COMPONENTS[component], period_of(period), period_of(origin))
            self.accrued[cell] += minor
            self.accrued_by_weight[cell] += weighted

    def by_component(self) -> dict[str, int]:
        """Posted and accrued together."""
        found: Counter[str] = Counter()
        for (component, _, _), minor in [*self.posted.items(), *self.accrued.items()]:
            found[component] += minor
        return dict(sorted(found.items()))


def _weight(account_number: str) -> int:
    return 1 + crc32(account_number.encode()) % _WEIGHTS


def new_engine(partitions: int, plan: Plan, told: Iterable[Event[Any]]) -> Engine:
    """With reference data as a worker has them."""
    engine = Engine(models.load(), topic="bank.events", partitions=partitions, currency="CNY",
                    zone="Asia/Shanghai", plan=plan)  # fmt: skip
    for event in told:
        reference.tell(engine, event)
    return engine


def earned_by(engine: Engine, records: Iterable[Published]) -> Earned:
    """What the engine makes of all these records, whose places in the log begin with 0."""
    earned = Earned()
    for number, lines in _batches(records):
        outcome: Outcome | None = engine.apply(engine.read(number, lines, LATEST), set())
        while outcome:
            assert [*outcome.refused, *outcome.beyond, *outcome.alarms] == []
            earned.post(outcome.leaves)
            earned.signals |= {one.id for one in outcome.signals}
            outcome = engine.post_months(number)
    for partition in engine.partitions.values():
        earned.accrue(partition)
    return earned


def _batches(records: Iterable[Published]) -> Iterator[tuple[int, list[Line]]]:
    ends: defaultdict[int, int] = defaultdict(int)
    left = iter(records)
    while taken := list(islice(left, 8 * BATCH)):
        lines: defaultdict[int, list[Line]] = defaultdict(list)
        for partition, key, value in taken:
            lines[partition].append(Line(ends[partition], key, value))
            ends[partition] += 1
        yield from lines.items()


def earned_in(space: WorkerSpace, engine: Engine) -> tuple[Earned, dict[int, Latest]]:
    """What the topics of workers say, and their state; the engine is to take their partitions."""
    earned, latest = Earned(), latest_rows(space)
    for number, rows in latest.items():
        restore(engine.partition(number), rows.items())
        earned.accrue(engine.partition(number))
    # After a crash a leaf comes again, equal; the same leaf with another amount counts twice.
    earned.post(_leaf.decode(value) for value in set(values_of(space, "scoring.leaves")))
    earned.signals = {_named.decode(value).id for value in values_of(space, "scoring.signals")}
    return earned, latest


def assert_same(found: Earned, expected: Earned) -> None:
    """Every sum, and every signal."""
    for name in ("posted", "accrued", "posted_by_weight", "accrued_by_weight"):
        own, its = getattr(found, name), getattr(expected, name)
        cells = [cell for cell in own.keys() | its.keys() if own[cell] != its[cell]]
        assert not cells, f"{name}: {[(cell, own[cell], its[cell]) for cell in sorted(cells)[:3]]}"
    lost, more = expected.signals - found.signals, found.signals - expected.signals
    assert lost | more == set(), f"{len(lost)} signals are missing, {len(more)} are nobody's"
