"""`python -m tests.load.event_cost`: CPU of an event by phase, in a bank of so many customers.

No Kafka: the engine alone. Every event of a day is of another customer, so that rows written and
looks taken are one an event however many customers there are: what grows is the cost of memory.
"""

import json
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from datetime import date, timedelta
from multiprocessing import get_context
from random import Random
from typing import Annotated, Any, Final
from unittest import mock

import typer

from services.scoring import model as models
from services.scoring import partition as partitions
from services.scoring import produced, reading, reference, risk_plan, scanning, stepping
from services.scoring.engine import Engine, Outcome
from services.scoring.records import Records, laid_out
from services.scoring.replay import Line
from services.scoring.scores.account_features import OPENED_ON
from services.scoring.scores.watching import ACCOUNTS, DUE, HEAD, WORDS
from services.scoring.watermark import Source
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.load.bench_worker import PARTITIONS, RARE, booked_of, rates_of, template_of
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, closed

DAYS: Final = 4  # the first is not counted; a day more, and silences of the first are looked at
LATEST: Final = FIRST_DAY.toordinal() + 100
BATCH_BYTES: Final = 900_000
LOAD: Final = 5_000  # events at once before anything is measured


Spent = Counter[str]  # CPU by phase, in ns


def _timed(spent: Spent, phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def timed(*given: Any, **named: Any) -> Any:
        begun = time.process_time_ns()
        found = function(*given, **named)
        spent[phase] += time.process_time_ns() - begun
        return found

    return timed


def _engine() -> Engine:
    engine = Engine(
        models.load(), topic="bank.events", partitions=PARTITIONS, currency="CNY",
        zone="Asia/Shanghai", plan=risk_plan.plan_of(hand_made("CA-P", RARE)),
    )  # fmt: skip
    engine.describe("core", Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    for fact in rates_of():
        reference.tell(engine, fact)
    return engine


def _age(one: partitions.Partition) -> None:
    """Accounts that rules ask about, all to be looked at on a far day unless something comes."""
    words, far, rows = WORDS[ACCOUNTS], LATEST + 900, len(one.numbers)
    pool = one.watched.pool[: words * len(one.account_keys)]  # what is behind takes no memory
    pool[HEAD + OPENED_ON :: words] -= 365
    pool[DUE::words] = one.watched.looks[:rows] = one.armed[:rows] = far
    one.timers.buckets, one.timers.days = {far: array("i", range(rows))}, [far]


class Bank:
    """The engine and its customers, each with two accounts that are a year old."""

    def __init__(self, customers: int) -> None:
        self.engine, self._rng = _engine(), Random(7)
        self._offsets, self._n = [0] * PARTITIONS, 0
        self.of_each: list[list[int]] = [[] for _ in range(PARTITIONS)]
        for i in range(customers):
            self.of_each[partition_of(b"C%09d" % i, PARTITIONS)].append(i)
        for number, of_one in enumerate(self.of_each):
            every = [(i, n) for i in of_one for n in range(2)]
            for begin in range(0, len(every), LOAD):
                self.take(number, self._lines(number, every[begin : begin + LOAD], FIRST_DAY))
            self.take(number, self._close(number, FIRST_DAY))
            _age(self.engine.partition(number))

    def day(self, day: date, events: int) -> Iterator[tuple[int, Records]]:
        """A batch of each partition, of so many customers; the last record closes the day."""
        for number, of_one in enumerate(self.of_each):
            chosen = [(i, i & 1) for i in self._rng.sample(of_one, events)]
            lines = self._lines(number, chosen, day) + self._close(number, day)
            yield number, laid_out(lines)

    def take(self, number: int, records: Any) -> Outcome:
        return self.engine.apply(self.engine.read(number, records, LATEST), set())

    def _lines(self, number: int, accounts: list[tuple[int, int]], day: date) -> list[Line]:
        on, found = template_of(day), []
        for i, n in accounts:
            key, amount = b"C%09d" % i, self._rng.randrange(-200_000, 300_000) or 1
            value = booked_of(on, key, b"A%09d%d" % (i, n), self._n, amount)
            found.append(Line(self._offsets[number], key, value))
            self._n += 1
            self._offsets[number] += 1
        return found

    def _close(self, number: int, day: date) -> list[Line]:
        self._offsets[number] += 1
        return [Line(self._offsets[number] - 1, None, encode(closed(day)))]


def _watch(spent: Spent, stack: ExitStack) -> None:
    """The phases, each by the function that is all of it."""
    for where, name, phase in (
        (reading.Scanned, "__init__", "find"), (reading.Scanned, "choose", "price"),
        (scanning, "scan", "decode"), (reading, "_together", "columns"),
        (stepping.Run, "step", "step"), (stepping.Run, "fire", "close"),
        (partitions.Partition, "records", "pack"),
    ):  # fmt: skip
        timed = _timed(spent, phase, getattr(where, name))
        stack.enter_context(mock.patch.object(where, name, timed))


def _written(outcome: Outcome) -> int:
    return sum(len(batch._build()) for batch in produced.batches(outcome.records.rows, BATCH_BYTES))


def measure(customers: int, events: int, days: int = DAYS) -> dict[str, Any]:
    """CPU of an event; so many events of each partition on each day."""
    bank, spent = Bank(customers), Spent()
    rows = size = 0
    write, take = _timed(spent, "write", _written), _timed(spent, "whole", bank.take)
    with ExitStack() as stack:
        _watch(spent, stack)
        for n in range(1, days + 1):
            batches = list(bank.day(FIRST_DAY + timedelta(days=n), events))
            if n == 2:
                spent.clear()
                rows = size = 0
            for number, records in batches:
                outcome = take(number, records)
                size += write(outcome)
                rows += len(outcome.records)
                assert outcome.counts["applied"] == events + 1, "the events and the close"
                assert len(outcome.records) >= events, "each moves a customer of its own"
    return {"customers": customers} | _figures(spent, events * PARTITIONS * (days - 1), rows, size)


def _figures(spent: Spent, events: int, rows: int, size: int) -> dict[str, Any]:
    spent["find"] -= spent["decode"]  # which is a part of it
    return {
        "us_an_event": round((spent["whole"] + spent["write"]) / events / 1e3, 2),
        "rows_an_event": round(rows / events, 2),
        "bytes_a_row": round(size / rows),
        "by_phase": {phase: round(ns / events / 1e3, 2) for phase, ns in sorted(spent.items())},
    }


def main(
    customers: Annotated[list[int] | None, typer.Option(help="default: 10^4, 10^5, 10^6")] = None,
    events: Annotated[int, typer.Option(help="of a partition and day")] = 1000,
) -> None:
    """Measure what an event costs in banks of these sizes."""
    for size in customers or [10_000, 100_000, 1_000_000]:
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:  # each in memory of its own
            typer.echo(json.dumps(alone.submit(measure, size, events).result()))


if __name__ == "__main__":
    typer.run(main)
