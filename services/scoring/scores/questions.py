"""When a goal of risk is a question at all: who was poor before is no outflow, who was in trouble
a month ago no first distress.

Inputs: the state of `account_features`, settled through the day; the last day of trouble.
State: none. Terms: none.
The labels that a model learns from ask the exact windows of days (`training/labels.py`); a live
account has decayed sums, so here they stand for the windows: a sum by 180 days for the actions of
180 days, a mean by 45 days for the balance of 90.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import account_features as af
from services.scoring.scores.activity import EVENT
from services.scoring.scores.compiling import compiled
from services.scoring.scores.decay import ONE, decayed, factor

Ints = NDArray[np.int64]

COLLAPSE, OUTFLOW, DISTRESS, USE = range(4)
HISTORY_DAYS: Final = 120
PAST_DAYS: Final = 90
ACTIONS_MIN: Final = 6  # in 180 days: below it a collapse, or a fall of use, is chance
MEAN_MIN_MINOR: Final = 500_000
STANDS: Final = 0.7  # of the mean: an outflow that is under way is no onset
_MIDDLE: Final = 1  # of the three time constants: 45 days


@compiled
def asked(state: Ints, factors: Ints, trouble_on: int, goal: int, day: int) -> bool:
    """Does the question arise at the end of this day?"""
    tenure = day - state[af.OPENED_ON]
    if tenure < HISTORY_DAYS:
        return False
    idle = day - state[af.ON]
    if goal in (COLLAPSE, USE):
        actions = decayed(state[af.ACTIONS + af.LONG], factor(factors[af.LONG], idle))
        return bool(actions >= ACTIONS_MIN * EVENT)
    balance = state[af.BALANCE]
    if goal == DISTRESS:
        return bool(balance >= 0 and day - trouble_on >= PAST_DAYS)
    left = factor(factors[_MIDDLE], idle + 1)  # the day's own end is one of the tenure + 1 below
    sum_of_means = float(balance + decayed(state[af.MEAN + _MIDDLE] - balance, left))
    mean = sum_of_means / (1.0 - factor(factors[_MIDDLE], tenure + 1) / ONE)
    return bool(mean >= MEAN_MIN_MINOR and balance >= STANDS * mean)
