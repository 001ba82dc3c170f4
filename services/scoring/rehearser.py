"""Runs one rehearsal: every partition through both sides, then what came true of it.

A partition is in memory at a time; what it said is kept when it is through, so that a run that was
killed goes on with the next one.
"""

import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import structlog

from services.scoring import absences, rule_set, seen
from services.scoring.columns import Asked
from services.scoring.commands import rehearsals as commands
from services.scoring.commands.rehearsals import Claimed
from services.scoring.hindsight import Asked as Judged
from services.scoring.hindsight import Booking, Given, Tally, judge
from services.scoring.live_sets import LiveSet, LiveSets
from services.scoring.model import load
from services.scoring.party_episodes import absences_of
from services.scoring.queries import rehearsals as queries
from services.scoring.queries import rule_sets
from services.scoring.queries.outflows import factors, limits_of
from services.scoring.queries.rehearsals import Party
from services.scoring.reference import placed
from services.scoring.rehearsal import Bank, Rehearsal, Said, Set, Sides, lines
from services.scoring.risk_plan import ModelRefused, read
from services.scoring.rules import outflows
from services.scoring.rules.episodes import Episode, episodes
from services.scoring.rules.outflows import Limits
from services.scoring.settings import ScoringSettings, home_currency
from services.scoring.watermark import Source
from shared.clock import business_date
from shared.db import is_world_down
from shared.events.bank import AccountClosed, AccountOpened, SourceDescribed, TransactionBooked
from shared.failpoints import reach
from shared.runtime import Runtime
from shared.wire import read_span

log = structlog.get_logger()
TOPIC, REFERENCE = "bank.events", "bank.reference"
BEAT_S = 2.0
CUSTOMERS_AT_ONCE = 200
NEAR = timedelta(days=30)  # an alert of the same rule so near in time is the same warning
TYPES = (TransactionBooked.TYPE, AccountOpened.TYPE, AccountClosed.TYPE)
SIDES = {False: "now", True: "proposed"}


class _Stopped(Exception):
    """It was cancelled, taken over or told to stop: the run ends without a result of its own."""


def run(runtime: Runtime, stop: threading.Event, claimed: Claimed) -> None:
    """Until it is done, has failed by a reason that stays, or is stopped."""
    began = time.monotonic()
    try:
        one = _Run(runtime, stop, claimed)
        one.step_all()
        result = one.look_back()
        reach("rehearsal.before_end")
    except _Stopped:
        log.info("rehearsal_stopped", rehearsal=claimed.id)
        return
    except Exception as error:
        if is_world_down(error):
            raise  # it is taken up again
        if not isinstance(error, ModelRefused):
            log.exception("rehearsal_failed", rehearsal=claimed.id)
        with runtime.database.transaction() as tx:
            commands.end(tx, claimed, "failed", failure=_reason(error))
        return
    with runtime.database.transaction() as tx:
        commands.end(tx, claimed, "done", result=result)
    log.info("rehearsed", rehearsal=claimed.id, set=claimed.number,
             seconds=round(time.monotonic() - began, 1))  # fmt: skip


def _reason(error: Exception) -> str:
    """For who asked. What no rule has thought of would fail again: operations are to look."""
    if isinstance(error, ModelRefused):
        return str(error)[:1000]
    return f"an error of the system, for operations: {type(error).__name__}: {error}"[:1000]


