"""Settles the turnover of closed days: tells what has left its usual (rules.cusum), and by when.

Turnover is what customers move by themselves, in the bank's currency; what the bank books alone
(interest, fees) says nothing of them. A day is settled once, when all partitions have closed it
and the event store has read as far as the worker had. What comes for a settled day counts on the
next one: of each partition the store's reach is kept, so every event counts once. Several days at
once give the same as one by one, but for events that came late.

A step is one transaction: memories, changes and the day. It costs what customers moved money in its
days, and those whose silence could be a change by now.
"""

import threading
from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import structlog
from prometheus_client import Counter
from sqlalchemy import insert, text

from services.scoring.commands.copying import copy_rows, staged
from services.scoring.commands.rounds import alone, in_rounds
from services.scoring.queries import months
from services.scoring.queries.events import BOOKED, FIRST
from services.scoring.rules import cusum
from services.scoring.settings import ScoringSettings, home_currency
from services.scoring.turnover_tables import TurnoverChangeRow, TurnoverSettledRow
from shared import positions
from shared.db import Tx
from shared.forgetting import Aging
from shared.money import MINOR_MAX
from shared.runtime import Runtime

log = structlog.get_logger()

CHANGES = Counter(
    "guanxi_turnover_changes_total", "Abnormal changes of turnover found, since the start",
    ["dimension", "direction"],
)  # fmt: skip
TOPIC = "bank.events"
ROUND_S = 1.0
FIGURES_AT_ONCE = 100_000  # of a step that takes several days; a day is never split
DAYS_AT_ONCE = 64
DAYS_AT_MOST = 7_300  # that one looks back for the first day
SETTLED = text("select through_on, reach from turnover_settled order by 1 desc limit 1")
TOLD = text("select partition, position + 1 as next from control_totals")
BEGINNING = text("select min(businessdate) from bank_events where type = :booked")
_TURNOVER = f"""e.type = :booked and e.currency = :currency and e.initiated_by = 'customer'
              and {FIRST}"""
# Of these days, and late ones that no step has seen; they count on the first of the days.
GATHER = text(
    f"""
    insert into turnover_of_days (on_date, dimension, code, minor)
    with reach as (
      select * from unnest(cast(:partitions as int[]), cast(:nexts as bigint[]),
                           cast(:seen as bigint[])) as r(partition, next, seen)),
    moved as materialized (
      select x.on_date, x.customer_number, x.product_code, sum(abs(x.amount_minor)) as minor
        from (
          select e.businessdate as on_date, e.customer_number, e.product_code, e.amount_minor
            from bank_events e join reach r on r.partition = e.partition
           where e.businessdate between :first and :last and e.event_offset < r.next
             and {_TURNOVER}
          union all
          select cast(:first as date), e.customer_number, e.product_code, e.amount_minor
            from reach r join bank_events e on e.partition = r.partition
             and e.event_offset >= r.seen and e.event_offset < r.next
           where e.businessdate < :first and {_TURNOVER}) x
       group by 1, 2, 3),
    customers as materialized (
      select on_date, customer_number, sum(minor) as minor from moved group by 1, 2),
    series as (
      select on_date, 'customer' as dimension, customer_number as code, minor from customers
      union all
      select on_date, 'product', product_code, sum(minor) from moved group by 1, 3
      union all
      select c.on_date, 'branch', coalesce(n.branch_code, n.home_branch_code), sum(c.minor)
        from customers c join numbers n using (customer_number) group by 1, 3)
    select on_date, dimension, code, least(minor, {MINOR_MAX})
      from series where code is not null and minor > 0
    """  # noqa: S608 - names are ours
)
_DAY = "- date '0001-01-01' + 1"
FIGURES = text(
    f"select on_date {_DAY} as day, dimension, code, minor from turnover_of_days order by 1"  # noqa: S608
)
MEMORIES = text(
    f"""
    select m.dimension, m.code, m.memory, m.look_on {_DAY} as look
      from turnover_memory m
      join (select distinct dimension, code from turnover_of_days) d using (dimension, code)
    union all
    select m.dimension, m.code, m.memory, m.look_on {_DAY}
      from turnover_memory m where m.look_on <= :last
       and not exists (select from turnover_of_days d
                        where (d.dimension, d.code) = (m.dimension, m.code))
    """  # noqa: S608 - names are ours
)
MEMORY_COLUMNS = ("dimension", "code", "memory", "look_on")
KEEP = text(
    """
    insert into turnover_memory (dimension, code, memory, look_on)
    select dimension, code, memory, look_on from turnover_memories order by 1, 2
    on conflict (dimension, code) do update
       set memory = excluded.memory, look_on = excluded.look_on
    """
)
FORGET = text(
    """
    delete from turnover_changes where ctid in (
      select ctid from turnover_changes where on_date < cast(:before as date) limit :rows)
    returning 1
    """
)
AGING = Aging(
    "turnover_changes", FORGET, lambda settings: settings.story_kept_days, bank_clock=True
)


