"""The bank's clock of the local stack: an origin plus a factor times the running time.

The file is read by every process (shared.clock.FileClock) and written here only. It is saved
every second; while the stack is down the bank's time stands still.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path


class BankTime:
    """The clock's file. One writer: the supervisor."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._origin = self._since = datetime.now(UTC)
        self._factor = 0.0

    def now(self) -> datetime:
        elapsed = (datetime.now(UTC) - self._since).total_seconds()
        return self._origin + timedelta(seconds=self._factor * elapsed)

    def start(self, at_least: datetime, *, factor: float) -> None:
        """Goes on where it was saved, but never before the end of the loaded history."""
        saved = None
        if self.path.exists():
            saved = datetime.fromisoformat(json.loads(self.path.read_text())["saved"])
        self._set(max(saved, at_least) if saved else at_least, factor)

    def run(self, factor: float) -> None:
        """Lets the bank's time flow at this pace from now on."""
        self._set(self.now(), factor)

    def stop(self) -> None:
        self._set(self.now(), 0.0)

    def save(self) -> None:
        self._write()

    def _set(self, origin: datetime, factor: float) -> None:
        self._origin, self._since, self._factor = origin, datetime.now(UTC), factor
        self._write()

    def _write(self) -> None:
        content = {
            "origin": self._origin.isoformat(),
            "since": self._since.isoformat(),
            "factor": self._factor,
            "saved": self.now().isoformat(),
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(content))
        part.replace(self.path)
