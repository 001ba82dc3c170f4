"""`python -m tests.load.idle_days`: CPU of a closed day on which nobody comes, by alerts due.

One account is made by events; its rows are then laid out so many times as there are customers. A
day without a look due must cost the same for ten thousand and for ten million.
"""

import time
from array import array
from datetime import timedelta
from typing import Annotated, Final

import numpy as np
import typer

from services.scoring import model as models
from services.scoring import risk_plan
from services.scoring.engine import Engine
from services.scoring.partition import Partition
from services.scoring.replay import Line
from services.scoring.rows import ACCOUNT_WORDS, CUSTOMER_WORDS
from services.scoring.scores.watching import ACCOUNTS, DUE, PLACE, PLACE_WORDS, WORDS
from services.scoring.watermark import Source
from shared.events.envelope import encode
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, closed, transaction

DAYS: Final = 15  # of each measurement: the median counts
FAR: Final = FIRST_DAY.toordinal() + 3_000
OWN: Final = WORDS[ACCOUNTS]


def _engine() -> Engine:
    """A bank of one account with one booking, whose day is closed."""
    engine = Engine(models.load(), topic="bank.events", partitions=1, currency="CNY",
                    zone="Asia/Shanghai", plan=risk_plan.plan_of(hand_made("CA-P")))  # fmt: skip
    engine.describe("core", Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    booked = Line(0, b"C0", encode(transaction(1, "C0", "A0", 90_000, FIRST_DAY)))
    _take(engine, [booked, Line(1, None, encode(closed(FIRST_DAY)))])
    return engine


def _take(engine: Engine, lines: list[Line]) -> int:
    """Returns the records written."""
    outcome = engine.apply(engine.read(0, lines, FAR), set())
    return len(outcome.records)


def _lay_out(one: Partition, customers: int) -> None:
    """So many customers as the one there is, all to be looked at on a far day."""
    every = np.arange(customers)
    first = one.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS)[0]
    one.customers = np.tile(first, (customers, 1)).view(one.customers.dtype).reshape(-1)
    first = one.accounts.view(np.int64).reshape(-1, ACCOUNT_WORDS)[0]
    one.accounts = np.tile(first, (customers, 1)).view(one.accounts.dtype).reshape(-1)
    one.watched.pool = np.tile(one.watched.pool[:OWN], customers)
    one.watched.pool[DUE::OWN] = FAR
    one.watched.places = np.zeros((customers, PLACE_WORDS), np.int64)
    one.watched.places[:, PLACE] = every * OWN
    one.watched.heads = np.full(customers, -1, np.int64)
    one.watched.looks = np.full(customers, FAR, np.int64)
    one.first_account, one.next_account = every, np.full(customers, -1, np.int64)
    one.armed, one.stamps = np.full(customers, FAR, np.int64), np.zeros(customers, np.int64)
    one.timers.buckets, one.timers.days = {FAR: array("i", every.tolist())}, [FAR]


def _make_due(one: Partition, first: int, looks: int, day: int) -> None:
    rows = np.arange(first, first + looks)
    one.watched.pool[DUE + rows * OWN] = day
    one.watched.looks[rows] = one.armed[rows] = day
    one.timers.arm(rows, np.full(looks, day))


def _day_ms(customers: int, looks: int) -> float:
    """CPU of the median day: so many looks each day, at other customers every day."""
    engine = _engine()
    one = engine.partition(0)
    _lay_out(one, customers)
    found = []
    for n in range(1, DAYS + 1):
        day = FIRST_DAY + timedelta(days=n)
        _make_due(one, (n - 1) * looks, looks, day.toordinal())
        begun = time.process_time()
        written = _take(engine, [Line(1 + n, None, encode(closed(day)))])
        found.append((time.process_time() - begun) * 1e3)
        assert written == 0, "a look that changes nothing is not written"
        rows = slice((n - 1) * looks, n * looks)
        assert (one.watched.looks[rows] > day.toordinal()).all(), "all were looked at"
    assert (one.watched.looks[DAYS * looks :] == FAR).all(), "and nobody else"
    return sorted(found)[DAYS // 2]


def main(
    customers: Annotated[int, typer.Option(min=100_000)] = 10_000_000,
    few: Annotated[int, typer.Option(min=1_000)] = 10_000,
) -> None:
    """Measure the closed days of silent customers."""
    _day_ms(few, 1)  # compiles
    idle = {}
    for n in (few, customers):
        idle[n] = _day_ms(n, 0)
        typer.echo(f"{n:,} customers, nobody due: {idle[n]:.2f} ms of CPU a day")
    for looks in (100, customers // 1_000 // DAYS * 10):
        spent = _day_ms(customers, looks)
        typer.echo(f"{customers:,} customers, {looks:,} due: {spent:.2f} ms of CPU a day, "
                   f"{(spent - idle[customers]) / looks * 1e3:.2f} us each")  # fmt: skip
    assert idle[customers] < 3 * idle[few] + 1, "an idle day costs by the customer"


if __name__ == "__main__":
    typer.run(main)
