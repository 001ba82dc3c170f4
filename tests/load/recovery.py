"""`python -m tests.load.recovery`: how fast a worker takes its state from the log, and its memory.

A sample of customers is made by events; their records are then told again under other numbers, so
many as there are to be customers, in batches as the changelog is read. No Kafka: what is measured
is the taking. Of every customer the record that would be written again is the one that was told.
"""

import json
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Final

import numpy as np
import psutil
import typer

from services.scoring import model as models
from services.scoring import reference, risk_plan
from services.scoring.engine import Engine
from services.scoring.replay import Line
from services.scoring.restoring import restore
from services.scoring.risk_plan import NO_PLAN
from services.scoring.state import accounts_at
from services.scoring.watermark import Source
from shared.events.envelope import encode
from tests.load.bench_worker import rates_of
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, SOURCE, closed, transaction

PARTITIONS: Final = 8
SAMPLE: Final = 200
DAYS: Final = 3
BATCH: Final = 5_000  # records of one, as Faust hands a changelog over
AMOUNT: Final = 12_345
FAR: Final = FIRST_DAY.toordinal() + 3_000


def _engine(risk: bool, partitions: int = PARTITIONS) -> Engine:
    plan = risk_plan.plan_of(hand_made("CA-P")) if risk else NO_PLAN
    engine = Engine(models.load(), topic="bank.events", partitions=partitions, currency="CNY",
                    zone="Asia/Shanghai", plan=plan)  # fmt: skip
    engine.describe(SOURCE, Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    return engine


def _number(n: int) -> bytes:
    return b"C%09d" % n


def _account(n: int) -> bytes:
    return b"A%09d" % n


def _sample(risk: bool, rates: bool) -> list[tuple[bytes, bytes]]:
    """The records of customers with one account and a booking a day."""
    engine = _engine(risk, 1)
    if rates:
        for event in rates_of():
            reference.tell(engine, event)
    lines: list[Line] = []
    for d in range(DAYS):
        day = FIRST_DAY + timedelta(days=d)
        for n in range(SAMPLE):
            event = transaction(
                d * SAMPLE + n, _number(n).decode(), _account(n).decode(), AMOUNT, day
            )
            lines.append(Line(len(lines), _number(n), encode(event)))
        lines.append(Line(len(lines), None, encode(closed(day))))
    records = engine.apply(engine.read(0, lines, FAR), set()).records
    sample = [(key, value) for key, value in records if value is not None]
    accounts = [one for _, value in sample for one in accounts_at(value)[0]]
    assert len(accounts) == SAMPLE
    assert all((bool(one.ledger), bool(one.watch)) == (rates, risk) for one in accounts)
    return sample


def _batches(
    sample: list[tuple[bytes, bytes]], customers: int
) -> Iterator[tuple[int, list[tuple[bytes, bytes | None]]]]:
    """Batch after batch, of one partition after the other."""
    batch: list[tuple[bytes, bytes | None]] = []
    for n in range(customers):
        key, value = sample[n % SAMPLE]
        batch.append((_number(n), value.replace(_account(int(key[1:])), _account(n))))
        if len(batch) == BATCH or n == customers - 1:
            yield n // BATCH % PARTITIONS, batch
            batch = []


def _assert_as_written(engine: Engine, sample: list[tuple[bytes, bytes]], customers: int) -> None:
    """Of each customer it would write the very record that it was given: his accounts with their
    ledgers, entries and watches."""
    seen = 0
    for number, batch in _batches(sample, customers):
        partition, given = engine.partition(number), dict(batch)
        rows = np.array([partition.row(key.decode()) for key in given], np.int64)
        written = dict(partition.records(rows))
        wrong = [key for key in given if written.get(key) != given[key]]
        assert not wrong, f"{len(wrong)} are not what was given: {wrong[:3]}"
        seen += len(written)
    assert seen == customers


def main(
    customers: Annotated[int, typer.Option(min=1_000)] = 1_000_000,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[bool, typer.Option(help="a ledger on every account")] = False,
) -> None:
    """Measure the recovery of a worker that has all partitions, and what it takes of memory."""
    sample = _sample(risk, rates)
    engine, spent = _engine(risk), 0.0
    before = psutil.Process().memory_info().rss
    for partition, batch in _batches(sample, customers):
        begun = time.process_time()
        restore(engine.partition(partition), batch)
        spent += time.process_time() - begun
    begun = time.process_time()
    for one in engine.partitions.values():
        engine.recovered(one)
    armed = time.process_time() - begun
    counts, sums = zip(*(one.totals() for one in engine.partitions.values()), strict=True)
    assert sum(counts) == DAYS * customers, "a customer is missing"
    assert sum(s["CNY"] for s in sums) == DAYS * AMOUNT * customers
    taken = (psutil.Process().memory_info().rss - before) / 1e9
    _assert_as_written(engine, sample, customers)
    typer.echo(json.dumps({
        "customers": customers, "bytes_each": len(sample[0][1]), "risk": risk, "rates": rates,
        "rows_per_s": round(customers / spent), "timers_s": round(armed, 1),
        "memory_gb": round(taken, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
