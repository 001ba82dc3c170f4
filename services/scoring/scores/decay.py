"""Decay over whole business days: one fixed-point table, no exp on a state path.

The table is built from one integer, the factor of one day at 60 bits, by exact products. So every
machine has the same table, and the same state follows from the same events.
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled

BITS = 30
ONE = 1 << BITS
DAYS = 4096  # past it nothing is left: the factor is 0
VALUE_MAX = 1 << 61  # of what is decayed: keeps both limbs within 63 bits


def table(step_factor: int) -> NDArray[np.int64]:
    """Factors after 0, 1, 2 ... steps at 30 bits; `step_factor` is that of one step at 60 bits."""
    factors, exact = [], 1 << 60
    for _ in range(DAYS):
        factors.append(exact >> BITS)
        exact = exact * step_factor >> 60
    return np.array(factors, np.int64)


@compiled
def factor(factors: NDArray[np.int64], days: int) -> int:
    """What is left of 1 (30 bits) after whole days; 0 days or less leave all of it."""
    if days <= 0:
        return ONE
    if days >= factors.shape[0]:
        return 0
    return factors[days]  # type: ignore[no-any-return]


@compiled
def decayed(value: int, left: int) -> int:
    """floor(value * left / 2**30), exact for |value| < 2**61: the product takes two limbs."""
    high = value >> 32
    low = value & 0xFFFFFFFF
    return high * left * 4 + ((low * left) >> 30)


@compiled
def share(value: int, ppm: int) -> int:
    """floor(value * ppm / 10**6) without leaving 64 bits, for ppm up to 10**6."""
    million = 1_000_000
    return (value // million) * ppm + (value % million) * ppm // million
