"""`python -m tests.load.bench_worker`: events a second through real workers, sums asserted.

Runs one worker and two, each on a fresh group and fresh state. They take the openings of all
accounts; then the topic is loaded while they wait. The clock runs from there to the broker's report
of the last commit; CPU is that of the processes, compiled code warm. Prints one line of JSON for
each measurement.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product
from pathlib import Path
from random import Random
from typing import Annotated, Any

import psutil
import typer

from services.scoring import risk_model
from shared.events.bank import AccountOpened, RateSet
from shared.events.envelope import Event, encode, wrap
from shared.ids import partition_of
from shared.testing.servers import Servers, servers
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, SOURCE, WorkerSpace, closed, described, instant, transaction

PARTITIONS = 8
DAYS = 30
_ROWS = "guanxi_worker_state_rows_total"
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


def openings_of(
    customers: int, first_day: date = FIRST_DAY
) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Both accounts of every customer, opened a year before: a rule asks nothing of younger ones,
    so that events on new accounts cost no features."""
    for i, number in enumerate(numbers_of(customers)):
        for n in range(2):
            account = f"A{i:09d}{n}"
            fact = AccountOpened(customer_number=number, account_number=account,
                                 product_code="CA-P", currency="CNY",
                                 opened_on=first_day - timedelta(days=365))  # fmt: skip
            event = wrap(fact, id=f"acct-{account}", source=SOURCE, time=instant(first_day),
                         businessdate=first_day)  # fmt: skip
            yield partition_of(number, PARTITIONS), number.encode(), encode(event)


def records_of(
    events: int, customers: int, found: Preloaded, first_day: date = FIRST_DAY, days: int = DAYS
) -> Iterator[tuple[int, bytes | None, bytes]]:
    """Mild skew: the busiest customers come first. Every day is closed. The customers and their
    accounts are those of `first_records_of`."""
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
            i = int(customers * rng.random() ** 2)
            amount = rng.randrange(-200_000, 300_000) or 1
            key = numbers[i].encode()
            value = booked_of(dated, key, b"A%09d%d" % (i, n % 2), n, amount)
            sums[numbers[i]] += amount
            counts[numbers[i]] += 1
            size += len(value)
            yield places[i], key, value
        yield from closes_of(day)
    found.sums, found.counts, found.bytes_each = dict(sums), dict(counts), size / events


def closes_of(day: date) -> Iterator[tuple[int, bytes | None, bytes]]:
    """The close of a day, to every partition."""
    value = encode(closed(day))
    for partition in range(PARTITIONS):
        yield partition, None, value


def first_records_of(
    customers: int, day: date, minor: int
) -> Iterator[tuple[int, bytes | None, bytes]]:
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


def _broker_pid(address: str) -> int | None:
    port = int(address.split(",", maxsplit=1)[0].rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            return connection.pid
    return None


def _run(
    space: WorkerSpace, bank: "_Bank", workers: int, gate: Path, settings: dict[str, str]
) -> dict[str, Any]:
    """One measurement; the workers wait until the events are there: they are preloaded."""
    broker = _broker_pid(space.servers.kafka)
    gate.touch()
    space.send(openings_of(bank.customers))
    running = [
        space.start(f"w{n}", ("tests.load.gated_worker",), GUANXI_BENCH_GATE=str(gate), **settings)
        for n in range(workers)
    ]
    for worker in running:
        worker.wait_ready(180)
    space.wait_committed(120)
    gate.unlink()
    found = Preloaded(bank.events, {}, {}, 0.0)
    begun = time.monotonic()
    space.send(records_of(bank.events, bank.customers, found))
    typer.echo(f"{bank.events:,} events preloaded in {time.monotonic() - begun:.0f} s", err=True)
    yard = _yard_us()
    time.sleep(4)  # what the workers fetch ahead is fetched
    rows_before = sum(w.metric(_ROWS) for w in running)
    before = [_cpu_s(w.process.pid) for w in running]
    broker_before = _cpu_s(broker) if broker else 0.0
    begun = time.monotonic()
    gate.touch()
    space.wait_committed(600)
    wall = time.monotonic() - begun
    cpu = [_cpu_s(w.process.pid) - b for w, b in zip(running, before, strict=True)]
    broker_cpu = _cpu_s(broker) - broker_before if broker else 0.0
    rows = sum(w.metric(_ROWS) for w in running) - rows_before
    signals = len(space.read("scoring.signals"))
    holes = sum(w.metric("guanxi_holes") for w in running)
    assert holes == 0, f"{holes} records were never delivered"
    customers = {n: c for n, c in space.customers().items() if c.count}
    assert {n: c.sum_minor for n, c in customers.items()} == found.sums
    assert {n: c.count for n, c in customers.items()} == found.counts
    return {
        "workers": workers,
        "events": found.events,
        "bytes_each": round(found.bytes_each),
        "seconds": round(wall, 1),
        "events_per_s": round(found.events / wall),
        "state_rows_per_event": round(rows / found.events, 2),
        "signals_per_1000_events": round(1000 * signals / bank.events, 1),
        "worker_cpu_s": [round(c, 1) for c in cpu],
        "broker_cpu_s": round(broker_cpu, 1),
        "events_per_worker_cpu_s": round(found.events / sum(cpu)),
        "yard_us": round(yard, 1),
        "customers_equal": len(customers),
    }


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
    quick: Annotated[bool, typer.Option(help="a tenth of the events and customers")] = False,
) -> None:
    """Measure the scorer's throughput on a real broker."""
    compile_ahead()
    part = 10 if quick else 1
    with servers() as found_servers, tempfile.TemporaryDirectory() as folder:
        for size, records_max, count in product(
            customers or [50_000], polls or [20_000], workers or [1, 2]
        ):
            bank = _Bank(events // part, size // part, risk, rates)
            _measure(found_servers, Path(folder), bank, count, records_max)


@dataclass(frozen=True)
class _Bank:
    """What is loaded, and what of the engine is on."""

    events: int
    customers: int
    risk: bool
    rates: bool


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
        space.describe(described(), *(rates_of() if bank.rates else ()))
        gate = folder / f"go-{workers}-{records_max}-{bank.customers}"
        measured = _run(space, bank, workers, gate, settings)
        stamp = {"customers": bank.customers, "polls_of": records_max}
        typer.echo(json.dumps(stamp | measured))
        ledgers = [a.ledger for c in space.customers().values() for a in c.accounts]
        assert all(ledgers) == bank.rates, "contribution was not what was to be measured"
    finally:
        space.close()


if __name__ == "__main__":
    typer.run(main)
