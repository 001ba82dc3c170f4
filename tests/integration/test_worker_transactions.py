"""Events that a bank system publishes in transactions of Kafka: a worker takes none that was
aborted, and neither stands still at a marker nor takes it for a hole."""

import asyncio
from pathlib import Path

from shared.events.envelope import encode, key_of
from shared.testing.servers import Servers
from tests.transactions import Message, publish_in_transactions
from tests.workers import FIRST_DAY, WorkerSpace, closed, described, transaction


def _of_worker(numbers: range) -> list[Message]:
    events = [transaction(n, "C1", "A1", 100, FIRST_DAY) for n in numbers]
    return [(key_of(event).encode(), encode(event)) for event in events]


def test_a_worker_goes_past_markers_and_counts_nothing_that_was_aborted(
    servers: Servers, tmp_path: Path
) -> None:
    space = WorkerSpace(servers, tmp_path, 1)
    topic = space.prefix + "bank.events"
    try:
        space.describe(described())
        first = space.start("a")
        first.wait_ready()
        groups = [_of_worker(range(n * 10, n * 10 + 5)) for n in range(4)]
        asyncio.run(publish_in_transactions(servers.kafka, topic, 0, groups, {2, 3}))
        space.wait_committed(60)  # also where markers alone are last
        assert space.commits() == {0: 4 * 6}
        assert space.holes() == 0
        first.stop()
        second = space.start("b")
        second.wait_ready()
        groups = [_of_worker(range(40, 42)), _of_worker(range(50, 52))]
        asyncio.run(publish_in_transactions(servers.kafka, topic, 0, groups, {0}))
        space.publish([closed(FIRST_DAY)])
        space.wait_committed(60)
        assert space.commits() == {0: 4 * 6 + 2 * 3 + 1}
        assert space.holes() == 0
        assert space.customers()["C1"].count == 5 + 5 + 2
        for worker in (first, second):
            assert "put_back" not in worker.log.read_text()
    finally:
        space.close()
