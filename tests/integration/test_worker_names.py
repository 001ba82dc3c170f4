"""Two workers of one name: the group gives its partitions to the one that joined last."""

import socket
from pathlib import Path

from services.scoring.worker_settings import WorkerSettings
from shared.testing.servers import Servers
from tests.workers import WorkerSpace, described, same_figures, small_bank

NAME_TAKEN = 70


def test_a_worker_whose_name_another_takes_ends_and_says_why(
    servers: Servers, tmp_path: Path
) -> None:
    bank = small_bank(customers=50, days=20, per_day=50)
    half = len(bank.events) // 2
    space = WorkerSpace(servers, tmp_path, 2)
    try:
        space.describe(described())
        first = space.start("a", GUANXI_SESSION_TIMEOUT_S="10")
        first.wait_ready()
        space.publish(bank.events[:half])
        space.wait_committed()
        second = space.start("a", GUANXI_SESSION_TIMEOUT_S="10")
        assert first.wait_dead() == NAME_TAKEN
        assert "GUANXI_WORKER_INSTANCE must be each" in first.tail()
        second.wait_ready()
        space.publish(bank.events[half:])
        space.wait_committed()
        assert second.process.poll() is None
        same_figures(space.customers(), bank)
    finally:
        space.close()


def test_a_worker_is_named_by_its_host() -> None:
    """What an orchestrator gives to each, and what a container keeps through a restart."""
    assert WorkerSettings().worker_instance == socket.gethostname()
