"""Maximum likelihood of the purchase-like models: BG/NBD, MBG/NBD, Gamma-Gamma.

All parameters are positive, so the search runs over their logarithms. Equal customers are counted
once: of 23,570 histories of CDNOW in days, 7,028 differ.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln, gammaln

from services.scoring.scores.alive import Process
from services.scoring.scores.mean_purchase import Spend

Floats = NDArray[np.float64]
Log = Callable[[Floats], float]

CUSTOMERS_MIN = 30
_GTOL = 1e-7  # of the mean log-likelihood of a customer


class FitError(ValueError):
    """The data do not carry the model; the message says why."""


@dataclass(frozen=True, slots=True)
class Purchases:
    """x, tx and T of many customers, in one unit of time, and how many share each."""

    x: Floats
    tx: Floats
    age: Floats
    weight: Floats

    @classmethod
    def of(cls, x: NDArray[Any], tx: NDArray[Any], age: NDArray[Any]) -> "Purchases":
        if np.any(age < tx) or np.any(tx < 0) or np.any((x == 0) != (tx == 0)):
            raise FitError("a history has its last purchase outside its time, or x and tx disagree")
        rows, counts = np.unique(
            np.column_stack([x, tx, age]).astype(np.float64), axis=0, return_counts=True
        )
        return cls(rows[:, 0], rows[:, 1], rows[:, 2], counts.astype(np.float64))


def log_likelihood(process: Process, seen: Purchases) -> float:
    """The sum over customers; it moves by sum(x) * ln(unit) with the unit of time."""
    r, alpha, a, b, at_once = process
    x, stays = seen.x, b + seen.x + (at_once - 1)
    counts = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    staying = betaln(a, b + x + at_once) - betaln(a, b)
    still = -(r + x) * np.log(alpha + seen.age)
    with np.errstate(divide="ignore", invalid="ignore"):
        gone = np.log(a) - np.log(stays) - (r + x) * np.log(alpha + seen.tx)
    if not at_once:
        gone = np.where(x > 0, gone, -np.inf)
    return float(seen.weight @ (counts + staying + np.logaddexp(still, gone)))


def fit_process(seen: Purchases, *, at_once: bool) -> tuple[Process, float]:
    """The likeliest process and its log-likelihood. Raises FitError."""
    customers = float(seen.weight.sum())
    if customers < CUSTOMERS_MIN:
        raise FitError(f"{customers:.0f} customers are too few: {CUSTOMERS_MIN} are needed")
    if not np.any(seen.x > 0):
        raise FitError("no customer has bought twice")

    def process(logs: Floats) -> Process:
        r, alpha, a, b = (float(v) for v in np.exp(logs))
        return Process(r, alpha, a, b, int(at_once))

    scale = float(np.median(seen.age)) / 10
    found = _search(
        lambda logs: log_likelihood(process(logs), seen) / customers,
        np.log([0.5, scale, 0.8, 2.0]),
    )
    return process(found), log_likelihood(process(found), seen)


def log_likelihood_of_spend(spend: Spend, x: Floats, total: Floats) -> float:
    """Of the mean amount of each customer's x > 0 repeat purchases, `total` their sum."""
    p, q, v = spend
    shape = p * x
    terms = gammaln(shape + q) - gammaln(shape) - gammaln(q) + q * np.log(v)
    terms += (shape - 1) * np.log(total / x) + shape * np.log(x)
    return float(np.sum(terms - (shape + q) * np.log(total + v)))


def fit_spend(x: NDArray[Any], total: NDArray[Any]) -> tuple[Spend, float]:
    """The likeliest spread of amounts; customers without repeat purchase or amount are left out."""
    some = (x > 0) & (total > 0)
    counts, totals = x[some].astype(np.float64), total[some].astype(np.float64)
    if len(counts) < CUSTOMERS_MIN:
        raise FitError(
            f"{len(counts)} customers with repeat purchases of some amount are too few: "
            f"{CUSTOMERS_MIN} are needed"
        )

    def spend(logs: Floats) -> Spend:
        return Spend(*(float(value) for value in np.exp(logs)))

    middle = float(np.median(totals / counts))
    found = _search(
        lambda logs: log_likelihood_of_spend(spend(logs), counts, totals) / len(counts),
        np.log([1.0, 2.0, middle]),
    )
    return spend(found), log_likelihood_of_spend(spend(found), counts, totals)


def _search(mean_log_likelihood: Log, begin: Floats) -> Floats:
    """The summit. A simplex first, for the ridge between a and b; then its foot by gradient."""

    def cost(logs: Floats) -> float:
        value = mean_log_likelihood(logs)
        return -value if np.isfinite(value) else 1e9

    simplex = minimize(
        cost, begin, method="Nelder-Mead",
        options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
    )  # fmt: skip
    found = minimize(cost, simplex.x, method="BFGS", options={"gtol": _GTOL})
    best = found if found.fun <= simplex.fun else simplex
    if not simplex.success or np.any(np.abs(best.x) > np.log(1e6)):
        raise FitError(
            "the likelihood has no summit: the data do not tell the parameters of this model"
        )
    summit: Floats = best.x
    return summit
