"""What was never delivered."""

import structlog
from faust.types import TP

from services.scoring.metrics import HOLES

log = structlog.get_logger()


class Holes:
    """First offset and contiguity of what every partition delivered. Must stay 0."""

    def __init__(self) -> None:
        self._next: dict[TP, int] = {}
        self.total = 0

    def begin(self, tp: TP, offset: int) -> None:
        """Reading starts here: at the commit, or at the log's beginning."""
        self._next[tp] = offset
        HOLES.labels(str(tp.partition))  # shown from here on: an absent series is not a 0

    def note(self, tp: TP, first: int, last: int, count: int) -> None:
        """A delivered run. Repeats are normal; anything that was jumped over is a hole."""
        expected = self._next.get(tp)
        missing = (last - first + 1) - count
        if expected is None:
            missing += first  # nobody said where it begins: then it begins at 0
        elif first > expected:
            missing += first - expected
        if missing > 0:
            self.total += missing
            HOLES.labels(str(tp.partition)).inc(missing)
            log.error("records_never_delivered", partition=tp.partition, first=first,
                      expected=expected, missing=missing)  # fmt: skip
        self._next[tp] = max(last + 1, expected or 0)
