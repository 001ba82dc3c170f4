"""`replay`: the scorer's own code over a file, no Kafka; the same signals and scores as live."""

import csv
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from services.scoring import absences, party_episodes, rate_file, reference, risk, state
from services.scoring.engine import Batch, Engine, Outcome
from services.scoring.leaves import Leaf
from services.scoring.model import Model
from services.scoring.out_file import unwritable
from services.scoring.party_episodes import Parties, Unreadable
from services.scoring.rate import lacking
from services.scoring.risk_plan import NO_PLAN, Plan
from services.scoring.rows import APPLIED, HOME_CURRENCY, KIND_CUSTOMER, OPENED
from services.scoring.rules.outflows import Limits, judge
from services.scoring.scores.contribution.rates import ACCOUNT_DAY
from services.scoring.seen import KeepsAll
from services.scoring.signals import Signal
from shared.events import Event
from shared.events.bank import DayClosed, ProductDescribed, RateSet, SourceDescribed
from shared.events.envelope import CATALOGUE

TOPIC = "bank.events"
BATCH_LINES = 5000
TOLD_AT_MOST = 20  # of what was refused
LeafKey = tuple[str, str, str, str, str]  # account, product, component, period, origin_period
REFERENCE = frozenset({SourceDescribed.TYPE, RateSet.TYPE, ProductDescribed.TYPE})


class Line(msgspec.Struct, frozen=True):
    """A line of a file as if it came from Kafka; its number is its offset."""

    offset: int
    key: bytes | None
    value: bytes
    is_reference: bool = False


class _Closed(msgspec.Struct):
    day: date | None = None


class _Head(msgspec.Struct):
    type: str = ""
    subject: str = ""
    data: _Closed = msgspec.field(default_factory=_Closed)


_head = msgspec.json.Decoder(_Head)


class NotHeld(ValueError):
    """The file does not tell of a day that is asked; the message names the next that it does."""


@dataclass(slots=True)
class Replayed:
    """What a replay answers."""

    leaves: Counter[LeafKey] = field(default_factory=Counter)
    scores: list[dict[str, Any]] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Any] = field(default_factory=list)
    alarms: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)  # of rates: which holds, what none is made of