class _Run:
    """One rehearsal while it runs. Raises ModelRefused where a set cannot be run at all."""

    def __init__(self, runtime: Runtime, stop: threading.Event, claimed: Claimed) -> None:
        self._runtime, self._stop, self._claimed = runtime, stop, claimed
        self._beat_at = 0.0
        with runtime.database.read() as session:
            self._sides = _lines(session, claimed)
        first = read(ScoringSettings().risk_model)
        self._last = [_compiled(LiveSets(load(), first), sets) for sets in self._sides]
        settings = runtime.settings
        self._bank = Bank(
            first, len(runtime.broker.partitions(TOPIC)), home_currency(),
            settings.bank_time_zone, _sources(runtime),
        )  # fmt: skip

    # The events ---------------------------------------------------------------------------------

    def step_all(self) -> None:
        ends = self._runtime.broker.end_offsets(TOPIC)
        with self._runtime.database.transaction() as tx:
            through, _ = rule_sets.closed_days(tx.session)
            commands.begin(tx, self._claimed, ends, through)
            left = commands.parts_left(tx, self._claimed)
        for partition, until in left:
            self._step(partition, until)
            reach("rehearsal.partition_kept")

    def _step(self, partition: int, until: int) -> None:
        with self._runtime.database.read() as session:
            refused = queries.refused(session, partition)
        one = Rehearsal(self._bank, partition, refused, self._sides, self._claimed.from_on)
        for records in read_span(self._runtime.settings, TOPIC, partition, until):
            one.step(records, self._repeats)
            reach("rehearsal.stepped")
            self._beat("events", partition, records[-1].offset + 1)
        self._beat("events")
        with self._runtime.database.transaction() as tx:
            rows = (_row(self._claimed.id, partition, said) for said in one.said())
            if not commands.keep(tx, self._claimed, partition, until, one.closed_on, rows):
                raise _Stopped

    def _repeats(
        self, partition: int, asked: Sequence[Asked], refused: Collection[int]
    ) -> set[int]:
        with self._runtime.database.read() as session:
            return seen.repeats(session, partition, asked, refused)

    def _beat(self, step: str, partition: int = -1, reached: int = 0) -> None:
        if self._stop.is_set():
            raise _Stopped
        if time.monotonic() - self._beat_at < BEAT_S:
            return
        self._beat_at = time.monotonic()
        with self._runtime.database.transaction() as tx:
            if not commands.beat(tx, self._claimed, step, partition, reached):
                raise _Stopped

    # What came of it ----------------------------------------------------------------------------

    def look_back(self) -> dict[str, Any]:
        with self._runtime.database.read() as session:
            through = rule_sets.through_of(session, self._claimed.id) or self._claimed.from_on
            stepped = rule_sets.stepped_through(session, self._claimed.id) or date.min
        sets = tuple(limits_of(line) for line in self._sides)
        counted = _Counted(self._claimed.from_on, stepped, sets, self._runtime.clock.zone)
        begin = counted.midnight(self._claimed.from_on)
        for party in queries.parties(self._runtime.database.read, self._claimed.id, begin):
            counted.add(party)
            self._beat("outcomes")
        tallies = self._judged(through)
        return {"through_on": through.isoformat(), **counted.result(tallies)}

    def _judged(self, through: date) -> dict[bool, dict[str, Tally]]:
        asked = {p: Judged(self._claimed.from_on, through, _horizons(self._last[p])) for p in SIDES}
        tallies: dict[bool, dict[str, Tally]] = {proposed: {} for proposed in SIDES}
        waiting: list[tuple[str, list[Booking]]] = []

        def settle() -> None:
            numbers = [number for number, _ in waiting]
            with self._runtime.database.read() as session:
                signals = queries.signals_of(session, self._claimed.id, numbers)
            warnings = _given(signals)
            for number, bookings in waiting:
                for proposed in SIDES:
                    own = warnings.get((proposed, number), [])
                    judge(asked[proposed], bookings, own, tallies[proposed])
            waiting.clear()
            self._beat("outcomes")

        for number, rows in queries.events_by_customer(
            self._runtime.database.read, TYPES, home_currency()
        ):
            waiting.append((number, _bookings(rows)))
            if len(waiting) >= CUSTOMERS_AT_ONCE:
                settle()
        if waiting:
            settle()
        return tallies


