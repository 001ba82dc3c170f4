"""The smallest change that would end an alert: tried on a copy of the account's own features."""

from collections.abc import Callable
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring import use_falls
from services.scoring.risk_plan import Plan
from services.scoring.scores import account_features as af
from services.scoring.scores import purchase_features, watching
from services.scoring.scores.activity import EVENT
from services.scoring.scores.watching import HEAD, PROCESS, PURCHASE, PURCHASES

Ints = NDArray[np.int64]
TIMES_MAX: Final = 64
MONEY_STEP_MINOR: Final = 10_000
SCALES_MAX: Final = 5  # of the account's own scale: a greater deposit is no advice
BY_HAND: Final = af.BY_CUSTOMER | af.CASH  # the customer himself, with cash or card
LONG: Final = 2  # of the three time constants


def smallest(plan: Plan, of_set: int, method: int, row: Ints, on: date) -> dict[str, int]:
    """One change on the day after, by its code; none where no such change would do.

    Purchases of his usual amount, one a day. Of a current account whose use falls something that he
    does, once a day; if that is not enough, payments of his usual amount, else one deposit. Where
    money is what it is about the deposit comes first.
    """
    kind = plan.kind_of(of_set)

    def clears(days: int, amount: int, flags: int) -> bool:
        return _clears(plan, kind, method, row, on.toordinal(), days, amount, flags)

    if kind == PURCHASES:
        usual = _usual_minor(row, purchase_features.AMOUNTS, purchase_features.WEIGHTS)
        times = _first(lambda n: clears(n, -usual, PURCHASE), TIMES_MAX)
        return {"clear_purchases": times, "clear_purchase_minor": usual} if times else {}
    usual = _usual_minor(row, af.OUTS, af.ACTIONS)
    most = SCALES_MAX * _scale_minor(row) // MONEY_STEP_MINOR

    def actions() -> dict[str, int]:
        times = _first(lambda n: clears(n, 0, BY_HAND), TIMES_MAX)
        return {"clear_actions": times} if times else {}

    def payments() -> dict[str, int]:
        times = _first(lambda n: clears(n, -usual, BY_HAND), TIMES_MAX)
        return {"clear_payments": times, "clear_payment_minor": usual} if times else {}

    def deposit() -> dict[str, int]:
        steps = _first(lambda n: clears(1, n * MONEY_STEP_MINOR, BY_HAND), most)
        return {"clear_deposit_minor": steps * MONEY_STEP_MINOR} if steps else {}

    if plan.rules[method].code in ("collapse", use_falls.RULE):
        return actions() or payments() or deposit()
    return deposit() or actions()


def _usual_minor(row: Ints, amounts: int, weights: int) -> int:
    """The decayed mean of what he spends at a time."""
    state = row[HEAD:]
    amount, weight = int(state[amounts + LONG]), int(state[weights + LONG])
    return max(amount * EVENT // weight, 1) if weight > 0 else 1


def _scale_minor(row: Ints) -> int:
    """What the account deals in: its mean balance or what came in of late, whichever is more."""
    state = row[HEAD:]
    mean, came_in = int(state[af.MEAN + LONG]), int(state[af.INS + LONG])
    return max(abs(mean), came_in, MONEY_STEP_MINOR)


def _first(holds: Callable[[int], bool], most: int) -> int:
    """The smallest number for which it holds; 0: none. It may not hold for greater ones again, so
    the steps are small: what lies between two of them, less than a sixteenth apart, may be missed.
    """
    low, high = 0, 1
    while not holds(high):
        if high >= most:
            return 0
        low, high = high, min(high + max(high >> 4, 1), most)
    while high - low > 1:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle
    return high


def _clears(  # noqa: PLR0917 - of one call
    plan: Plan, kind: int, method: int, row: Ints, on: int, days: int, amount: int, flags: int
) -> bool:
    """Would one such booking a day, from the day after on, end the alert?"""
    copy, methods = row.copy(), plan.methods
    head, state = copy[:HEAD], copy[HEAD : watching.WORDS[kind]]
    for n in range(1, days + 1):
        watching.take(state, head, methods.factors, kind, on + n, amount, flags, 0)
    if methods.kinds[method] == PROCESS:
        score = watching.process_ppm(state, methods, method, on + days)
    else:
        features = watching.features_of(state, methods, kind, on + days)
        score = watching.logit_of(methods, method, features)
    return bool(score < methods.clears[method])
