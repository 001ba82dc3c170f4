"""Decayed mean balance: what the customer usually keeps here.

Inputs: the customer's balance (sum of all his accounts in the bank's currency) at the end of each
business day.
State: `mean_minor`, `mean_on` (the day it stands for; the balance of that day is not in it yet).
Terms: balance and mean in minor units.
Between events the balance stands still, so the mean moves in closed form:
m(d) = B + (m0 - B) * f(d - d0).
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled
from services.scoring.scores.decay import ONE, decayed, factor


@compiled
def mean_on(
    factors: NDArray[np.int64], mean_minor: int, mean_on: int, balance_minor: int, day: int
) -> int:
    """The mean at the beginning of a day, the balance having stood still since `mean_on`."""
    return balance_minor + decayed(mean_minor - balance_minor, factor(factors, day - mean_on))


@compiled
def corrected(
    factors: NDArray[np.int64], mean_minor: int, mean_on: int, amount_minor: int, day: int
) -> int:
    """The mean after an amount that should have stood in the balance since an earlier day."""
    return mean_minor + decayed(amount_minor, ONE - factor(factors, mean_on - day))
