"""From when until when a customer had no open account, as his record says: meanwhile he does not
count among the numbers of his party. Of several absences the last is known. Pure; numpy."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import DAY_MASK, SINCE_SHIFT
from services.scoring.state import CustomerState, day_of

Ints = NDArray[np.int64]
Away = tuple[date, date | None]  # the day of the last closing; that of the next opening
_NEVER = 1 << 40


def of_accounts(owners: Ints, turns: Ints, customers: int) -> Ints:
    """Of so many customers the day of leaving and that of coming back, 0: none; `owners` says whose
    each account is. A closing of a day to come is told, too."""
    closed, since = turns & DAY_MASK, turns >> SINCE_SHIFT & DAY_MASK
    found = np.zeros((customers, 2), np.int64)
    left_on, back_on = found.T
    np.maximum.at(left_on, owners, closed)
    back_on[:] = _NEVER
    np.minimum.at(back_on, owners, np.where(since > 0, since, _NEVER))
    found[(left_on == 0) | (back_on <= left_on)] = 0
    back_on[back_on == _NEVER] = 0
    return found


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
    left_on, back_on = of_accounts(np.zeros(len(turns), np.int64), turns, 1)[0].tolist()
    day = day_of(left_on)
    return None if day is None else (day, day_of(back_on))
