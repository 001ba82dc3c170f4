"""How good a score was: by what came true, on rows that no weight has seen."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import brier_score_loss, roc_auc_score

from services.scoring.risk_model import Measured

BINS = 10


def ece(came_true: NDArray[np.bool_], risk: NDArray[np.float64]) -> float:
    """Expected calibration error over ten bins of equal count."""
    order = np.argsort(risk, kind="stable")
    gaps = [
        len(part) * abs(float(came_true[part].mean()) - float(risk[part].mean()))
        for part in np.array_split(order, BINS)
        if len(part)
    ]
    return sum(gaps) / len(risk)


def measured(
    method: str,
    population: str,
    came_true: NDArray[np.bool_],
    risk_ppm: NDArray[np.int64],
    accounts: NDArray[np.int64],
) -> Measured:
    """Both outcomes must occur: the callers have seen to it."""
    risk = risk_ppm / 1e6

    def ppm(value: float) -> int:
        return round(value * 1e6)

    return Measured(
        method=method,
        population="repeat" if population == "repeat" else "all",
        rows=len(risk),
        accounts=len(np.unique(accounts)),
        base_ppm=ppm(float(came_true.mean())),
        auc_ppm=ppm(float(roc_auc_score(came_true, risk))),
        brier_ppm=ppm(float(brier_score_loss(came_true, risk))),
        ece_ppm=ppm(ece(came_true, risk)),
    )
