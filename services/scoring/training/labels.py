"""What came true: labels at the end of a day t over the horizon (t, t + H], by account.

Definitions: collapse, outflow onset and first distress need 120 days of history; None says that
the question does not arise, so that a customer who was poor before is no outflow.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores import account_features
from services.scoring.scores.questions import (
    ACTIONS_MIN,
    MEAN_MIN_MINOR,
    PAST_DAYS,
    STANDS,
)
from services.scoring.training.history import Account

ACTIVITY_DAYS = 180


@dataclass(frozen=True, slots=True)
class Daily:
    """One account day by day from its opening: running sums, so that a window is a difference."""

    opened_on: int
    actions: NDArray[np.int64]
    balance: NDArray[np.int64]  # at the end of the day
    balances: NDArray[np.int64]  # their running sum
    troubles: NDArray[np.int64]  # days below zero or with penalty interest

    @classmethod
    def of(cls, account: Account) -> "Daily":
        days = account.until - account.opened_on + 1
        place = account.days - account.opened_on
        acted = (account.flags & account_features.BY_CUSTOMER) > 0
        actions, moves, trouble = (np.zeros(days, np.int64) for _ in range(3))
        np.add.at(actions, place[acted], 1)
        np.add.at(moves, place, account.amounts)
        balance = np.cumsum(moves)
        trouble[place[(account.flags & account_features.PENALTY) > 0]] = 1
        trouble[balance < 0] = 1
        return cls(account.opened_on, np.cumsum(actions), balance, np.cumsum(balance),
                   np.cumsum(trouble))  # fmt: skip


def window(sums: NDArray[np.int64], first: int, last: int) -> int:
    """Sum over the places first..last; what is before the opening counts nothing."""
    return int(sums[last]) - (int(sums[first - 1]) if first > 0 else 0)


def collapse(daily: Daily, at: int, horizon: int) -> bool | None:
    """The customer does at most half of what was usual over the last 180 days."""
    past = window(daily.actions, at - ACTIVITY_DAYS + 1, at)
    if past < ACTIONS_MIN:
        return None
    coming = window(daily.actions, at + 1, at + horizon)
    return 2 * coming * ACTIVITY_DAYS <= past * horizon


def outflow(daily: Daily, at: int, horizon: int) -> bool | None:
    """The mean balance falls to half or less, and has not begun to fall."""
    past = window(daily.balances, at - PAST_DAYS + 1, at) / PAST_DAYS
    if past < MEAN_MIN_MINOR or daily.balance[at] < STANDS * past:
        return None
    return window(daily.balances, at + 1, at + horizon) / horizon <= past / 2


def distress(daily: Daily, at: int, horizon: int) -> bool | None:
    """Below zero or penalty interest, for the first time in 90 days."""
    if window(daily.troubles, at - PAST_DAYS + 1, at):
        return None
    return window(daily.troubles, at + 1, at + horizon) > 0


OF_ACCOUNTS = {"collapse": collapse, "outflow": outflow, "distress": distress}
