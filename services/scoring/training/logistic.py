"""Logistic regression over features in millionths, turned into the integers of a linear score."""

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from services.scoring.training.history import TrainError

EACH_MIN = 20  # rows of either outcome
# Mean log loss + PENALTY * sum of squared weights of scaled features. It does not fade with more
# rows, as cross-validation would have it: what it holds back is drift, and more rows drift alike.
PENALTY = 0.0025
SPREAD_MIN = 1e-3  # of a feature that tells anything

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def fit(features: Ints, came_true: Bools) -> tuple[Ints, Ints, int]:
    """(weights, means, base) in millionths. Raises TrainError where an outcome is too rare."""
    rows = features / 1e6
    rare = min(int(came_true.sum()), int((~came_true).sum()))
    if rare < EACH_MIN:
        raise TrainError(
            f"{rare} of {len(came_true)} rows before the split have the rarer outcome: "
            f"{EACH_MIN} are needed"
        )
    rows[:, rows.std(axis=0) < SPREAD_MIN] = 0  # scaled up it would be noise
    scaler = StandardScaler().fit(rows)
    logit = LogisticRegression(C=1 / (2 * PENALTY * len(rows)), max_iter=5000)
    logit.fit(scaler.transform(rows), came_true)
    weights = np.rint(logit.coef_[0] / scaler.scale_ * 1e6).astype(np.int64)
    means = np.rint(scaler.mean_ * 1e6).astype(np.int64)
    return weights, means, round(float(logit.intercept_[0]) * 1e6)
