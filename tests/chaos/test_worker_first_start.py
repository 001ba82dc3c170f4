"""The first start of a group with two workers; and what a careless one would lose."""

from pathlib import Path

import pytest

from shared.testing.servers import Servers
from tests.workers import WorkerSpace, described, same_figures, small_bank

STARTS = 5
CARELESS_STARTS_MAX = 12


def _start_two(servers: Servers, folder: Path, command: tuple[str, ...]) -> tuple[float, bool]:
    """Holes counted by the workers, and whether every figure is right."""
    bank = small_bank(customers=300, days=40, per_day=600)
    space = WorkerSpace(servers, folder, 8)
    try:
        space.describe(described())
        space.publish(bank.events)
        for name in ("a", "b"):
            space.start(name, command)
        try:
            for worker in space.workers:
                worker.wait_ready()
            space.wait_committed(40)
            same_figures(space.customers(), bank)
        except AssertionError:
            return space.holes(), False
        return space.holes(), True
    finally:
        space.close()


@pytest.mark.parametrize("attempt", range(STARTS))
def test_a_group_that_starts_with_two_workers_loses_nothing(
    servers: Servers, tmp_path: Path, attempt: int
) -> None:
    assert _start_two(servers, tmp_path, ("services.scoring", "worker")) == (0, True)


def test_without_the_committed_start_the_same_harness_fails(
    servers: Servers, tmp_path: Path
) -> None:
    for _ in range(CARELESS_STARTS_MAX):
        holes, right = _start_two(servers, tmp_path, ("tests.chaos.careless_worker",))
        if holes and not right:
            return
    pytest.fail("the careless worker lost nothing: the harness proves nothing")
