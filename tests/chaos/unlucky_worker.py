"""A worker that always meets the bad moment: a fetch lands while the flow stands still.

Faust throws such records away. `careless` then seeks as stock Faust does, to commits that are not
there, and reads on behind the lost records: the negative control.
"""

import sys
from typing import Any

from faust.transport.drivers import aiokafka as stock

from services.scoring import transport
from services.scoring.share import Share
from services.scoring.worker import run


class UnluckyConsumer(transport.Consumer):
    """Fetches events and throws them away just before all partitions are put in place."""

    async def perform_seek(self) -> None:
        mine = {tp for tp in self.assignment() if self._acking(tp)}
        for _ in range(3):
            thrown = await self._getmany(active_partitions=mine, timeout=1.0)
            print(f"thrown away: {sum(map(len, thrown.values()))}", flush=True)
        await self._put_in_place()

    async def _put_in_place(self) -> None:
        await super().perform_seek()


class CarelessConsumer(UnluckyConsumer):
    """Commits no start offset, and takes what comes as what comes next."""

    async def _put_in_place(self) -> None:
        self._pending.clear()
        await stock.Consumer.perform_seek(self)
        for tp in self.assignment():
            if self._acking(tp):
                self.holes.begin(tp, self._read_offset[tp] or 0)
        self._placed = True

    async def _in_place(self, tp: Any, share: Share) -> Share:
        read = self._read_offset[tp]
        return share if read is None else share.since(read)


if __name__ == "__main__":
    transport.Transport.Consumer = (
        CarelessConsumer if sys.argv[1:] == ["careless"] else UnluckyConsumer
    )
    run()
