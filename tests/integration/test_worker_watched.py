"""What operations are told of the worker and of the bank's sources: by numbers that move also where
the one that is watched does not."""

import signal
import time
from collections.abc import Callable
from datetime import timedelta

from tests.integration import worker_room
from tests.integration.worker_room import PARTITIONS, Room
from tests.workers import FIRST_DAY, Worker, closed, transaction

room = worker_room.room
MOMENT_S = 2.0  # a worker tells its totals every second


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def waiting(room: Room) -> int | None:
    """As the process asks every few seconds, and shows on the page of operations."""
    room.scoring.drain()
    runtime = room.scoring.runtime
    assert runtime.service.worker_behind is not None
    runtime.worker_behind = runtime.service.worker_behind(runtime)
    found: int = room.ops.get("/ops/state").json()["worker_behind"]
    assert f">{found}<" in room.ops.get("/ops/fragment").text
    return found


def series(room: Room, name: str) -> float:
    lines = room.ops.get("/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name + "{"))


def test_what_a_frozen_worker_leaves_is_told_by_the_query_side(room: Room) -> None:
    assert room.ops.get("/ops/state").json()["worker_behind"] is None, "nobody asked yet"
    worker = room.start(GUANXI_SESSION_TIMEOUT_S="10")  # it shall wake up as a member still
    room.workers.publish(transaction(n, "C1", "A1", 5, FIRST_DAY) for n in range(10))
    until(lambda: waiting(room) == 0)
    told = series(room, "guanxi_worker_told_position")
    assert series(room, "guanxi_worker_behind") == 0
    worker.process.send_signal(signal.SIGSTOP)
    try:
        room.workers.publish(transaction(n, "C1", "A1", 5, FIRST_DAY) for n in range(10, 30))
        time.sleep(MOMENT_S)
        assert waiting(room) == 20
        assert series(room, "guanxi_worker_behind") == 20
        assert series(room, "guanxi_worker_told_position") == told
    finally:
        worker.process.send_signal(signal.SIGCONT)
    until(lambda: waiting(room) == 0)
    assert series(room, "guanxi_worker_told_position") == told + 20


def test_a_source_that_closes_no_day_and_one_that_leaves_one_out_are_told(room: Room) -> None:
    worker = room.start()

    def told(worker: Worker) -> tuple[float, float]:
        names = ("guanxi_source_days_behind", "guanxi_source_closes_held")
        days, held = (worker.metric(name) for name in names)
        return days, held

    def close(after: int) -> None:
        room.workers.publish([closed(FIRST_DAY + timedelta(days=after))])

    close(0)
    room.stand_at(FIRST_DAY + timedelta(days=1))
    until(lambda: told(worker) == (0, 0) and 'source="core"' in worker.get("/metrics"))
    room.stand_at(FIRST_DAY + timedelta(days=4))
    until(lambda: told(worker) == (3, 0))  # the source is silent and the days go by
    close(2)
    until(lambda: told(worker) == (3, 1))
    close(1)
    until(lambda: told(worker) == (1, 0))
    assert worker.metric("guanxi_worker_alarms_total") == PARTITIONS, "each held the close"
