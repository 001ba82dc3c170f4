"""P_H: the probability that the customer buys nothing in the next H days. The score to rank by.

Inputs, state: as in `alive`.
Terms: x, tx, T, H, P(alive), and the instant at which P_H will have risen to a threshold.
Formula: Fader, Hardie, Lee 2005, section 4: 1 - P(alive) * (1 - ((alpha+T)/(alpha+T+H))^(r+x)).
Both factors of what is taken off 1 fall while nothing comes, so P_H only rises between events.
"""

import math
from typing import Final

from services.scoring.scores import alive
from services.scoring.scores.alive import DAY_S, NEVER, Process
from services.scoring.scores.compiling import compiled

MILLION: Final = 1_000_000
_LATEST_S: Final = 200 * 366 * DAY_S  # nobody is asked past 200 years


@compiled
def probability(process: Process, x: int, tx: float, age: float, horizon: float) -> float:
    """P_H at an age at or after tx; times in the unit of `alpha`."""
    comes = -math.expm1(-(process.r + x) * math.log1p(horizon / (process.alpha + age)))
    return 1.0 - alive.probability(process, x, tx, age) * comes


@compiled
def risk_ppm(process: Process, x: int, tx_days: int, age_days: int, horizon_days: int) -> int:
    """P_H in ppm, rounded to the nearest; `alpha` in days."""
    silent = probability(process, x, float(tx_days), float(age_days), float(horizon_days))
    return int(silent * MILLION + 0.5)


@compiled
def second_at(process: Process, x: int, tx_days: int, horizon_days: int, theta: float) -> int:
    """The first whole second after the beginning of the first day with P_H >= theta.

    That of the last purchase if P_H stands over theta right after it; NEVER past 200 years. There
    is no closed form; P_H is monotone, so a doubled bracket and a bisection find the second.
    """
    begin = tx_days * DAY_S
    tx, horizon = float(tx_days), float(horizon_days)
    if probability(process, x, tx, tx, horizon) >= theta:
        return begin
    low, step = begin, DAY_S  # P_H < theta at low
    while probability(process, x, tx, (low + step) / DAY_S, horizon) < theta:
        low += step
        step *= 2
        if low > _LATEST_S:
            return NEVER
    high = low + step
    while high - low > 1:
        middle = (low + high) // 2
        if probability(process, x, tx, middle / DAY_S, horizon) < theta:
            low = middle
        else:
            high = middle
    return high
