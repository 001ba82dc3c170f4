"""A linear score over features: integers whose terms sum to the logit exactly.

Inputs: features (millionths), and from the model file their weights, means and base (millionths).
State: none. Terms: one per feature, weight * (feature - mean); base + terms = logit, to the unit.
A term above 0 raises the risk, against a customer who stands at the mean in everything.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import allocating, compiled

MILLION: Final = 1_000_000
LN_MAX: Final = 700 * MILLION


@compiled
def ln1p_micro(value: float) -> int:
    """ln(1 + value) in millionths, for value >= 0: what most features are. To a millionth log1p is
    no better and takes three times as long. Most accounts have nothing of what some count."""
    if value == 0.0:
        return 0
    return int(math.log(1.0 + value) * 1e6 + 0.5)


@compiled
def signed_ln1p_micro(value: float) -> int:
    """As ln1p_micro, with the sign of the value."""
    size = int(math.log(1.0 + abs(value)) * 1e6 + 0.5)
    return size if value >= 0 else -size


@allocating
def terms(
    features: NDArray[np.int64], weights: NDArray[np.int64], means: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What each feature adds to the logit, in millionths, rounded down."""
    return weights * (features - means) // 1_000_000


@compiled
def reaches(
    features: NDArray[np.int64], weights: NDArray[np.int64], means: NDArray[np.int64], base: int,
    line: int,
) -> bool:  # fmt: skip
    """Is the logit at or above a line? Each term is rounded down by less than one, so one division
    of their sum decides, but for sums within so many units of the line."""
    n, whole = features.shape[0], 0
    for i in range(n):
        whole += weights[i] * (features[i] - means[i])
    above = base + whole // 1_000_000 - line
    if 0 <= above < n:
        above = base - line
        for i in range(n):
            above += weights[i] * (features[i] - means[i]) // 1_000_000
    return bool(above >= 0)


def logit_micro(base: int, parts: NDArray[np.int64]) -> int:
    """The sum: nothing is rounded after the terms."""
    return base + int(parts.sum())


def risk_ppm(logit: int) -> int:
    """The probability of a logit in millionths, in ppm."""
    bounded = min(max(logit, -LN_MAX), LN_MAX) / MILLION
    return int(MILLION / (1.0 + math.exp(-bounded)) + 0.5)
