"""The bank's clock of the local stack: an origin plus a factor times the running time.

The file is read by every process (shared.clock.FileClock) and written here only. It is saved
every second; while the stack is down the bank's time stands still.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from deploy.local.places import save, saved


@dataclass(frozen=True)
class _Flow:
    origin: datetime
    since: datetime
    factor: float


class BankTime:
    """The clock's file. One writer: the supervisor, from `start` on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flow: _Flow | None = None  # none before the start: then the file is not ours

    @property
    def started(self) -> bool:
        return self._flow is not None

    def now(self) -> datetime:
        flow = self._started()
        elapsed = (datetime.now(UTC) - flow.since).total_seconds()
        return flow.origin + timedelta(seconds=flow.factor * elapsed)

    def start(self, at_least: datetime, *, factor: float) -> None:
        """Goes on where it was saved, but never before the end of the loaded history."""
        kept = saved(self.path)
        stopped_at = datetime.fromisoformat(kept["saved"]) if kept else at_least
        self._set(max(stopped_at, at_least), factor)

    def run(self, factor: float) -> None:
        """Lets the bank's time flow at this pace from now on."""
        self._set(self.now(), factor)

    def stop(self) -> None:
        self._set(self.now(), 0.0)

    def save(self) -> None:
        flow = self._started()
        content = {
            "origin": flow.origin.isoformat(),
            "since": flow.since.isoformat(),
            "factor": flow.factor,
            "saved": self.now().isoformat(),
        }
        save(self.path, content)

    def _set(self, origin: datetime, factor: float) -> None:
        self._flow = _Flow(origin, datetime.now(UTC), factor)
        self.save()

    def _started(self) -> _Flow:
        assert self._flow is not None, "a clock that was not started here is another's"
        return self._flow
