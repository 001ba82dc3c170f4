"""Features and outcomes at snapshot days, by the same per-event steps as the live scorer's."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.scoring.risk_model import DAY_FACTORS
from services.scoring.scores import account_features, activity, decay, purchase_features
from services.scoring.scores.account_features import after_booking, opened
from services.scoring.scores.compiling import allocating
from services.scoring.scores.purchase_features import after_purchase
from services.scoring.scores.questions import HISTORY_DAYS
from services.scoring.scores.watching import PURCHASE
from services.scoring.training import labels
from services.scoring.training.history import Account, TrainError

Ints = NDArray[np.int64]
FACTORS = np.stack([decay.table(factor) for factor in DAY_FACTORS])
MASS = np.stack([activity.mass_of(factors) for factors in FACTORS])


@dataclass(frozen=True, slots=True)
class Table:
    """One row per account and snapshot. `outcomes` holds 1, 0, or -1: no question."""

    accounts: Ints
    days: Ints
    features: Ints
    outcomes: dict[str, Ints]
    states: Ints  # purchase-like: x, tx, T; else empty

    def where(self, goal: str) -> "Table":
        return self.only(self.outcomes[goal] >= 0)

    def only(self, chosen: NDArray[np.bool_]) -> "Table":
        return Table(
            self.accounts[chosen],
            self.days[chosen],
            self.features[chosen],
            {goal: values[chosen] for goal, values in self.outcomes.items()},
            self.states[chosen],
        )

    def came_true(self, goal: str) -> NDArray[np.bool_]:
        came_true: NDArray[np.bool_] = self.outcomes[goal] == 1
        return came_true


@allocating
def _purchases_at(  # noqa: PLR0917 - compiled: numba takes no keywords
    days: Ints, amounts: Ints, snapshots: Ints, factors: Ints, features: Ints, states: Ints
) -> None:
    state = np.zeros(purchase_features.WORDS, np.int64)
    next_one = 0
    for row in range(snapshots.shape[0]):
        while next_one < days.shape[0] and days[next_one] <= snapshots[row]:
            after_purchase(state, factors, days[next_one], amounts[next_one])
            next_one += 1
        features[row] = purchase_features.features(state, factors, snapshots[row])
        states[row, 0] = state[purchase_features.COUNT] - 1
        states[row, 1] = state[purchase_features.LAST_ON] - state[purchase_features.FIRST_ON]
        states[row, 2] = snapshots[row] - state[purchase_features.FIRST_ON]


@allocating
def _bookings_at(  # noqa: PLR0917 - compiled: numba takes no keywords
    opened_on: int, days: Ints, amounts: Ints, flags: Ints, snapshots: Ints,
    factors: Ints, mass: Ints, features: Ints,
) -> None:  # fmt: skip
    state = np.zeros(account_features.WORDS, np.int64)
    opened(state, opened_on)
    next_one = 0
    for row in range(snapshots.shape[0]):
        while next_one < days.shape[0] and days[next_one] <= snapshots[row]:
            after_booking(state, factors, days[next_one], amounts[next_one], flags[next_one])
            next_one += 1
        features[row] = account_features.features(state, factors, mass, snapshots[row])


def _asked(account: Account, first: int, snapshots: Sequence[int], horizon: int) -> Ints:
    """Snapshots at which this account is open and its outcome is known in the end."""
    last = account.until - horizon
    if account.closed_on is not None:
        last = min(last, account.closed_on - 1)
    return np.array([day for day in snapshots if first <= day <= last], np.int64)


def of_purchases(accounts: Sequence[Account], snapshots: Sequence[int], horizon: int) -> Table:
    """Every account with a purchase by then. Outcome `silence`: none in (t, t + horizon].

    Raises TrainError where nobody has bought.
    """
    found = []
    for place, account in enumerate(accounts):
        bought = (account.flags & PURCHASE) > 0
        days, amounts = account.days[bought], -account.amounts[bought]
        if not len(days):
            continue
        asked = _asked(account, int(days[0]), snapshots, horizon)
        features = np.zeros((len(asked), purchase_features.FEATURES), np.int64)
        states = np.zeros((len(asked), 3), np.int64)
        _purchases_at(days, amounts, asked, FACTORS, features, states)
        coming = np.searchsorted(days, asked + horizon, "right") - np.searchsorted(
            days, asked, "right"
        )
        found.append((np.full(len(asked), place), asked, features, states, coming == 0))
    if not found:
        raise TrainError("none of its accounts has a purchase")
    places, days, features, states, silent = (
        np.concatenate(parts) for parts in zip(*found, strict=True)
    )
    return Table(places, days, features, {"silence": silent.astype(np.int64)}, states)


def of_bookings(accounts: Sequence[Account], snapshots: Sequence[int], horizon: int) -> Table:
    """Every account with 120 days of history by then, with the outcomes of all its goals."""
    found = []
    for place, account in enumerate(accounts):
        first = account.opened_on + HISTORY_DAYS
        asked = _asked(account, first, snapshots, horizon)
        features = np.zeros((len(asked), account_features.FEATURES), np.int64)
        _bookings_at(
            account.opened_on, account.days, account.amounts, account.flags, asked,
            FACTORS, MASS, features,
        )  # fmt: skip
        outcomes = np.full((len(asked), len(labels.OF_ACCOUNTS)), -1, np.int64)
        if len(asked):
            daily = labels.Daily.of(account)
            for row, day in enumerate((asked - account.opened_on).tolist()):
                for column, label in enumerate(labels.OF_ACCOUNTS.values()):
                    came_true = label(daily, day, horizon)
                    outcomes[row, column] = -1 if came_true is None else int(came_true)
        found.append((np.full(len(asked), place), asked, features, outcomes))
    places, days, features, outcomes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    named = {goal: outcomes[:, n] for n, goal in enumerate(labels.OF_ACCOUNTS)}
    return Table(places, days, features, named, np.zeros((len(places), 0), np.int64))