def _lines(session: Any, claimed: Claimed) -> Sides:
    row = rule_sets.one(session, claimed.number)
    assert row is not None
    accepted: list[Set] = []
    base = rule_sets.first_set()
    for known in rule_sets.accepted(session):
        assert known.effective_on is not None
        rules = rule_set.decoded(known.rules)
        if known.number == claimed.against:
            base = rules
        if row.effective_on is None or known.effective_on < row.effective_on:
            accepted.append((known.number, known.effective_on, rules))
    proposed = (claimed.number, rule_set.decoded(row.rules))
    return lines(accepted, (claimed.against, base), proposed, claimed.from_on)


def _compiled(sets: LiveSets, line: Sequence[Set]) -> LiveSet:
    """The last set of a line; raises ModelRefused where one cannot follow the other."""
    for number, on, rules in line:
        sets.take(number, on.toordinal(), rules)
    return sets.of(line[-1][0]) if line else sets.first


def _horizons(live: LiveSet) -> dict[str, dict[str, int]]:
    """By product, the rules that score it and their horizons in days."""
    found: dict[str, dict[str, int]] = {}
    for rule in live.plan.rules:
        for product in rule.score.product_codes:
            found.setdefault(product, {})[rule.code] = rule.score.horizon_days
    return found


def _sources(runtime: Runtime) -> dict[str, Source]:
    found = {}
    end = runtime.broker.end_offsets(REFERENCE)[0]
    for records in read_span(runtime.settings, REFERENCE, 0, end):
        for record in records:
            event = placed(REFERENCE, record.key, record.value)
            if event is not None and isinstance(event.data, SourceDescribed):
                data = event.data
                until = data.active_until.toordinal() if data.active_until else 0
                found[data.source] = Source(data.closes_days, data.active_from.toordinal(), until)
    return found


def _row(rehearsal: int, partition: int, said: Said) -> tuple[object, ...]:
    s = said.signal
    return (rehearsal, said.proposed, s.id, partition, s.customer_number, s.account_number,
            s.product_code, s.rule, s.kind, said.carried, s.at, s.on, s.episode, s.score,
            s.model_version)  # fmt: skip


def _bookings(rows: Sequence[Any]) -> list[Booking]:
    """Each event once, in the order of the log, which tells a closing from an opening after it.
    What its producer sent twice stands in the store twice: the first counts."""
    once: dict[tuple[str, str], Any] = {}
    for row in rows:
        once.setdefault((row.source, row.event_id), row)
    return [
        Booking(
            row.type, row.account_number or "", row.product_code or "",
            row.businessdate.toordinal(), row.amount_minor or 0, row.kind or "",
            row.initiated_by or "",
        )
        for row in once.values()
    ]  # fmt: skip


def _given(signals: Sequence[Any]) -> dict[tuple[bool, str], list[Given]]:
    """By side and customer: each episode from its first day to its last."""
    found: dict[tuple[bool, str], list[Given]] = {}
    known: dict[tuple[Any, ...], Given] = {}
    for s in sorted(signals, key=lambda s: s.kind == "cleared"):
        account = (s.account_number, s.product_code)
        key = (s.proposed, s.customer_number, *account, s.rule, s.episode)
        if s.kind == "raised":
            known[key] = Given(s.rule, *account, s.on_date.toordinal(), 0, s.carried)
            found.setdefault((s.proposed, s.customer_number), []).append(known[key])
        elif key in known:
            known[key].until = s.on_date.toordinal()
    return found


class _Found(NamedTuple):
    """A party's episodes of a rule, and which of them began since the sets parted."""

    episodes: list[Episode]
    begun: list[Episode]


