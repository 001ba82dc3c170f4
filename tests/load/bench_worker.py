"""`python -m tests.load.bench_worker`: events a second through real workers, sums asserted.

Runs one worker and two, each on topics of its own, a fresh group and fresh state. They take the
openings of all accounts; then the topic is loaded while they wait. The clock runs from there to the
broker's report of the last commit; CPU is that of the processes, compiled code warm. Runs with as
many customers load the same events, made once. A month ends among them, so every account posts
leaves. Sums of customers are those of the events; leaves, posted and accrued, and the ids of
signals are those of an engine in this process. Prints one line of JSON for each measurement.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import chain, product
from pathlib import Path
from random import Random
from typing import Annotated, Any

import psutil
import typer

from services.scoring import risk_model, risk_plan
from services.scoring.engine import Engine
from shared.events.bank import AccountOpened, RateSet
from shared.events.envelope import Event, encode, wrap
from shared.ids import partition_of
from shared.testing.servers import Servers
from tests.load.earned import Earned, assert_same, earned_by, earned_in, new_engine
from tests.load.full_servers import broker_pid, full_servers
from tests.load.latest_rows import assert_figures, customers_in, records_in
from tests.load.pace import Published
from tests.risk_live import hand_made
from tests.workers import (
    FIRST_DAY,
    SOURCE,
    Worker,
    WorkerSpace,
    closed,
    described,
    instant,
    transaction,
)

PARTITIONS = 8
DAYS = 30
CUSTOMERS_MIN = 10
MID_MONTH = FIRST_DAY + timedelta(days=14)
_ROUNDS = "guanxi_worker_rounds_total"
STRIDE = 7_368_787  # a prime: whoever goes through all customers by it meets each once
RARE = (-3_500_000, 10_000_000, -1_000_000)  # three or four signals of 1,000 events, no storm


@dataclass
class Preloaded:
    """What the topic holds, by customer."""

    events: int
    sums: dict[str, int]
    counts: dict[str, int]
    bytes_each: float


def numbers_of(customers: int) -> list[str]:
    return [f"C{i:09d}" for i in range(customers)]


def openings_of(customers: int, first_day: date = FIRST_DAY) -> Iterator[Published]:
    """Both accounts of every customer, opened a year before: a rule asks nothing of younger ones,
    so that events on new accounts cost no features."""
    fact = AccountOpened(customer_number="CUSTOMER9", account_number="ACCOUNT-9",
                         product_code="CA-P", currency="CNY",
                         opened_on=first_day - timedelta(days=365))  # fmt: skip
    template = encode(wrap(fact, id="acct-ACCOUNT-9", source=SOURCE, time=instant(first_day),
                           businessdate=first_day))  # fmt: skip
    for i, number in enumerate(numbers_of(customers)):
        partition, key = partition_of(number, PARTITIONS), number.encode()
        of_customer = template.replace(b"CUSTOMER9", key)
        for n in range(2):
            yield partition, key, of_customer.replace(b"ACCOUNT-9", b"A%09d%d" % (i, n))


def records_of(
    events: int, customers: int, found: Preloaded, first_day: date = FIRST_DAY, days: int = DAYS,
    *, even: bool = False,
) -> Iterator[Published]:  # fmt: skip
    """Mild skew: the busiest customers come first; `even`: nobody comes twice before all have come
    once. Every day is closed. The customers and their accounts are those of `first_records_of`."""
    rng = Random(7)
    sums: defaultdict[str, int] = defaultdict(int)
    counts: defaultdict[str, int] = defaultdict(int)
    numbers = numbers_of(customers)
    places = [partition_of(n, PARTITIONS) for n in numbers]
    size = 0
    for day_number in range(days):
        day = first_day + timedelta(days=day_number)
        dated = template_of(day)
        for n in range(day_number * events // days, (day_number + 1) * events // days):
            i = n * STRIDE % customers if even else int(customers * rng.random() ** 2)
            amount = rng.randrange(-200_000, 300_000) or 1
            key = numbers[i].encode()
            account = b"A%09d%d" % (i, (n // customers if even else n) % 2)
            value = booked_of(dated, key, account, n, amount)
            sums[numbers[i]] += amount
            counts[numbers[i]] += 1
            size += len(value)
            yield places[i], key, value
        yield from closes_of(day)
    found.sums, found.counts, found.bytes_each = dict(sums), dict(counts), size / events


def closes_of(day: date) -> Iterator[Published]:
    """The close of a day, to every partition."""
    value = encode(closed(day))
    for partition in range(PARTITIONS):
        yield partition, None, value


def first_records_of(customers: int, day: date, minor: int) -> Iterator[Published]:
    """One event of so much on each of the two accounts of each customer."""
    dated = template_of(day)
    for i in range(customers):
        number = f"C{i:09d}"
        partition, key = partition_of(number, PARTITIONS), number.encode()
        for n in range(2):
            account = b"A%09d%d" % (i, n)
            yield partition, key, booked_of(dated, key, account, 10**9 + 2 * i + n, minor)


def template_of(day: date) -> bytes:
    template = encode(transaction(123456789, "CUSTOMER9", "ACCOUNT-9", 987654321, FIRST_DAY))
    return template.replace(FIRST_DAY.isoformat().encode(), day.isoformat().encode())


def booked_of(dated: bytes, key: bytes, account: bytes, n: int, amount: int) -> bytes:
    return (
        dated.replace(b"CUSTOMER9", key)
        .replace(b"ACCOUNT-9", account)
        .replace(b"123456789", b"%d" % n)
        .replace(b"987654321", b"%d" % amount)
    )


def _yard_us() -> float:
    """Microseconds of one json.loads of an event here and now: the machine's own pace."""
    value = encode(transaction(1, "C000000001", "A0000000011", 1, FIRST_DAY))
    best = 9.0
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(5000):
            json.loads(value)
        best = min(best, time.perf_counter() - begun)
    return best / 5000 * 1e6


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _run(
    space: WorkerSpace, bank: "_Bank", workers: int, gate: Path, settings: dict[str, str]
) -> dict[str, Any]:
    """One measurement; the workers wait until the events are there: they are preloaded."""
    broker = broker_pid(space.servers.kafka)
    gate.touch()
    space.send(bank.before())
    running = [
        space.start(f"w{n}", ("tests.load.gated_worker",), GUANXI_BENCH_GATE=str(gate), **settings)
        for n in range(workers)
    ]
    for worker in running:
        worker.wait_ready(180)
    space.wait_committed(max(120, bank.customers / 2_000))
    gate.unlink()
    found = bank.found
    begun = time.monotonic()
    space.send(bank.records)
    say(f"{found.events:,} events preloaded in {time.monotonic() - begun:.0f} s")
    yard = _yard_us()
    time.sleep(4)  # what the workers fetch ahead is fetched
    rows_before, rounds_before = records_in(space, "scoring.state"), _rounds(running)
    before = [_cpu_s(w.process.pid) for w in running]
    broker_before = _cpu_s(broker) if broker else 0.0
    begun = time.monotonic()
    gate.touch()
    space.wait_committed(600)
    wall = time.monotonic() - begun
    cpu = [_cpu_s(w.process.pid) - b for w, b in zip(running, before, strict=True)]
    broker_cpu = _cpu_s(broker) - broker_before if broker else 0.0
    rows = records_in(space, "scoring.state") - rows_before
    rounds = _rounds(running) - rounds_before
    memory = [psutil.Process(w.process.pid).memory_info().rss for w in running]
    holes = sum(w.metric("guanxi_holes") for w in running)
    assert holes == 0, f"{holes} records were never delivered"
    earned = _compared(space, bank)
    return {
        "workers": workers,
        "events": found.events,
        "bytes_each": round(found.bytes_each),
        "seconds": round(wall, 1),
        "events_per_s": round(found.events / wall),
        "state_rows_per_event": round(rows / found.events, 2),
        "events_per_round": round(found.events / rounds),
        "signals_per_1000_events": round(1000 * len(earned.signals) / found.events, 1),
        "posted_minor": sum(earned.posted.values()),
        "earned_minor": earned.by_component(),
        "worker_cpu_s": [round(c, 1) for c in cpu],
        "broker_cpu_s": round(broker_cpu, 1),
        "events_per_worker_cpu_s": round(found.events / sum(cpu)),
        "worker_cpu_us_per_event": round(sum(cpu) * 1e6 / found.events, 1),
        "worker_rss_mib": [round(one / 2**20) for one in memory],
        "yard_us": round(yard, 1),
        "customers_equal": len(found.sums),
    }


