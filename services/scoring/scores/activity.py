"""Decayed customer-initiated activity: how much the customer does by himself these days.

Inputs: business dates of transactions initiated by the customer. Automatic bookings (interest,
fees, standing orders) do not count: they hide the customer who leaves.
State: `activity` (fixed point, 2**20 for one event today), `activity_on` (its day), `first_on`,
`last_on` (days of the first and the latest such transaction).
Terms: activity in thousandths of an event, mean gap in thousandths of a day.
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled
from services.scoring.scores.decay import decayed, factor

EVENT = 1 << 20


@compiled
def after_event(factors: NDArray[np.int64], activity: int, activity_on: int, day: int) -> int:
    """The activity as of max(activity_on, day). An event of an earlier day counts decayed."""
    if day >= activity_on:
        return decayed(activity, factor(factors, day - activity_on)) + EVENT
    return activity + decayed(EVENT, factor(factors, activity_on - day))


@compiled
def mean_gap_milli(mass: NDArray[np.int64], activity: int, days: int) -> int:
    """Mean days between transactions, in thousandths, as of the day of the activity.

    `mass[n]` is the sum of the factors of days 0..n: what one event a day would have left in
    `days` days. So a young customer is not taken for a lazy one. 0: no activity.
    """
    if activity <= 0:
        return 0
    seen = mass[min(max(days, 0), mass.shape[0] - 1)]
    return seen * 1000 // (activity << 10)  # type: ignore[no-any-return]


def mass_of(factors: NDArray[np.int64]) -> NDArray[np.int64]:
    """Running sums of the factors."""
    return np.cumsum(factors, dtype=np.int64)
