"""The scores: pure functions over integers, one file each, compiled where numba is.

Each file says its inputs, its state and the terms that explain it. Adding a score: one file here,
its fields in `rows.py`, its line in `kernel.py`.
"""

from services.scoring.scores import (
    account_features,
    activity,
    alive,
    balance,
    decay,
    event_rate,
    expected_purchases,
    linear,
    mean_purchase,
    no_purchase,
    outflow,
    purchase_features,
    silence,
    transactions,
)

__all__ = [
    "account_features",
    "activity",
    "alive",
    "balance",
    "decay",
    "event_rate",
    "expected_purchases",
    "linear",
    "mean_purchase",
    "no_purchase",
    "outflow",
    "purchase_features",
    "silence",
    "transactions",
]