class Replay:
    """One partition, fed line by line."""

    def __init__(
        self, model: Model, *, currency: str, zone: str, until: date, plan: Plan = NO_PLAN,
        parties: Parties | None = None,
    ) -> None:  # fmt: skip
        self.engine = Engine(
            model, topic=TOPIC, partitions=1, currency=currency, zone=zone, plan=plan
        )
        self.result = Replayed()
        self._zone = ZoneInfo(zone)
        self._seen = KeepsAll()
        self._latest_day = until.toordinal() + 1
        self._parties = parties or {}
        self._several = party_episodes.of_several(self._parties)
        self._moves: defaultdict[str, Counter[date]] = defaultdict(Counter)

    def feed(self, lines: Sequence[Line]) -> None:
        """Applies lines as one batch, after what was described for days behind."""
        for restated in self.engine.restate(0):
            self.result.alarms += restated.alarms
            self._take(restated.leaves)
        batch = self.engine.read(0, lines, self._latest_day)
        self._seen.note(0, batch.columns)
        repeats = self._seen.repeats(0, batch.asked())
        outcome = self.engine.apply(batch, repeats)
        self._note_moves(batch, outcome)
        self.result.signals += outcome.signals
        self.result.counts += outcome.counts
        self.result.refused += outcome.beyond + outcome.refused
        self.result.alarms += outcome.alarms
        self._take(outcome.leaves)

    def finish(self) -> None:
        """Posts what is accrued through the last closed day, and every leaf that is still open."""
        partition = self.engine.partition(0)
        posted = partition.books.open_leaves(
            len(partition.account_keys), partition.closes.watermark + 1
        )
        self.result.notes += lacking(self.engine.rates)
        self._take(partition.books.leaves_of(partition.key_of, posted.tolist()))

    def ask(self, on: date) -> None:
        """Scores of all customers as they stand now, on this day."""
        for customer in self.customers():
            live = self.engine.partition(0).live
            scores, terms = risk.scores_on(live.model, customer, on)
            found = risk.of_model(live.plan, self.engine.currency, customer, on)
            scores |= found[0]
            terms |= found[1]
            self.result.scores.append(
                {
                    "customer_number": customer.customer_number,
                    "on": on.isoformat(),
                    "scores": scores,
                    "terms": terms,
                }
            )

    def _note_moves(self, batch: Batch, outcome: Outcome) -> None:
        """What the numbers of parties of several booked, by day."""
        if not self._several:
            return
        rows, _, amounts, days, _, flags, _, _, used, _ = batch.columns.arrays()
        booked = (outcome.verdicts == APPLIED) & ((flags & HOME_CURRENCY) > 0)
        booked &= used.reshape(-1, 4)[:, 0] < OPENED
        for i in np.flatnonzero(booked).tolist():
            number = batch.partition.numbers[rows[i]].decode()
            party_id = self._several.get(number)
            if party_id is not None:
                self._moves[party_id][date.fromordinal(days[i])] += int(amounts[i])

    def episodes(self) -> Iterator[dict[str, Any]]:
        """The final episodes of the parties."""
        first_on, away, through = {}, {}, self._through()
        for one in self.customers():
            first_on[one.customer_number] = one.first_on
            absence = absences.as_of(absences.away(one), through)
            if absence is not None:
                away[one.customer_number] = absence
        rules = self.engine.sets.first
        sets = [Limits(0, rules.model.version, rules.rules.thresholds)]
        left = rules.model.balance_factors.tolist()
        falls = {
            party_id: judge([one for one in moves.items() if one[1]], sets, left, through).falls
            for party_id, moves in self._moves.items()
        }
        return party_episodes.final(
            self._parties, self.result.signals, first_on, away, falls, self._zone
        )

    def _through(self) -> date:
        """The last day that is closed."""
        return date.fromordinal(max(self.engine.partition(0).closes.watermark, 1))

    def customers(self) -> Iterator[state.CustomerState]:
        """All customers in the order of their numbers."""
        partition = self.engine.partition(0)
        every = np.arange(len(partition.numbers), dtype=np.int64)
        for key, value in sorted(partition.records(every)):
            if value is not None and state.kind_of(value) == KIND_CUSTOMER:
                found = state.unpack(key, value)
                assert isinstance(found, state.CustomerState)
                if found.count:
                    yield found

    def _take(self, posted: Iterable[Leaf]) -> None:
        for leaf in posted:
            key = (leaf.account_number, leaf.product_code, leaf.component, leaf.period,
                   leaf.origin_period)  # fmt: skip
            self.result.leaves[key] += leaf.amount_minor


def run(replay: Replay, file: Path, rates: Path | None, score_on: Iterable[date]) -> None:
    """Feeds a file of events. Fills `replay.result`.

    Reference data are read first; what may find booked figures that it would change takes effect at
    its place in the file, as it did live. That of `rates` holds from the beginning, as after a
    rebuild.
    Raises Unreadable for a file without an event, and for a line of `rates` that cannot be taken:
    without it all would be wrong; NotHeld for a day of `score_on` whose end the file does not hold.
    """
    types = REFERENCE | {name for name, fact in CATALOGUE.items() if fact.TOPIC == TOPIC}
    if not any(True for _ in _lines_of(file, types)):
        raise Unreadable(f"{file}: no line of it is an event of {TOPIC} or of reference data")
    late = _describe_first(replay, file, types)
    if rates:
        told: list[str] = []
        lines = ((n.offset + 1, n.value) for n in _lines_of(rates, REFERENCE, unknown=True))
        for event in rate_file.events_of(rates, lines, told):
            reference.tell(replay.engine, event)
        replay.result.notes += told[:TOLD_AT_MOST]
    asked, first_on = sorted(set(score_on)), 0  # the first day that is closed
    waiting: list[Line] = []
    for line in _lines_of(file, types, unknown=True):
        if line.is_reference:
            if line.offset in late:
                replay.feed(waiting)
                waiting = []
                reference.tell(replay.engine, late[line.offset])
            continue
        waiting.append(line)
        closed = line.key is None
        if closed or len(waiting) >= BATCH_LINES:
            replay.feed(waiting)
            waiting = []
            mark = replay.engine.partition(0).closes.watermark
            first_on = first_on or mark
            while asked and asked[0].toordinal() <= mark:
                _refuse_before(first_on, asked[0])
                replay.ask(asked.pop(0))
    replay.feed(waiting)
    for on in asked:
        _refuse_before(replay.engine.partition(0).latest_on, on)
        replay.ask(on)
    replay.finish()


