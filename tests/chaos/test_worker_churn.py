"""Workers join and leave a group every few seconds for a minute, under load: nothing changes."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from services.scoring import risk_model, signals
from shared.testing.servers import Servers
from tests.integration.test_worker_contribution import posted, still_open
from tests.load.bench_worker import rates_of
from tests.risk_live import figures, hand_made
from tests.workers import (
    Stream,
    WorkerSpace,
    described,
    opened_long_ago,
    replay_of,
    same_figures,
    small_bank,
)

SECONDS = 60
SLICES = 150
STAYS_S = 1.5  # two workers side by side, before the older one leaves


def publish_meanwhile(space: WorkerSpace, bank: Stream, until: threading.Event) -> None:
    """A slice at a time over the minute; what is left when it is over at once."""
    many = len(bank.events)
    for n in range(SLICES):
        begun = time.monotonic()
        space.publish(bank.events[n * many // SLICES : (n + 1) * many // SLICES])
        until.wait(max(0.0, SECONDS / SLICES - (time.monotonic() - begun)))


def churn(space: WorkerSpace, settings: dict[str, str]) -> list[float]:
    """Records that each worker took before the next one took over, killed or stopped."""
    taken = []
    oldest = space.start("w0", **settings)
    oldest.wait_ready()
    began = time.monotonic()
    while time.monotonic() - began < SECONDS:
        joined = space.start(f"w{(len(taken) + 1) % 3}", **settings)
        joined.wait_ready()
        time.sleep(STAYS_S)
        taken.append(oldest.metric("guanxi_messages_total"))
        if len(taken) % 2:
            oldest.kill()
        else:
            oldest.stop()
        oldest = joined
    return taken


@pytest.mark.timeout(400)
def test_a_minute_of_workers_that_join_and_leave_changes_nothing(
    servers: Servers, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    bank = small_bank(customers=400, days=120, per_day=300)
    bank.events[:0] = opened_long_ago(bank)
    risk = tmp_path / "model.json"
    risk_model.save(hand_made("CA-P"), risk)
    told = [described(), *rates_of()]
    space = WorkerSpace(servers, tmp_path, 6)
    over = threading.Event()
    load = threading.Thread(target=publish_meanwhile, args=(space, bank, over))
    try:
        space.describe(*told)
        load.start()
        taken = churn(
            space, {"GUANXI_RISK_MODEL": str(risk), "GUANXI_WORKER_RECORDS_MAX": "500"}
        )
        over.set()
        load.join()
        space.wait_committed(120)
        quiet = replay_of(bank.events, tmp_path / "events.jsonl", told, risk)
        found = space.customers()
        same_figures(found, bank)
        assert figures(found) == figures({c.customer_number: c for c in quiet.customers()})
        assert space.signals() == sorted(
            (msgspec.json.decode(signals.encode(one, with_position=False))
             for one in quiet.result.signals), key=lambda one: one["id"],
        )  # fmt: skip
        live: Counter[tuple[str, ...]] = Counter()
        for leaf in [*posted(space).values(), *still_open(space)]:
            live[leaf.account_number, leaf.product_code, leaf.component, leaf.period,
                 leaf.origin_period] += leaf.amount_minor  # fmt: skip
        assert {k: n for k, n in live.items() if n} == {
            k: n for k, n in quiet.result.leaves.items() if n
        }
        assert space.holes() == 0
        assert len(taken) >= 4, "too few came and went to prove anything"
        assert sum(taken[1:]) > len(bank.events) / 4, f"who came had little to do: {taken}"
        figure(
            f"workers: {len(taken)} took over in {SECONDS} s under load, {len(live):,} leaves and "
            f"{len(quiet.result.signals):,} signals as in the quiet run, holes 0"
        )
    finally:
        over.set()
        load.join()
        space.close()
