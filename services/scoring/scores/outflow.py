"""Outflow: the balance fell under a share of its own decayed mean.

Inputs: the balance and its mean after each transaction.
State: `outflow` (0 or 1), `outflow_episode`, `recovers_on` (the day from which it no longer holds
if nothing more happens; the watermark clears it).
Terms: balance_minor, mean_minor; the score is the share of the mean that is gone, in ppm.
Raised below `outflow_ppm` of a mean of at least `outflow_mean_min_minor`; cleared at
`outflow_clear_ppm` or when the mean has sunk below the amount (hysteresis).
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.balance import mean_on as mean_at
from services.scoring.scores.compiling import compiled
from services.scoring.scores.decay import share


@compiled
def holds(balance_minor: int, mean_minor: int, ppm: int, mean_min_minor: int) -> bool:
    """Is the balance under this share of a mean that matters?"""
    return mean_minor >= mean_min_minor and balance_minor < share(mean_minor, ppm)


@compiled
def recovers_on(  # noqa: PLR0917 - compiled: numba takes no keywords
    factors: NDArray[np.int64],
    balance_minor: int,
    mean_minor: int,
    day: int,
    clear_ppm: int,
    mean_min_minor: int,
) -> int:
    """First day after `day` on which the rule no longer holds if the balance stands still.

    The mean only sinks towards the balance, so the day is found by bisection: 12 looks.
    """
    low, high = 1, factors.shape[0]
    while low < high:
        middle = (low + high) // 2
        mean = mean_at(factors, mean_minor, 0, balance_minor, middle)
        if holds(balance_minor, mean, clear_ppm, mean_min_minor):
            low = middle + 1
        else:
            high = middle
    return day + low


def deposit_to_clear(balance_minor: int, mean_minor: int, clear_ppm: int) -> int:
    """The smallest deposit that would end it at once; minor units."""
    return max(share(mean_minor, clear_ppm) - balance_minor, 0)


def risk_ppm(balance_minor: int, mean_minor: int, mean_min_minor: int) -> int:
    """Share of the mean that is gone, 0 to 10**6; 0 where the mean does not matter."""
    if mean_minor < max(mean_min_minor, 1):
        return 0
    gone = mean_minor - balance_minor
    return min(max(gone * 1_000_000 // mean_minor, 0), 1_000_000)
