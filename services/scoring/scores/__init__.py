"""The scores: pure functions over integers, one file each, compiled where numba is.

Each file says its inputs, its state and the terms that explain it. Adding a score: one file here,
its fields in `rows.py`, its line in `kernel.py`.
"""

from services.scoring.scores import (
    activity,
    alive,
    balance,
    decay,
    event_rate,
    expected_purchases,
    mean_purchase,
    no_purchase,
    outflow,
    silence,
    transactions,
)

__all__ = [
    "activity",
    "alive",
    "balance",
    "decay",
    "event_rate",
    "expected_purchases",
    "mean_purchase",
    "no_purchase",
    "outflow",
    "silence",
    "transactions",
]
