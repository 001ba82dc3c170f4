"""The scorer's engine fed with a random bank, in any order and split, restarted from its log."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from services.scoring import model, reference, signals, state
from services.scoring.canonical import Digest, digest
from services.scoring.engine import Engine, Outcome
from services.scoring.leaves import Leaf
from services.scoring.model import Model
from services.scoring.partition import Partition
from services.scoring.replay import Line
from services.scoring.restoring import restore
from services.scoring.risk_plan import NO_PLAN, Plan
from services.scoring.seen import KeepsAll
from services.scoring.standing import Posted
from shared.events import Event
from shared.events.bank import DayClosed, RateSet
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.ledger_bank import CURRENCY, FIRST_DAY, Bank
from tests.workers import described

MODEL = model.load()
Sums = dict[tuple[str, str, str], int]


class Scored:
    """An engine of so many partitions and every leaf it posted."""

    def __init__(
        self, bank: Bank, partitions: int = 1, plan: Plan = NO_PLAN, first: Model = MODEL
    ) -> None:
        self.count = partitions
        self._first, self._plan = first, plan
        self._told = [described(from_on=FIRST_DAY), *bank.rates]
        self.killed_after: int | None = None  # so many records of a restatement, once each
        self.walk_killed_after: int | None = None  # of the close of a month
        self.walks = True  # closed months are posted of accounts that no event has settled
        self.posted: dict[tuple[str, ...], Leaf] = {}
        self.signals: dict[str, bytes] = {}
        self.refused: list[Any] = []
        self.alarms: list[str] = []
        self.seen = KeepsAll()
        self._log: defaultdict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)
        self.engine = self._engine()

    def _engine(self) -> Engine:
        engine = Engine(self._first, topic="bank.events", partitions=self.count, currency=CURRENCY,
                        zone="Asia/Shanghai", plan=self._plan)  # fmt: skip
        for event in self._told:
            reference.tell(engine, event)
        return engine

    def tell(self, event: Event[Any]) -> None:
        """A record of `bank.reference`."""
        self._told.append(event)
        reference.tell(self.engine, event)

    def feed(self, number: int, records: Sequence[Line]) -> None:
        self.restate(number)
        latest = (FIRST_DAY + timedelta(days=20_000)).toordinal()
        batch = self.engine.read(number, records, latest)
        self.seen.note(number, batch.columns)
        outcome = self.engine.apply(batch, self.seen.repeats(number, batch.asked()))
        self._write(number, outcome)
        self._log[number].append(self._closes(number))
        if self.walks:
            self.walk(number)
        self.refused += [*outcome.beyond, *outcome.refused]

    def restate(self, number: int) -> None:
        """As the driver does before a batch is read; the process may die in the writing of it."""
        for outcome in self.engine.restate(number):
            if self.killed_after is not None and outcome.records:
                killed_after, self.killed_after = self.killed_after, None
                self._write(number, outcome, killed_after)
                self.restart()
                self.restate(number)
                return
            self._write(number, outcome)
            if outcome.closes_changed:
                self._log[number].append(self._closes(number))

    def walk(self, number: int) -> bool:
        """One step of the close of a month; the process may die in the writing of it."""
        walked = self.engine.post_months(number)
        if walked is None:
            return False
        killed_after, self.walk_killed_after = self.walk_killed_after, None
        self._write(number, walked, killed_after)
        if killed_after is not None:
            self.restart()
        return True

    def _closes(self, number: int) -> tuple[bytes, bytes]:
        return state.partition_record(self.engine.partition(number).closes)

    def _write(self, number: int, outcome: Outcome, kept: int | None = None) -> None:
        for leaf in outcome.leaves:
            assert self.posted.setdefault(leaf.identity(), leaf) == leaf
        for signal in outcome.signals:
            said = signals.encode(signal, with_position=False)
            assert self.signals.setdefault(signal.id, said) == said
        self._log[number] += [*outcome.first, *outcome.records[:kept]]
        self.alarms += outcome.alarms

    def restart(self) -> None:
        """A new engine from what was written."""
        self.engine = self._engine()
        for number, records in self._log.items():
            restore(self.engine.partition(number), records)
            self.engine.partition(number).recovered()

    def run(self, events: Sequence[Event[Any]], size: int, restart_every: int = 0, *,
            at_once: bool = True) -> "Scored":  # fmt: skip
        """Rates among the events are told at their place: `at_once` they are met there by every
        partition, else each meets them when its next batch is full."""
        waiting: dict[int, list[Line]] = {p: [] for p in range(self.count)}
        placed: dict[int, int] = dict.fromkeys(waiting, 0)
        fed = 0
        for event in events:
            if isinstance(event.data, RateSet):
                for p in waiting if at_once else ():
                    self.feed(p, waiting[p])
                    waiting[p] = []
                self.tell(event)
                for p in waiting if at_once else ():
                    self.restate(p)
                continue
            is_close = isinstance(event.data, DayClosed)
            for p in waiting if is_close else (partition_of(event.subject, self.count),):
                key = None if is_close else event.subject.encode()
                waiting[p].append(Line(placed[p], key, encode(event)))
                placed[p] += 1
                if len(waiting[p]) >= size:
                    self.feed(p, waiting[p])
                    waiting[p] = []
                    fed += 1
                    if restart_every and fed % restart_every == 0:
                        self.restart()
        for p, records in waiting.items():
            self.feed(p, records)
        return self

    def leaves(self) -> dict[tuple[str, ...], int]:
        """Posted leaves, and what a close at the watermark would post."""
        found = {identity: leaf.amount_minor for identity, leaf in self.posted.items()}
        for number in range(self.count):
            for leaf in open_leaves(self.engine.partition(number)):
                assert leaf.identity() not in found
                found[leaf.identity()] = leaf.amount_minor
        return found

    def customers(self) -> dict[str, state.CustomerState]:
        """The record of every customer, as the log has it."""
        found = {}
        for records in self._log.values():
            for key, value in records:
                one = None if value is None else state.unpack(key, value)
                if isinstance(one, state.CustomerState):
                    found[one.customer_number] = one
        return found

    def by_origin(self) -> dict[tuple[str, str, str, str], int]:
        """Posted and open, by account, product, component and origin."""
        found: Counter[tuple[str, str, str, str]] = Counter()
        for (_, account, _, product, component, _, origin, _), amount in self.leaves().items():
            found[account, product, component, origin] += amount
        return {key: amount for key, amount in found.items() if amount}

    def sums(self) -> Sums:
        found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        for (_, account, _, product, component, *_), amount in self.leaves().items():
            found[account, product, component] += amount
        return {key: amount for key, amount in found.items() if amount}


def digest_of(scored: Scored) -> Digest:
    """Of all partitions, with what they posted."""
    found = Digest()
    for number in scored.engine.partitions:
        partition = scored.engine.partition(number)
        found = found.plus(digest(scored.engine, partition, posted_of(scored, number)))
    return found


def posted_of(scored: Scored, number: int) -> Posted:
    """What a partition has posted."""
    posted = Posted()
    posted.add(leaf for leaf in scored.posted.values()
               if partition_of(leaf.customer_number, scored.count) == number)  # fmt: skip
    return posted


def open_leaves(partition: Partition) -> list[Leaf]:
    rows = partition.books.open_leaves(len(partition.account_keys), partition.closes.watermark + 1)
    return partition.books.leaves_of(partition.key_of, rows.tolist())
