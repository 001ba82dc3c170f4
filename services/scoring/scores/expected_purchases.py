"""E[Y(t)]: how many purchases to expect of a customer within the next t. For the query side.

Inputs, state: as in `alive`.
Terms: x, tx, T, t, P(alive).
Formula: Fader, Hardie, Lee 2005, equation 10, of which this is a series without its pole at a = 1
and without cancellation. A customer who never left would make N purchases, N negative binomial
with r + x and z = t/(alpha+T+t); he makes the k-th only if he stayed after the k-1 before it, each
time with the same probability q ~ Beta(stays, a). So
E[Y] = P(alive) * sum_n P(N = n) * (1 + E[q] + ... + E[q^(n-1)]): all terms are positive.
"""

import math
from typing import Final

from services.scoring.scores import alive
from services.scoring.scores.alive import Process

_ENOUGH: Final = 1e-15  # of the sum: what the terms left out can still add
_TERMS_MAX: Final = 10_000_000


def expected(process: Process, x: int, tx: float, age: float, ahead: float) -> float:
    """Purchases expected in (age, age + ahead]. Raises OverflowError past 10**7 terms."""
    if ahead <= 0:
        return 0.0
    shape = process.r + x
    z = ahead / (process.alpha + age + ahead)
    log_z, log_left = math.log(z), shape * math.log1p(-z)
    stays = process.b + x + process.at_once
    both = process.a + stays
    total, made, stayed = 0.0, 0.0, 1.0  # made: purchases of who would have made n
    for n in range(1, _TERMS_MAX):
        made += stayed
        stayed *= (stays + n - 1) / (both + n - 1)
        log_n = math.lgamma(shape + n) - math.lgamma(shape) - math.lgamma(n + 1)
        term = math.exp(log_n + log_left + n * log_z) * made
        total += term
        # The next terms shrink by this ratio or faster, once it is under 1.
        ratio = (shape + n) / n * z
        if ratio < 1 and term * ratio / (1 - ratio) <= _ENOUGH * total:
            return alive.probability(process, x, tx, age) * total
    raise OverflowError(f"{ahead} ahead of {process.alpha + age} takes more than 10**7 terms")
