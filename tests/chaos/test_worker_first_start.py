"""The first start of a group with two workers, met at its worst moment every time."""

import re
from pathlib import Path

import pytest

from shared.testing.servers import Servers
from tests.workers import WorkerSpace, described, same_figures, small_bank

STARTS = range(5)
MORE_STARTS = [pytest.param(n, marks=pytest.mark.long) for n in range(5, 20)]


def _start_two(servers: Servers, folder: Path, *arguments: str) -> tuple[bool, bool]:
    """(were records never delivered, is every figure right)."""
    bank = small_bank(customers=100, days=30, per_day=300)
    space = WorkerSpace(servers, folder, 4)
    try:
        space.describe(described())
        space.publish(bank.events)
        for name in ("a", "b"):
            space.start(
                name,
                ("tests.chaos.unlucky_worker", *arguments),
                GUANXI_WORKER_RECORDS_MAX="200",  # so that something comes behind what is lost
            )
        for worker in space.workers:
            worker.wait_ready()
        try:
            space.wait_committed(30 if arguments else 120)  # what is lost is never committed
            same_figures(space.customers(), bank)
        except AssertionError:
            return space.holes() > 0, False
        logs = "".join(worker.log.read_text() for worker in space.workers)
        assert re.search(r"thrown away: [1-9]", logs), "the bad moment never came"
        return space.holes() > 0, True
    finally:
        space.close()


@pytest.mark.parametrize("attempt", [*STARTS, *MORE_STARTS])
def test_what_is_thrown_away_at_a_groups_first_start_is_read_again(
    servers: Servers, tmp_path: Path, attempt: int
) -> None:
    assert _start_two(servers, tmp_path) == (False, True), f"start {attempt + 1}"


def test_without_the_committed_start_offset_the_same_harness_fails(
    servers: Servers, tmp_path: Path
) -> None:
    assert _start_two(servers, tmp_path, "careless") == (True, False)
