"""Silence: the customer has done nothing by himself for much longer than is usual for him.

Inputs: business dates of customer-initiated transactions; the watermark.
State: `silence` (0 or 1), `silence_episode`, `silent_on` (the day from which silence holds if
nothing comes: computed at each such transaction, so no sweep ever looks for it).
Terms: last_on, silent_days, mean_gap_milli_days; the score is the probability, in ppm, that a
customer of this pace would have come by now (1 - e^-(days / gap)).
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.activity import mean_gap_milli
from services.scoring.scores.compiling import compiled

GAPS, DAYS_MIN, DAYS_MAX, COUNT_MIN, TENURE_MIN = range(5)  # order of its limits


@compiled
def silent_on(last_on: int, gap_milli: int, gaps_milli: int, days_min: int, days_max: int) -> int:
    """The last day of activity and so many usual gaps, within bounds. 0: the pace is unknown."""
    if gap_milli <= 0:
        return 0
    days = (gap_milli * gaps_milli + 999_999) // 1_000_000
    return last_on + min(max(days, days_min), days_max)


@compiled
def of_now(  # noqa: PLR0917 - compiled: numba takes no keywords
    mass: NDArray[np.int64], activity: int, count: int, first_on: int, last_on: int, since: int,
    limits: NDArray[np.int64],
) -> int:  # fmt: skip
    """The day by these limits, from the same state as the last event left it; it counts from no day
    before `since`. 0: none."""
    tenure = last_on - first_on
    if count < limits[COUNT_MIN] or tenure < limits[TENURE_MIN]:
        return 0
    gap = mean_gap_milli(mass, activity, tenure)
    begins = max(last_on, since)
    return silent_on(begins, gap, limits[GAPS], limits[DAYS_MIN], limits[DAYS_MAX])


def risk_ppm(powers: NDArray[np.int64], silent_days: int, gap_milli: int) -> int:
    """1 - e^-(days / gap) in ppm; `powers` is the decay table in steps of 1/64."""
    if gap_milli <= 0 or silent_days <= 0:
        return 0
    steps = silent_days * 64_000 // gap_milli
    left = int(powers[steps]) if steps < len(powers) else 0
    return 1_000_000 - (left * 1_000_000 >> 30)
