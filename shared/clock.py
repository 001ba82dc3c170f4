"""Two clocks. `wall_now`: tokens, leases, lag. `bank_now`: due times, deadlines, business dates.

In production both are the wall clock. In the local stack the bank's clock is an origin plus a
factor times the running time, the same for all processes through one small file that the
stack's supervisor writes: {"origin": ISO instant, "factor": n, "since": wall ISO instant}.
"""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo


def wall_now() -> datetime:
    return datetime.now(UTC)


class Clock(Protocol):
    zone: ZoneInfo

    @property
    def factor(self) -> float:
        """Bank seconds per second of the wall."""
        ...

    def bank_now(self) -> datetime: ...

    def wall_now(self) -> datetime: ...


def business_date(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date()


def day_begins(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


@dataclass
class WallClock:
    """Production: the bank's time is the wall's."""

    zone: ZoneInfo
    factor: float = 1.0

    def bank_now(self) -> datetime:
        return wall_now()

    def wall_now(self) -> datetime:
        return wall_now()


class FileClock:
    """The local stack's clock; follows the file when the supervisor rewrites it."""

    def __init__(self, path: Path, zone: ZoneInfo) -> None:
        self.zone = zone
        self._path = path
        self._stamp = -1
        self._origin = self._since = wall_now()
        self._factor = 1.0

    def bank_now(self) -> datetime:
        self._follow()
        elapsed = (wall_now() - self._since).total_seconds()
        return self._origin + timedelta(seconds=self._factor * max(elapsed, 0.0))

    def wall_now(self) -> datetime:
        return wall_now()

    @property
    def factor(self) -> float:
        self._follow()
        return self._factor

    def _follow(self) -> None:
        try:
            stamp = self._path.stat().st_mtime_ns
        except FileNotFoundError:
            return  # the supervisor has not written yet: the wall clock until it does
        if stamp == self._stamp:
            return
        read = json.loads(self._path.read_text())
        self._origin = datetime.fromisoformat(read["origin"])
        self._since = datetime.fromisoformat(read["since"])
        self._factor = float(read["factor"])
        self._stamp = stamp


@dataclass
class FixedClock:
    """Tests: both clocks stand where they were put."""

    zone: ZoneInfo
    bank: datetime
    wall: datetime | None = None
    factor: float = 0.0

    def bank_now(self) -> datetime:
        return self.bank

    def wall_now(self) -> datetime:
        return self.wall or wall_now()


def clock_of(clock_file: Path | None, zone: ZoneInfo) -> Clock:
    return FileClock(clock_file, zone) if clock_file else WallClock(zone)
