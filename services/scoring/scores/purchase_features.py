"""Decayed features of a purchase-like account: how often, how much, at what gaps.

Inputs: purchases (day, amount in minor units), in the order of days; rows of one day are one.
State: first day, last day, number of purchase days; and for each of three time constants the
weights, amounts and gaps, each purchase weighing e^-(age/tau), as of the last day.
Terms: the features, by NAMES, in millionths.
A purchase before the last day counts with its weight and amount, but makes no gap: the days beside
it are not kept.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.activity import EVENT
from services.scoring.scores.compiling import allocating, compiled
from services.scoring.scores.decay import decayed, factor
from services.scoring.scores.linear import ln1p_micro

TAUS = 3
FIRST_ON, LAST_ON, COUNT, WEIGHTS, AMOUNTS, GAPS = 0, 1, 2, 3, 6, 9
WORDS = 12

NAMES: Final = (
    "repeat_count",
    "active_days",
    "tenure_days",
    "silent_days",
    "silent_gaps",  # days since the last purchase in mean gaps
    "count_short",
    "count_middle",
    "count_long",
    "amount_short",
    "amount_middle",
    "amount_long",
    "gap_short",
    "gap_middle",
    "gap_long",
    "silent_gaps_short",
    "silent_gaps_middle",
    "silent_gaps_long",
)
FEATURES: Final = len(NAMES)


@compiled
def after_purchase(
    state: NDArray[np.int64], factors: NDArray[np.int64], day: int, amount_minor: int
) -> None:
    """One purchase; `factors` has a row of decay for each time constant."""
    last = state[LAST_ON]
    if state[COUNT] == 0:
        state[FIRST_ON] = day
        last = day
        state[LAST_ON] = day
    elif day == last:
        for i in range(TAUS):
            state[AMOUNTS + i] += amount_minor
        return
    state[COUNT] += 1
    if day < last:
        state[FIRST_ON] = min(state[FIRST_ON], day)
        for i in range(TAUS):
            left = factor(factors[i], last - day)
            state[WEIGHTS + i] += decayed(EVENT, left)
            state[AMOUNTS + i] += decayed(amount_minor, left)
        return
    for i in range(TAUS):
        left = factor(factors[i], day - last)
        state[WEIGHTS + i] = decayed(state[WEIGHTS + i], left) + EVENT
        state[AMOUNTS + i] = decayed(state[AMOUNTS + i], left) + amount_minor
        state[GAPS + i] = decayed(state[GAPS + i], left) + (day - last) * EVENT
    state[LAST_ON] = day


@allocating
def features(state: NDArray[np.int64], factors: NDArray[np.int64], day: int) -> NDArray[np.int64]:
    """Of a customer who has bought, on a day at or after the last. In the order of NAMES."""
    first, last, repeats = state[FIRST_ON], state[LAST_ON], state[COUNT] - 1
    silent, tenure = day - last, day - first
    found = np.zeros(FEATURES, np.int64)
    found[0] = ln1p_micro(float(repeats))
    found[1] = ln1p_micro(float(last - first))
    found[2] = ln1p_micro(float(tenure))
    found[3] = ln1p_micro(float(silent))
    # Who has bought once has no gap yet: he has waited for his whole time here.
    usual = max((last - first) / repeats, 1.0) if repeats > 0 else max(float(tenure), 1.0)
    found[4] = ln1p_micro(silent / usual)
    for i in range(TAUS):
        left = factor(factors[i], silent)
        found[5 + i] = ln1p_micro(100.0 * decayed(state[WEIGHTS + i], left) / EVENT)
        found[8 + i] = ln1p_micro(float(max(decayed(state[AMOUNTS + i], left), 0)))
        # The first purchase ended no gap, so its weight is not among those of the gaps.
        ended = state[WEIGHTS + i] - decayed(EVENT, factor(factors[i], last - first))
        gap = usual if ended < 1 else max(state[GAPS + i] / ended, 1.0)
        found[11 + i] = ln1p_micro(gap)
        found[14 + i] = ln1p_micro(silent / gap)
    return found
