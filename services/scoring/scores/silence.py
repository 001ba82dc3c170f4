"""Silence: the customer has done nothing by himself for much longer than is usual for him.

Inputs: business dates of customer-initiated transactions; the watermark.
State: `silence` (0 or 1), `silence_episode`, `silent_on` (the day from which silence holds if
nothing comes: computed at each such transaction, so no sweep ever looks for it).
Terms: last_on, silent_days, mean_gap_milli_days; the score is the probability, in ppm, that a
customer of this pace would have come by now (1 - e^-(days / gap)).
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled


@compiled
def silent_on(last_on: int, gap_milli: int, gaps_milli: int, days_min: int, days_max: int) -> int:
    """The last day of activity and so many usual gaps, within bounds. 0: the pace is unknown."""
    if gap_milli <= 0:
        return 0
    days = (gap_milli * gaps_milli + 999_999) // 1_000_000
    return last_on + min(max(days, days_min), days_max)


def risk_ppm(powers: NDArray[np.int64], silent_days: int, gap_milli: int) -> int:
    """1 - e^-(days / gap) in ppm; `powers` is the decay table in steps of 1/64."""
    if gap_milli <= 0 or silent_days <= 0:
        return 0
    steps = silent_days * 64_000 // gap_milli
    left = int(powers[steps]) if steps < len(powers) else 0
    return 1_000_000 - (left * 1_000_000 >> 30)
