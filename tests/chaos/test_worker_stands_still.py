"""A worker stands still in the middle of a write for longer than its session, then goes on."""

import signal
import time
from collections import defaultdict
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from services.scoring import state
from shared.events import Event
from shared.testing.servers import Servers
from tests.workers import (
    FIRST_DAY,
    Stream,
    Worker,
    WorkerSpace,
    closed,
    described,
    same_figures,
    transaction,
)

CUSTOMERS, EACH = 10, 4
NO_MEMBER = 70  # how a worker ends that may not write


def _of_day(stream: Stream, number: int) -> list[Event]:
    day = FIRST_DAY + timedelta(days=number)
    first = number * CUSTOMERS * EACH
    events = [
        transaction(n, f"C{n % CUSTOMERS}", f"A{n % CUSTOMERS}", 1000 + n, day)
        for n in range(first, first + CUSTOMERS * EACH)
    ]
    for event in [*events, closed(day)]:
        stream.add(event)
    return [*events, closed(day)]


def _wait_for(word: str, worker: Worker) -> None:
    deadline = time.monotonic() + 60
    while word not in worker.log.read_text():
        assert time.monotonic() < deadline, worker.tail()
        assert worker.process.poll() is None, worker.tail()
        time.sleep(0.05)


def _gone_back(space: WorkerSpace) -> int:
    """Customers of whom an older row stands behind a later one in the log."""
    offsets = defaultdict(list)
    for _, key, value in space.read("scoring.state"):
        one = state.unpack(key, value) if value is not None else None
        if isinstance(one, state.CustomerState):
            offsets[one.customer_number].append(one.offset)
    return sum(any(a > b for a, b in pairwise(of_one)) for of_one in offsets.values())


def _stood_still(servers: Servers, folder: Path, *arguments: str) -> tuple[int | None, int, bool]:
    """(how the worker ended that stood still, rows gone back, is every latest row right)."""
    stream = Stream()
    space = WorkerSpace(servers, folder, 1)
    try:
        space.describe(described())
        frozen = space.start("a", ("tests.chaos.frozen_worker", *arguments))
        frozen.wait_ready()
        space.publish(_of_day(stream, 0))
        space.wait_committed()
        space.publish(_of_day(stream, 1))
        _wait_for("STANDS STILL", frozen)
        other = space.start("b")
        other.wait_ready()
        space.publish(_of_day(stream, 2))
        space.wait_committed()
        frozen.process.send_signal(signal.SIGCONT)
        deadline = time.monotonic() + (8 if arguments else 60)
        while time.monotonic() < deadline and frozen.process.poll() is None:
            time.sleep(0.1)
        assert "GOES ON" in frozen.log.read_text()
        try:
            same_figures(space.customers(), stream)
        except AssertionError:
            return frozen.process.poll(), _gone_back(space), False
        return frozen.process.poll(), _gone_back(space), True
    finally:
        space.close()


@pytest.mark.timeout(400)
def test_a_worker_that_stood_still_beyond_its_session_writes_nothing_more(
    servers: Servers, tmp_path: Path
) -> None:
    assert _stood_still(servers, tmp_path) == (NO_MEMBER, 0, True)


@pytest.mark.timeout(400)
def test_without_the_fence_its_old_rows_come_behind_the_new_owners(
    servers: Servers, tmp_path: Path
) -> None:
    _, gone_back, is_right = _stood_still(servers, tmp_path, "careless")
    assert gone_back > 0
    assert not is_right