def _refuse_before(first_on: int, on: date) -> None:
    """The state has all of this day: as of one before it nothing is known."""
    if on.toordinal() < first_on:
        raise NotHeld(
            f"the file does not hold how customers stood on {on}: the first day from then on that"
            f" can be asked is {date.fromordinal(first_on)}"
        )


def _describe_first(replay: Replay, file: Path, types: Collection[str]) -> dict[int, Event[Any]]:
    """Tells what a file has of reference data, all but what is late. That is its answer, by lines.

    Late is a rate for days that are closed by then; once there are events, also what a use costs
    and to which product a negative balance belongs: the engine judges there whether it can still
    take it, as it did live.
    """
    late: dict[int, Event[Any]] = {}
    closed_on, has_begun = date.min, False
    for line in _lines_of(file, types):
        if line.key is None:
            closed_on = max(closed_on, _head.decode(line.value).data.day or date.min)
        if not line.is_reference:
            has_begun = True
            continue
        event = reference.readable(line.value)
        if event is None:
            left_out = f"line {line.offset + 1}: reference data that cannot be read"
            replay.result.alarms.append(left_out)
            continue
        data, rate = event.data, reference.rate_of(event)
        if rate and (fault := rate.fault()):  # the engine leaves it out, as it did live
            replay.result.alarms.append(f"line {line.offset + 1}: {rate.key}: {fault}")
        accrues = isinstance(data, RateSet) and data.driver_code in (None, ACCOUNT_DAY)
        is_late = data.from_on <= closed_on if accrues else has_begun
        if rate and is_late:
            late[line.offset] = event
        else:
            reference.tell(replay.engine, event)
    return late


def _lines_of(file: Path, types: Collection[str], *, unknown: bool = False) -> Iterator[Line]:
    """Lines of these types; `unknown` adds those of no catalogue, for the verdict on them."""
    with file.open("rb") as read:
        for number, value in enumerate(read):
            if not value.strip():
                continue
            try:
                head = _head.decode(value)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                if unknown:
                    yield Line(number, b"", value)
                continue
            if head.type in types or (unknown and head.type not in CATALOGUE):
                closes = head.type == DayClosed.TYPE
                yield Line(
                    number, None if closes else head.subject.encode(), value,
                    head.type in REFERENCE,
                )  # fmt: skip


def left_out(result: Replayed) -> Iterator[str]:
    """The first of what could not be taken, and why."""
    for one in result.refused[:TOLD_AT_MOST]:
        yield f"line {one.offset + 1}: {one.kind}: {one.reason}"
    for alarm in result.alarms[:TOLD_AT_MOST]:
        yield f"alarm: {alarm}"
    yield from result.notes


def write_leaves(result: Replayed, file: Path) -> None:
    """CSV, sorted; zero sums are left out. Raises Unwritable."""
    try:
        with file.open("w", newline="", encoding="utf-8") as written:
            writer = csv.writer(written, lineterminator="\n")
            writer.writerow(
                ["account", "product", "component", "period", "origin_period", "amount_minor"]
            )
            for key, amount in sorted(result.leaves.items()):
                if amount:
                    writer.writerow([*key, amount])
    except OSError as error:
        raise unwritable(file, error) from None


def write_lines(values: Iterable[bytes], file: Path) -> None:
    """JSON Lines. Raises Unwritable."""
    try:
        with file.open("wb") as written:
            for value in values:
                written.write(value + b"\n")
    except OSError as error:
        raise unwritable(file, error) from None
