"""The negative control: a worker that reads at once and commits no start offset, as stock does."""

from typing import Any

from faust.transport.drivers import aiokafka as stock

from services.scoring import transport
from services.scoring.worker import run


class CarelessConsumer(transport.Consumer):
    """Without the three things that keep the first records of a group."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open = True

    def stop_flow(self) -> None:
        stock.Consumer.stop_flow(self)

    def resume_flow(self) -> None:
        stock.Consumer.resume_flow(self)

    async def perform_seek(self) -> None:
        self._pending.clear()
        await stock.Consumer.perform_seek(self)
        for tp in self.assignment():
            if self._acking(tp):
                self.holes.begin(tp, self._read_offset[tp] or 0)

    async def _in_place(self, tp: Any, records: list[Any]) -> list[Any]:
        read = self._read_offset[tp]
        return [r for r in records if read is None or r.offset >= read]


if __name__ == "__main__":
    transport.Transport.Consumer = CarelessConsumer
    run()
