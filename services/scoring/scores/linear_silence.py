"""The day on which a linear score of silence reaches a threshold if nothing more happens.

Inputs, state: as in `purchase_features`; weights, means and base of the model file.
State kept of the result: the day, one timer per customer; the next purchase sets it anew.
Terms: those of `linear` on that day.
The score is a sum of logarithms of decayed sums and of days, mostly rising in a silence but not
provably so: the day found is one on which it rises to the threshold, and the first such where the
score rises all the way. Features know whole days, so there is no finer instant.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import linear, purchase_features
from services.scoring.scores.alive import NEVER
from services.scoring.scores.compiling import compiled

Ints = NDArray[np.int64]
LATEST_DAYS: Final = 4096  # past it nothing decays any more


@compiled
def logit_micro(  # noqa: PLR0917 - compiled: numba takes no keywords
    state: Ints, factors: Ints, weights: Ints, means: Ints, base: int, day: int
) -> int:
    """The score of a customer who has bought, on a day at or after the last."""
    features = purchase_features.features(state, factors, day)
    return base + linear.terms(features, weights, means).sum()  # type: ignore[no-any-return]


@compiled
def day_at(  # noqa: PLR0917
    state: Ints, factors: Ints, weights: Ints, means: Ints, base: int, threshold: int
) -> int:
    """A day on which the logit stands at the threshold and the day before did not.

    The day of the last purchase if it stands there right after it; NEVER past 4,096 days.
    """
    last = state[purchase_features.LAST_ON]
    if logit_micro(state, factors, weights, means, base, last) >= threshold:
        return last  # type: ignore[no-any-return]
    low, step = 0, 1
    while logit_micro(state, factors, weights, means, base, last + low + step) < threshold:
        low += step
        step *= 2
        if low + step > LATEST_DAYS:
            return NEVER
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if logit_micro(state, factors, weights, means, base, last + middle) < threshold:
            low = middle
        else:
            high = middle
    return last + high  # type: ignore[no-any-return]
