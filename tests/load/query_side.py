"""How fast the services' query sides take the bank's events, sums asserted."""

import random
import time
from typing import Any

from tests.load.stage import Bench

EVENTS = 60_000
READERS = ("customer", "orders", "scoring")


def run(bench: Bench, *, quick: bool) -> dict[str, Any]:
    """Preloads payments while nobody may keep up, then says how many rows/s each reader took."""
    count = 5_000 if quick else EVENTS
    rng = random.Random(5)
    before = _balance(bench)
    amounts = [1 + rng.randrange(900) for _ in range(count)]
    stamp = time.time_ns()
    starts = {reader: _applied(bench, reader) for reader in READERS}
    began = time.monotonic()
    for at in range(0, count, 2000):
        bench.publish(
            *(
                bench.booked(rng.choice(bench.customers), amount, f"q{stamp}-{at + n}")
                for n, amount in enumerate(amounts[at : at + 2000])
            )
        )
    published_s = time.monotonic() - began
    took: dict[str, float] = {}

    def all_done() -> bool:
        for reader in READERS:
            if reader not in took and _applied(bench, reader) - starts[reader] >= count:
                took[reader] = time.monotonic() - began
        return len(took) == len(READERS)

    bench.wait(all_done, "every reader has applied all events", 900)
    bench.wait(lambda: bench.lag() == 0, "nobody has anything to apply", 300)
    assert _balance(bench) - before == sum(amounts), "customer's balances miss money"
    assert bench.difference() == 0
    return {
        "events": count,
        "publish_per_s": round(count / published_s),
        **{f"{reader}_rows_per_s": round(count / s) for reader, s in took.items()},
        "sum_minor": sum(amounts),
    }


def _balance(bench: Bench) -> int:
    return int(bench.rows("customer", "select sum(balance_minor) from accounts")[0][0])


def _applied(bench: Bench, reader: str) -> int:
    return sum(bench.positions(reader)["bank.events"].values())
