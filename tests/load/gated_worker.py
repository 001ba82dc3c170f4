"""The worker as it is, but its first round waits for a file: all start from a full topic."""

import asyncio
import os
from pathlib import Path
from typing import Any

from services.scoring import driver
from services.scoring.worker import run

GATE = Path(os.environ["GUANXI_BENCH_GATE"])
_round = driver.Driver._round


async def _gated(self: driver.Driver, taken: list[Any]) -> None:
    while not GATE.exists():
        await asyncio.sleep(0.01)
    await _round(self, taken)


if __name__ == "__main__":
    driver.Driver._round = _gated  # type: ignore[method-assign]
    run()
