"""How fast a rehearsal runs over the stored events, and how much memory it takes.

`python -m tests.load.rehearsal_rate [EVENTS ...]`: on the servers of the environment, each size in
topics and a schema of its own. The rehearsal is a process, as in operation; its peak is its own.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import psutil

from services.scoring import risk_model
from services.scoring.commands import rehearsals, rule_sets
from services.scoring.queries import rule_sets as queries
from shared.testing.servers import Servers
from shared.testing.space import Space
from tests.integration.worker_room import PARTITIONS, Room
from tests.load.full_servers import full_servers
from tests.risk_live import hand_made
from tests.rule_sets import PRODUCT, stricter
from tests.workers import FIRST_DAY, WorkerSpace, described, opened_long_ago, small_bank

DAYS = 200
PER_CUSTOMER = 50  # events
PUBLISHED_AT_ONCE = 20_000
LOOK_S = 0.05


def main(sizes: list[int]) -> None:
    with full_servers() as found:
        for events in sizes:
            measure(found, events)


def measure(found: Servers, events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        model = path / "first.json"
        risk_model.save(hand_made(PRODUCT), model)
        os.environ |= {"GUANXI_RISK_MODEL": str(model), "GUANXI_ENVIRONMENT": "local"}
        space = Space(found)
        workers = WorkerSpace(found, path, PARTITIONS, prefix=space.prefix)
        workers.describe(described())
        try:
            room = Room(space, workers, path / "clock.json")
            print(json.dumps(rehearsed(room, events), ensure_ascii=False), flush=True)
        finally:
            workers.close()
            space.close()


def rehearsed(room: Room, events: int) -> dict[str, Any]:
    customers = events // PER_CUSTOMER
    load_s = loaded(room, events, customers)
    with room.scoring.database.transaction(actor_id="maker") as tx:
        number = rule_sets.propose(tx, stricter(), "To see how long it takes")
        rehearsals.ask(tx, number, FIRST_DAY + timedelta(days=DAYS // 4))
    runner = room.begin("r", "services.scoring", "rehearse")
    idle, peaks, spent = 0, {"events": 0, "outcomes": 0}, {"events": 0.0, "outcomes": 0.0}
    looked = time.monotonic()
    while (last := _last(room, number)).state in rehearsals.OPEN:
        assert runner.process.poll() is None, runner.tail()
        rss = psutil.Process(runner.process.pid).memory_info().rss
        now = time.monotonic()
        if last.state == "waiting":
            idle = max(idle, rss)
        else:
            peaks[last.step] = max(peaks[last.step], rss)
            spent[last.step] += now - looked
        looked = now
        time.sleep(LOOK_S)
    assert last.state == "done", last.failure
    took_s = next(
        json.loads(line)["seconds"] for line in runner.log.read_text().splitlines()
        if '"rehearsed"' in line
    )  # fmt: skip
    runner.stop()
    alerts = {rule: {side: one[side]["alerts"] for side in ("now", "proposed")}
              for rule, one in last.result["rules"].items()}  # fmt: skip
    return {
        "events": events, "customers": customers, "loaded_s": round(load_s),
        "seconds": took_s, "events_per_s": round(events / took_s),
        "spent_s": {step: round(s, 1) for step, s in spent.items()},
        "idle_mb": idle >> 20, "peak_mb": {step: rss >> 20 for step, rss in peaks.items()},
        "signals": room.rows("select count(*) from rehearsed_signals")[0][0], "alerts": alerts,
    }  # fmt: skip


def loaded(room: Room, events: int, customers: int) -> float:
    """Published, scored by a worker and kept by the query side, as in operation. Seconds."""
    began = time.monotonic()
    stream = small_bank(customers=customers, days=DAYS, per_day=events // DAYS)
    stream.events[:0] = opened_long_ago(stream)
    room.stand_at(FIRST_DAY + timedelta(days=DAYS))
    for part in parts(stream.events):
        room.workers.publish(part)
    worker = room.start(GUANXI_WORKER_EVENT_STORE="0")
    deadline = time.monotonic() + 3600
    while not room.workers.at_end():
        assert time.monotonic() < deadline, worker.tail()
        time.sleep(0.5)
    room.scoring.drain()
    while _closed(room) is None:
        assert time.monotonic() < deadline, "the worker has told no day"
        time.sleep(0.5)
        room.scoring.drain()
    worker.stop()
    return time.monotonic() - began


def parts(events: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(events), PUBLISHED_AT_ONCE):
        yield events[at : at + PUBLISHED_AT_ONCE]


def _closed(room: Room) -> date | None:
    with room.scoring.database.read() as session:
        return queries.closed_days(session)[0]


def _last(room: Room, number: int) -> Any:
    with room.scoring.database.read() as session:
        return queries.rehearsals_of(session, number)[0]


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [200_000])
