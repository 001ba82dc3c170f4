"""Decayed features of an account that is no purchase: its activity, its money, its balance.

Inputs: bookings (day, signed amount in minor units, flags), in the order of days.
State: WORDS integers. For each of three time constants: decayed sums of what customers do, of
cash, of money in, out and in by transfer, of penalties; and decayed means of the balance at the
end of each day, of its square, of the days below zero. Then the gaps between the customer's days.
Terms: the features, by NAMES, in millionths.
Between bookings the balance stands still, so the means move in closed form: O(1) per booking.
The deviation is exact to sqrt(2**8 * balance): 11,300 minor units at a balance of 500,000.
A booking of an earlier day corrects sums and mean balance; the squares and the days below zero of
the days between are not linear in it, and stay.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.activity import EVENT
from services.scoring.scores.compiling import allocating, compiled, inlined
from services.scoring.scores.decay import ONE, decayed, factor
from services.scoring.scores.linear import ln1p_micro, signed_ln1p_micro

Ints = NDArray[np.int64]

# Flags of a booking
BY_CUSTOMER, CASH, TRANSFER_IN, PENALTY = 1, 2, 4, 8

TAUS = 3
LONG = 2  # the longest of them: what the others are compared with
ON, OPENED_ON, FIRST_ON, LAST_ON, DAYS, BALANCE = range(6)
ACTIONS, CASHES, INS, OUTS, TRANSFERS, PENALTIES = range(6, 24, 3)  # decayed sums
BELOW, MEAN, SQUARE = range(24, 33, 3)  # decayed means over days
GAP_WEIGHT, GAP, GAP_SQUARE = 33, 34, 35  # by the longest time constant
WORDS = 36

SHIFT = 7  # of the balance before it is squared, so that the square keeps to 60 bits
ROOT_MAX = 1 << 30
SMALL_MINOR = 10_000.0  # a balance that a ratio may stand on
MONTH = 30.0
MILLION = 1e6
YOUNG_DAYS: Final = 180
HARMONICS: Final = 3  # of the year: customers do more at its end, less at its beginning
YEAR_DAYS: Final = 365.2425
FEW = (1, 2, 3, 4, 6)  # actions a month: so few may stop by chance

_WINDOWS = ("short", "middle", "long")
NAMES: Final = (
    *(f"{what}_{w}" for what in ("actions", "cash") for w in _WINDOWS),
    *(f"{what}_{w}" for what in ("money_in", "money_out", "transfers_in") for w in _WINDOWS),
    *(f"{what}_{w}" for what in ("penalties", "days_below_zero") for w in _WINDOWS),
    *(f"{what}_{w}" for what in ("mean_balance", "balance_deviation") for w in _WINDOWS),
    "balance", "tenure_days", "silent_days", "gap",
    "gap_long", "gap_deviation", "silent_gaps", "young",
    *(f"{what}_change_{w}" for what in ("actions", "cash", "money_in", "money_out", "transfers_in")
      for w in _WINDOWS[:LONG]),
    *(f"balance_to_mean_{w}" for w in _WINDOWS),
    *(f"{what}_to_balance_{w}" for w in ("long", "middle")
      for what in ("money_in", "money_out", "transfers_in")),
    *(f"actions_under_{few}" for few in FEW),
    "actions_rise", "actions_rise_clear", "actions_fall_clear",
    *(f"year_{wave}_{n}" for n in range(1, HARMONICS + 1) for wave in ("sine", "cosine")),
)  # fmt: skip
OF_THE_YEAR: Final = len(NAMES) - 2 * HARMONICS  # from here on features know the day only
FEATURES: Final = len(NAMES)


@compiled
def opened(state: Ints, day: int) -> None:
    """The account begins, empty."""
    state[:] = 0
    state[ON] = day
    state[OPENED_ON] = day


@compiled
def _root(balance_minor: int) -> int:
    """The balance as it is squared: in steps of 2**7, beyond 2**37 minor units no more."""
    return min(max(balance_minor >> SHIFT, -ROOT_MAX), ROOT_MAX)


@inlined
def advance(state: Ints, factors: Ints, day: int) -> None:
    """To the beginning of a day: its own end is not in the means yet."""
    if day <= state[ON]:
        return
    balance = state[BALANCE]
    root = _root(balance)
    below = ONE if balance < 0 else 0
    for i in range(TAUS):
        left = factor(factors[i], day - state[ON])
        for kind in range(ACTIONS, BELOW, TAUS):
            state[kind + i] = decayed(state[kind + i], left)
        state[BELOW + i] = below + decayed(state[BELOW + i] - below, left)
        state[MEAN + i] = balance + decayed(state[MEAN + i] - balance, left)
        state[SQUARE + i] = root * root + decayed(state[SQUARE + i] - root * root, left)
    state[ON] = day


@compiled
def after_booking(state: Ints, factors: Ints, day: int, amount_minor: int, flags: int) -> None:
    """One booking; `factors` has a row of decay for each time constant."""
    advance(state, factors, day)
    for i in range(TAUS):
        left = factor(factors[i], state[ON] - day)
        event = decayed(EVENT, left)
        amount = decayed(abs(amount_minor), left)
        if flags & BY_CUSTOMER:
            state[ACTIONS + i] += event
        if flags & CASH:
            state[CASHES + i] += event
        if flags & PENALTY:
            state[PENALTIES + i] += event
        if amount_minor > 0:
            state[INS + i] += amount
        else:
            state[OUTS + i] += amount
        if flags & TRANSFER_IN:
            state[TRANSFERS + i] += amount
        state[MEAN + i] += decayed(amount_minor, ONE - left)
    state[BALANCE] += amount_minor
    if flags & BY_CUSTOMER:
        _after_action(state, factors[LONG], day)


@compiled
def _after_action(state: Ints, long: Ints, day: int) -> None:
    if state[DAYS] == 0:
        state[FIRST_ON] = day
    elif day <= state[LAST_ON]:
        state[FIRST_ON] = min(state[FIRST_ON], day)
        return
    else:
        gap = day - state[LAST_ON]
        left = factor(long, gap)
        state[GAP_WEIGHT] = decayed(state[GAP_WEIGHT], left) + EVENT
        state[GAP] = decayed(state[GAP], left) + gap * EVENT
        state[GAP_SQUARE] = decayed(state[GAP_SQUARE], left) + gap * gap * EVENT
    state[LAST_ON] = day
    state[DAYS] += 1


@allocating
def features(state: Ints, factors: Ints, mass: Ints, day: int) -> Ints:
    """At the end of a day at or after the last booking's. In the order of NAMES."""
    now = state.copy()
    advance(now, factors, day)
    monthly = np.zeros((6, TAUS))  # of the decayed sums: what a month at this pace would bring
    means = np.zeros((TAUS, 3))
    tenure = day - now[OPENED_ON]
    for i in range(TAUS):
        seen = mass[i][min(tenure, mass.shape[1] - 1)] / ONE
        for kind in range(6):
            monthly[kind, i] = MONTH * now[ACTIONS + TAUS * kind + i] / seen
        monthly[0, i] /= EVENT
        monthly[1, i] /= EVENT
        monthly[5, i] /= EVENT
    advance(now, factors, day + 1)
    for i in range(TAUS):
        whole = 1.0 - factor(factors[i], tenure + 1) / ONE  # the weight of all days so far
        means[i, 0] = now[BELOW + i] / ONE / whole
        means[i, 1] = now[MEAN + i] / whole
        root = means[i, 1] / (1 << SHIFT)
        means[i, 2] = math.sqrt(max(now[SQUARE + i] / whole - root * root, 0.0)) * (1 << SHIFT)
    found = np.zeros(FEATURES, np.int64)
    n = _paces(found, 0, monthly, means)
    n = _balance_and_gaps(found, n, now, tenure, day)
    _relations(found, n, monthly, means, float(now[BALANCE]))
    for k in range(HARMONICS):
        angle = 2.0 * math.pi * (k + 1) * day / YEAR_DAYS
        found[OF_THE_YEAR + 2 * k] = round(math.sin(angle) * MILLION)
        found[OF_THE_YEAR + 2 * k + 1] = round(math.cos(angle) * MILLION)
    return found


