"""An older copy of the log comes back under a running listener: a restored backup, or a leader that
lacked the log's end. The servers are this module's own.
"""

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.ids import partition_of
from shared.positions import PositionLost
from shared.testing.servers import Servers, embedded_servers
from shared.testing.space import ServiceUnderTest, Space
from tests.ledger import contact, entries

KAFKA = "GUANXI_KAFKA"
TOLD_WITHIN_S = 60.0


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with pytest.MonkeyPatch.context() as patch:
        for name in (KAFKA, "GUANXI_DATABASE", "GUANXI_REDIS"):
            patch.delenv(name, raising=False)
        with embedded_servers() as found:
            yield found


class Log:
    """The files of one partition, kept as they are and put back later. The broker is stopped for
    that, and leads the partition in a new epoch afterwards."""

    def __init__(self, space: Space, topic: str, key: bytes, kept: Path) -> None:
        assert space.servers.stack is not None
        self._space, self._stack, self._kept = space, space.servers.stack, kept
        name = f"{space.prefix}{topic}-{partition_of(key, space.partitions[topic])}"
        (self._folder,) = (self._stack.folder / "kafka").rglob(name)

    def keep(self) -> None:
        self._stop()
        shutil.copytree(self._folder, self._kept)
        self._start()

    def put_back(self) -> None:
        self._stop()
        shutil.rmtree(self._folder)
        shutil.copytree(self._kept, self._folder)
        self._start()

    def _stop(self) -> None:
        if self._space._sender is not None:  # its numbers are those of the log as it is now
            self._space._sender.close()
            self._space._sender = None
        broker = self._stack.children[KAFKA]
        broker.ask_to_stop()
        broker.stop()

    def _start(self) -> None:
        self._stack.watch()


@pytest.mark.timeout(300)
def test_a_running_listener_stops_where_its_log_came_back_shorter(
    space: Space, ledger: ServiceUnderTest, tmp_path: Path
) -> None:
    """Though the log has grown past its place again, so that its end shows nothing."""
    space.publish(*[contact(n) for n in range(50)])
    ledger.drain()
    log = Log(space, "bank.events", b"C1", tmp_path / "kept")
    log.keep()
    space.publish(*[contact(n) for n in range(50, 100)])
    ledger.drain()
    log.put_back()
    space.publish(*[contact(n) for n in range(100, 160)])
    stop = threading.Event()
    late = threading.Timer(TOLD_WITHIN_S, stop.set)
    late.start()
    with pytest.raises(PositionLost, match=r"position 100 .* it was cut, .* before 50 is"):
        ledger.listener.run(stop)
    late.cancel()
    assert [value for _, value in entries(ledger.database)] == [f"K{n}" for n in range(100)]