def settle_days(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, settles what the bank has closed."""
    if not ScoringSettings().watch_turnover:
        log.info("turnover_not_watched")
        return
    in_rounds(runtime, stop, Settler().step, ROUND_S, "turnover_not_settled")


class Settler:
    """Settles day after day. Remembers only what may be asked again: a fence and a pace."""

    def __init__(self) -> None:
        self._until: date | None = None
        self._fence: dict[int, int] = {}
        self._days = 1

    def step(self, tx: Tx) -> bool:
        """One transaction of the work; False: there is nothing to do now."""
        if not alone(tx, ".turnover"):
            return False
        settled = tx.session.execute(SETTLED).one_or_none()
        first = settled.through_on + timedelta(days=1) if settled else _beginning(tx)
        if first is None or not self._closed(tx, first):
            return False
        assert self._until is not None
        reach = positions.stored(tx.session, TOPIC)
        last = min(first + timedelta(days=self._days - 1), self._until)
        seen = {int(p): at for p, at in settled.reach.items()} if settled else reach
        figures = _settle(tx, first, last, reach, seen)
        days = (last - first).days + 1
        self._days = min(max(FIGURES_AT_ONCE * days // max(figures, 1), 1), DAYS_AT_ONCE)
        return True

    def _closed(self, tx: Tx, day: date) -> bool:
        """Have all partitions closed the day, and has the store read as far as the worker had?

        The fence stays until it is passed: one that moved on could stay ahead for ever.
        """
        if self._until is None or self._until < day:
            self._until = months.closed_through(tx.session)
            self._fence = {row.partition: row.next for row in tx.session.execute(TOLD)}
        if self._until is None or self._until < day:
            return False
        return positions.passed(tx.session, TOPIC, self._fence)


def _beginning(tx: Tx) -> date | None:
    """The first day that has something; None before anything is stored or closed."""
    closed = months.closed_through(tx.session)
    if closed is None:
        return None
    found: date | None = tx.session.execute(BEGINNING, {"booked": BOOKED}).scalar_one()
    if found is None:
        return None
    return max(found, closed - timedelta(days=DAYS_AT_MOST))


def _settle(
    tx: Tx, first: date, last: date, reach: dict[int, int], seen: dict[int, int]
) -> int:  # fmt: skip
    """These days, one by one. Returns how many figures they had."""
    staged(tx, "turnover_of_days", "on_date date, dimension text, code text, minor bigint")
    asked = {
        "booked": BOOKED, "currency": home_currency(), "first": first, "last": last,
        "partitions": list(reach), "nexts": list(reach.values()),
        "seen": [seen.get(partition, 0) for partition in reach],
    }  # fmt: skip
    tx.session.execute(GATHER, asked)
    figures = tx.session.execute(FIGURES).all()
    series = _Series(tx.session.execute(MEMORIES, {"last": last}).all(), figures)
    changes = [
        change
        for day in range(first.toordinal(), last.toordinal() + 1)
        for change in series.settle(day)
    ]
    staged(tx, "turnover_memories", "dimension text, code text, memory bytea, look_on date")
    copy_rows(tx, "turnover_memories", MEMORY_COLUMNS, series.rows())
    tx.session.execute(KEEP)
    if changes:
        tx.session.execute(insert(TurnoverChangeRow), changes)
        found = Counts((row["dimension"], row["direction"]) for row in changes)
        tx.after_commit.append(lambda: _count(found))
    tx.session.execute(
        insert(TurnoverSettledRow),
        {"through_on": last, "reach": {str(p): at for p, at in reach.items()}},
    )
    return len(figures)


class _Series:
    """All series that a step looks at, and their turnover of its days. Days are day numbers."""

    def __init__(self, memories: Sequence[Any], figures: Sequence[Any]) -> None:
        self._names = [(row.dimension, row.code) for row in memories]
        places = {name: n for n, name in enumerate(self._names)}
        rows = [places.setdefault((f.dimension, f.code), len(places)) for f in figures]
        self._names = list(places)
        self._memory = np.zeros(len(places), cusum.MEMORY)
        known = np.frombuffer(b"".join(row.memory for row in memories), cusum.MEMORY)
        self._memory[: len(known)] = known
        self._look = np.zeros(len(places), np.int64)
        self._look[: len(known)] = [row.look or 0 for row in memories]
        self._rows = np.array(rows, np.int64)
        self._minor = np.array([f.minor for f in figures], np.int64)
        self._days = np.array([f.day for f in figures], np.int64)

    def settle(self, day: int) -> list[dict[str, Any]]:
        """The series that move money on this day, and those whose silence may be a change."""
        begin, end = np.searchsorted(self._days, (day, day + 1))
        turnover = np.zeros(len(self._memory), np.int64)
        turnover[self._rows[begin:end]] = self._minor[begin:end]
        due = np.flatnonzero((turnover > 0) | ((self._look > 0) & (self._look <= day)))
        part = self._memory[due]
        changes = cusum.settle(part, day, turnover[due])
        self._memory[due] = part
        self._look[due] = cusum.look_on(part)
        return [_row(self._names[due[change.row]], change) for change in changes]

    def rows(self) -> Iterator[tuple[str, str, bytes, date | None]]:
        for (dimension, code), memory, look in zip(
            self._names, self._memory, self._look.tolist(), strict=True
        ):
            yield dimension, code, memory.tobytes(), date.fromordinal(look) if look else None


def _row(name: tuple[str, str], change: cusum.Change) -> dict[str, Any]:
    return {
        "dimension": name[0],
        "code": name[1],
        "on_date": date.fromordinal(change.on),
        "direction": change.direction,
        "since_on": date.fromordinal(change.since),
        "size_micro": change.size_micro,
        "minor": change.minor,
        "usual_minor": change.usual_minor,
    }


def _count(found: Counts[tuple[str, str]]) -> None:
    for (dimension, direction), number in found.items():
        CHANGES.labels(dimension, direction).inc(number)
