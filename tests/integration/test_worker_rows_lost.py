"""`scoring.state` is empty: lost behind the commits of the group, or about to be built anew."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient

from deploy.local.topics import create_topics
from services.scoring.commands import forgetting_state
from services.scoring.told import Totals
from services.scoring.worker_settings import GROUP
from shared.testing.servers import Servers
from tests.workers import FIRST_DAY, TOPICS, WorkerSpace, closed, described, transaction

CAN_NOT_GO_ON = 70
EVENTS = 120
PARTITIONS = 2


@pytest.fixture
def space(servers: Servers, tmp_path: Path) -> Iterator[WorkerSpace]:
    """One that has counted everything: the second source was not described yet."""
    space = WorkerSpace(servers, tmp_path, PARTITIONS)
    space.describe(described())
    space.publish([
        transaction(n, f"C{n % 12}", f"A{n % 12}", 100, FIRST_DAY,
                    source="cards" if n % 3 == 0 else "core")
        for n in range(EVENTS)
    ])  # fmt: skip
    space.publish([closed(FIRST_DAY)])
    worker = space.start("a")
    worker.wait_ready()
    space.wait_committed()
    _until(lambda: _told(space) == EVENTS)
    worker.stop()
    yield space
    space.close()


def _told(space: WorkerSpace) -> int:
    """What the last totals of all partitions count."""
    last = {p: msgspec.json.decode(value or b"", type=Totals).count
            for p, _, value in space.read("scoring.totals")}  # fmt: skip
    return sum(last.values())


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _lose_rows(space: WorkerSpace) -> None:
    _delete(space, ["scoring.state"])


def _make_anew(space: WorkerSpace) -> None:
    """As the runbook says."""
    _delete(space, forgetting_state.TOPICS, group=True)


def _delete(space: WorkerSpace, topics: list[str], *, group: bool = False) -> None:
    kafka, names = space.servers.kafka, {space.prefix + topic for topic in topics}
    partitions, made = dict.fromkeys(TOPICS, PARTITIONS), set[str]()
    admin = KafkaAdminClient(bootstrap_servers=kafka)

    def stand() -> bool:
        made.update(create_topics(kafka, space.prefix, partitions))
        return names <= made

    try:
        if group:
            _until(lambda: "NonEmptyGroup" not in str(admin.delete_groups([space.prefix + GROUP])))
        admin.delete_topics(sorted(names))
        _until(stand)
    finally:
        admin.close()


@pytest.mark.parametrize("killed", [False, True])
def test_a_worker_does_not_count_on_from_nothing(space: WorkerSpace, killed: bool) -> None:
    if killed:  # between a total and the next commit
        worker = space.start("a", GUANXI_WORKER_COMMIT_S="600")
        worker.wait_ready()
        commits = space.commits()
        space.publish(transaction(n, "C1", "A1", 100, FIRST_DAY) for n in range(EVENTS, EVENTS + 9))
        _until(lambda: _told(space) == EVENTS + 9)
        worker.kill()
        assert space.commits() == commits
    _lose_rows(space)
    worker = space.start("b")
    assert worker.wait_dead() == CAN_NOT_GO_ON
    assert "see the runbook, The state anew" in worker.tail()


def test_a_state_built_anew_that_counts_less_stands_when_a_worker_joins(space: WorkerSpace) -> None:
    """By the reference of now: the second source is described from a later day on."""
    space.describe(described("cards", FIRST_DAY + timedelta(days=20)))
    _make_anew(space)
    first = space.start("b")
    first.wait_ready()
    space.wait_committed()
    counted = EVENTS * 2 // 3
    _until(lambda: _told(space) == counted)
    second = space.start("c")
    second.wait_ready()  # it has a partition: the first has let it go, and looked at its own
    first.wait_ready()
    space.publish([closed(FIRST_DAY + timedelta(days=1))])
    space.wait_committed()
    assert [one.process.poll() for one in (first, second)] == [None, None], first.tail()
    assert sum(one.count for one in space.customers().values()) == counted


def test_a_state_built_anew_that_counts_less_goes_on_though_killed_before_its_first_total(
    space: WorkerSpace,
) -> None:
    """Its rows stand where the last total of the state before stood: the log ends with them."""
    worker, more = space.start("a"), 12
    worker.wait_ready()
    space.publish(transaction(EVENTS + n, f"C{n}", f"A{n}", 100, FIRST_DAY + timedelta(days=1))
                  for n in range(more))  # fmt: skip
    _until(lambda: _told(space) == EVENTS + more)
    worker.stop()
    space.describe(described("cards", FIRST_DAY + timedelta(days=20)))
    _make_anew(space)
    before = space.read("scoring.totals")
    first = space.start("b", GUANXI_FAILPOINT="worker.before_ack:1")
    first.wait_dead()
    assert space.customers(), "nothing was written: the test proves nothing"
    assert space.read("scoring.totals") == before, "it told a total: the test proves nothing"
    again = space.start("b")
    again.wait_ready()
    space.wait_committed()
    _until(lambda: _told(space) == EVENTS * 2 // 3 + more)
    assert again.process.poll() is None, again.tail()