def _rounds(running: list[Worker]) -> float:
    return sum(w.metric(_ROUNDS) for w in running)


def _compared(space: WorkerSpace, bank: "_Bank") -> Earned:
    """What the workers have written, after it was held against what it must be."""
    begun, own = time.monotonic(), time.process_time()
    earned, latest = earned_in(space, bank.engine())
    assert_figures(customers_in(latest), bank.found.sums, bank.found.counts, rates=bank.rates)
    assert_same(earned, bank.expected)
    say(f"sums of {len(bank.found.sums):,} customers, leaves and {len(earned.signals):,} signals"
        f" compared in {time.monotonic() - begun:.0f} s,"
        f" {time.process_time() - own:.0f} s of CPU")  # fmt: skip
    return earned


def compile_ahead() -> None:
    """So that no measured worker compiles."""
    subprocess.run([sys.executable, "-m", "services.scoring.warm"], check=True,
                   stdout=subprocess.DEVNULL, env=os.environ)  # fmt: skip


def main(
    events: Annotated[int, typer.Option(min=1000)] = 1_000_000,
    customers: Annotated[list[int] | None, typer.Option(help="default: 50000")] = None,
    workers: Annotated[list[int] | None, typer.Option(help="default: 1 and 2")] = None,
    polls: Annotated[list[int] | None, typer.Option(help="records of one; default: 20000")] = None,
    risk: Annotated[bool, typer.Option(help="a model of three rules on every account")] = False,
    rates: Annotated[
        bool, typer.Option(help="rates for the contribution of every account")
    ] = False,
    even: Annotated[
        bool, typer.Option(help="each customer in turn: every event is a state row")
    ] = False,
    month_end: Annotated[bool, typer.Option(help="a month ends among the days")] = True,
    quick: Annotated[bool, typer.Option(help="a tenth of the events and customers")] = False,
) -> None:
    """Measure the scorer's throughput on a real broker."""
    part = 10 if quick else 1
    for size in customers or ():
        if size // part < CUSTOMERS_MIN:
            raise typer.BadParameter(f"{size} customers, not {CUSTOMERS_MIN * part} or more")
    compile_ahead()
    with full_servers() as found_servers, tempfile.TemporaryDirectory() as folder:
        for size in customers or [50_000]:
            begin = MID_MONTH if month_end else FIRST_DAY
            bank = made_bank(events // part, size // part, begin, risk=risk, rates=rates, even=even)
            for records_max, count in product(polls or [20_000], workers or [1, 2]):
                say(f"{count} workers, {bank.found.events:,} events over {bank.customers:,}"
                    f" customers, polls of {records_max:,}")  # fmt: skip
                _measure(found_servers, Path(folder), bank, count, records_max)


def say(line: str) -> None:
    typer.echo(line, err=True)


@dataclass
class _Bank:
    """What is loaded, what of the engine is on, and what must come of it."""

    customers: int
    begin: date
    records: list[Published]
    found: Preloaded
    risk: bool
    rates: bool
    even: bool
    expected: Earned = field(default_factory=Earned)

    def before(self) -> Iterator[Published]:
        """The day before is closed, so that each account's first look is behind it too."""
        yield from openings_of(self.customers, self.begin)
        yield from closes_of(self.begin - timedelta(days=1))

    def described(self) -> list[Event[Any]]:
        """Reference data."""
        return [described(from_on=self.begin), *(rates_of() if self.rates else ())]

    def engine(self) -> Engine:
        plan = risk_plan.plan_of(hand_made("CA-P", RARE)) if self.risk else risk_plan.NO_PLAN
        return new_engine(PARTITIONS, plan, self.described())


def made_bank(
    events: int, customers: int, begin: date, *, risk: bool, rates: bool, even: bool
) -> _Bank:
    """Its events are made once for all runs, and what comes of them is."""
    found = Preloaded(events, {}, {}, 0.0)
    records = list(records_of(events, customers, found, begin, even=even))
    bank = _Bank(customers, begin, records, found, risk, rates, even)
    begun = time.monotonic()
    bank.expected = earned_by(bank.engine(), chain(bank.before(), records))
    month_ended = (begin.month != (begin + timedelta(days=DAYS)).month) and rates
    assert bool(bank.expected.posted) == month_ended, "leaves are posted when a month ends"
    say(f"{events:,} events taken by an engine in this process in {time.monotonic() - begun:.0f} s,"
        f" {len(bank.expected.signals):,} signals, {bank.expected.by_component()}")  # fmt: skip
    return bank


def rates_of() -> Iterator[Event[Any]]:
    """So that every booking moves interest, margin and cost."""
    facts = [
        RateSet(kind=kind, product_code="CA-P", from_on=FIRST_DAY, value=value)
        for kind, value in (("transfer_price", 21_000), ("customer_rate", 2_000), ("margin", 9_000))
    ]
    facts += [
        RateSet(kind="cost_driver", driver_code=driver, from_on=FIRST_DAY, currency="CNY", value=30)
        for driver in ("card", "account_day")
    ]
    for fact in facts:
        yield wrap(fact, id=f"rate-{fact.entry}", source=SOURCE, time=instant(FIRST_DAY),
                   businessdate=FIRST_DAY)  # fmt: skip


def _measure(found: Servers, folder: Path, bank: _Bank, workers: int, records_max: int) -> None:
    settings = {"GUANXI_WORKER_RECORDS_MAX": str(records_max)}
    if bank.risk:
        file = folder / "model.json"
        risk_model.save(hand_made("CA-P", RARE), file)
        settings["GUANXI_RISK_MODEL"] = str(file)
    space = WorkerSpace(found, folder, PARTITIONS)
    try:
        space.describe(*bank.described())
        gate = folder / f"go-{workers}-{records_max}-{bank.customers}"
        measured = _run(space, bank, workers, gate, settings)
        stamp = {"customers": bank.customers, "polls_of": records_max, "even": bank.even}
        typer.echo(json.dumps(stamp | measured))
    finally:
        space.close()


if __name__ == "__main__":
    typer.run(main)
