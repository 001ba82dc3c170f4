"""From when until when a customer had no open account, as his record says: meanwhile he does not
count among the numbers of his party. Of several absences the last is known. Pure; numpy."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import BEFORE_SHIFT, DAY_MASK, SINCE_SHIFT
from services.scoring.state import CustomerState, day_of

Ints = NDArray[np.int64]
Away = tuple[date, date | None]  # the day of the last closing; that of the next opening
_NEVER = 1 << 40


def of_accounts(owners: Ints, turns: Ints, last_away: Ints) -> Ints:
    """Of customers the day of leaving and that of coming back, 0: none; `owners` says whose each
    account is. As `leaving.at_end` of the end of all days: what is told of a day to come counts."""
    everyone = np.arange(len(last_away))
    words = np.concatenate([turns, last_away])
    closed, since = words & DAY_MASK, words >> SINCE_SHIFT & DAY_MASK
    before, kept_through = turns >> BEFORE_SHIFT, last_away >> BEFORE_SHIFT
    # The spans with an account: up to a closing, since an opening, and the one that is kept.
    opened = since[: len(turns)] > 0
    owner = np.concatenate([owners, owners[opened], everyone])
    begins = np.concatenate([before, since[: len(turns)][opened], since[len(turns) :]])
    never = np.full(np.count_nonzero(opened), _NEVER)
    ends = np.concatenate([closed[: len(turns)], never, kept_through + 1])
    back_on = np.full(len(last_away), _NEVER)
    while np.any(reaches := (ends >= back_on[owner]) & (begins < back_on[owner])):
        np.minimum.at(back_on, owner[reaches], begins[reaches])
    whose = np.concatenate([owners, everyone])
    left_on = np.zeros(len(last_away), np.int64)
    np.maximum.at(left_on, whose, np.where(closed < back_on[whose], closed, 0))
    back_on[(back_on == _NEVER) | (left_on == 0)] = 0
    return np.column_stack((left_on, back_on))


def as_of(away: Away | None, closed_on: date | None) -> Away | None:
    """What the closes through this day have decided of it: a turn that is told ahead waits for the
    close of its day."""
    if away is None or closed_on is None or away[0] > closed_on:
        return None
    left_on, back_on = away
    return left_on, back_on if back_on is not None and back_on <= closed_on else None


def away(customer: CustomerState) -> Away | None:
    """None: he has always had an account, as far as it is known."""
    turns = np.array([account.closed_on for account in customer.accounts], np.int64)
    owners, last_away = np.zeros(len(turns), np.int64), np.array([customer.last_away])
    left_on, back_on = of_accounts(owners, turns, last_away)[0].tolist()
    day = day_of(left_on)
    return None if day is None else (day, day_of(back_on))