@inlined
def _paces(found: Ints, n: int, monthly: NDArray[np.float64], means: NDArray[np.float64]) -> int:
    for kind in range(5):
        for i in range(TAUS):
            found[n] = ln1p_micro(monthly[kind, i])
            n += 1
    for i in range(TAUS):
        found[n + i] = ln1p_micro(monthly[5, i] / MONTH * 100.0)
        found[n + TAUS + i] = ln1p_micro(means[i, 0] * 100.0)
        found[n + 2 * TAUS + i] = signed_ln1p_micro(means[i, 1])
        found[n + 3 * TAUS + i] = ln1p_micro(means[i, 2])
    return n + 4 * TAUS


@inlined
def _balance_and_gaps(found: Ints, n: int, now: Ints, tenure: int, day: int) -> int:
    silent = day - now[LAST_ON] if now[DAYS] > 0 else tenure
    gap = (now[LAST_ON] - now[FIRST_ON]) / (now[DAYS] - 1) if now[DAYS] > 1 else float(tenure)
    usual, spread = float(tenure), 0.0
    if now[GAP_WEIGHT] > 0:
        usual = now[GAP] / now[GAP_WEIGHT]
        spread = math.sqrt(max(now[GAP_SQUARE] / now[GAP_WEIGHT] - usual * usual, 0.0))
    found[n] = signed_ln1p_micro(float(now[BALANCE]))
    found[n + 1] = ln1p_micro(float(tenure))
    found[n + 2] = ln1p_micro(float(silent))
    found[n + 3] = ln1p_micro(gap)
    found[n + 4] = ln1p_micro(usual)
    found[n + 5] = ln1p_micro(spread)
    found[n + 6] = ln1p_micro(silent / max(usual, 1.0))
    found[n + 7] = min(tenure, YOUNG_DAYS) * 1_000_000 // YOUNG_DAYS
    return n + 8


@inlined
def _relations(
    found: Ints, n: int, monthly: NDArray[np.float64], means: NDArray[np.float64], balance: float
) -> None:
    for kind in range(5):  # the paces stand first: a logarithm is most of what a feature costs
        for i in range(LONG):
            found[n] = found[TAUS * kind + i] - found[TAUS * kind + LONG]
            n += 1
    for i in range(TAUS):
        ratio = balance / max(means[i, 1], 10.0 * SMALL_MINOR)
        found[n] = int(min(max(ratio, -2.0), 3.0) * MILLION)
        n += 1
    for i in (2, 1):
        for kind in range(2, 5):
            found[n] = ln1p_micro(monthly[kind, i] / max(balance, SMALL_MINOR))
            n += 1
    for few in FEW:
        found[n] = int(max(few - monthly[0, LONG], 0.0) * MILLION)
        n += 1
    change = found[1] - found[LONG]
    found[n] = max(change, 0)
    found[n + 1] = max(change - 200_000, 0)
    found[n + 2] = max(-change - 200_000, 0)