class _Counted:
    """Alerts of parties on both sides, by rule, manager and month."""

    def __init__(
        self, from_on: date, through: date, sets: Sequence[Sequence[Limits]], zone: Any
    ) -> None:
        self._from_on, self._through, self._sets, self._zone = from_on, through, sets, zone
        self.rules: dict[bool, Counter[str]] = {p: Counter() for p in SIDES}
        self.months: dict[bool, Counter[str]] = {p: Counter() for p in SIDES}
        self.managers: dict[bool, Counter[str]] = {p: Counter() for p in SIDES}
        self.days: dict[bool, Counter[tuple[str, date]]] = {p: Counter() for p in SIDES}
        self.both: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()

    def midnight(self, day: date) -> datetime:
        return datetime(day.year, day.month, day.day, tzinfo=self._zone)

    def add(self, party: Party) -> None:
        begun: dict[bool, set[tuple[str, datetime]]] = {p: set() for p in SIDES}
        every = {**self._by_signals(party), **self._by_sums(party)}
        for (proposed, rule), found in every.items():
            for episode in found.begun:
                begun[proposed].add((rule, episode.at))
                on = business_date(episode.at, self._zone)
                self.rules[proposed][rule] += 1
                self.months[proposed][f"{on:%Y-%m}"] += 1
                self.managers[proposed][party.manager_code] += 1
                self.days[proposed][party.manager_code, on] += 1
        for rule, _ in begun[False] & begun[True]:
            self.both[rule] += 1
        for verdict in party.verdicts:
            self._compare(verdict, every)

    def _by_signals(self, party: Party) -> dict[tuple[bool, str], "_Found"]:
        active = {n: self.midnight(on) if on else None for n, on in party.active_from.items()}
        closed = {n: absences.as_of(one, self._through) for n, one in party.away.items()}
        away = absences_of({n: one for n, one in closed.items() if one}, self._zone)
        begin = self.midnight(self._from_on)
        left = {at for at, _ in away.values() if at >= begin}  # a leaving has no signal
        every = {}
        for (proposed, rule), crossings in party.crossings.items():
            if rule == outflows.RULE and len(active) > 1:
                continue
            found = episodes(rule, crossings, active, away)
            begun = [
                e for e in found if e.at in left or not party.carried.issuperset(e.raised_by)
            ]
            every[proposed, rule] = _Found(found, begun)
        return every

    def _by_sums(self, party: Party) -> dict[tuple[bool, str], "_Found"]:
        every = {}
        for proposed, sets in enumerate(self._sets) if party.moves else ():
            falls = outflows.judge(party.moves, sets, factors(), self._through).falls
            found = [fall.episode(n, self._zone) for n, fall in enumerate(falls, 1)]
            begun = [e for e, f in zip(found, falls, strict=True) if f.closed_on >= self._from_on]
            every[bool(proposed), outflows.RULE] = _Found(found, begun)
        return every

    def _compare(self, verdict: Any, every: dict[tuple[bool, str], "_Found"]) -> None:
        found = "confirmed" if verdict.confirmed else "false_alarm"
        self.verdicts[found] += 1
        for proposed, side in SIDES.items():
            held = every.get((proposed, verdict.rule), _Found([], []))
            if any(e.at <= verdict.at + NEAR and (e.ended_at is None or e.ended_at > verdict.at)
                   for e in held.episodes):  # fmt: skip
                self.verdicts[f"{found}_{side}"] += 1

    def result(self, tallies: dict[bool, dict[str, Tally]]) -> dict[str, Any]:
        rules = sorted({r for p in SIDES for r in (*self.rules[p], *tallies[p])})
        months = sorted({m for p in SIDES for m in self.months[p]})
        managers = sorted({m for p in SIDES for m in self.managers[p]})
        busiest: dict[bool, Counter[str]] = {p: Counter() for p in SIDES}
        for proposed in SIDES:
            for (manager, _), n in self.days[proposed].items():
                busiest[proposed][manager] = max(busiest[proposed][manager], n)
        return {
            "rules": {
                rule: {
                    side: {"alerts": self.rules[p][rule],
                           **tallies[p].get(rule, Tally()).figures()}
                    for p, side in SIDES.items()
                } | {"both": self.both[rule]}
                for rule in rules
            },
            "months": {m: {side: self.months[p][m] for p, side in SIDES.items()} for m in months},
            "managers": {
                m: {side: {"alerts": self.managers[p][m], "busiest_day": busiest[p][m]}
                    for p, side in SIDES.items()}
                for m in managers
            },
            "verdicts": dict(self.verdicts),
        }  # fmt: skip
