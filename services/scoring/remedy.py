"""The smallest change that would end an alert: tried on a copy of the account's own features."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.scoring import use_falls
from services.scoring.risk_plan import Plan
from services.scoring.scores import account_features as af
from services.scoring.scores import looking, purchase_features, watching
from services.scoring.scores.activity import EVENT
from services.scoring.scores.watching import (
    C_METHOD,
    CLOSED_ON,
    DUE,
    HEAD,
    PROCESS,
    PURCHASE,
    PURCHASES,
    SUM_MAX,
)
from services.scoring.watched import Watched

Ints = NDArray[np.int64]
TIMES_MAX: Final = 64
ALONE_MAX: Final = 366  # days that are looked ahead, where nothing happens
WHOLE: Final = 100  # a sentence names no cents
MONEY_STEP_MINOR: Final = 10_000  # the least that is asked for, and its steps
SCALES_MAX: Final = 5  # of the account's own scale: a greater deposit is no advice
CARD: Final = af.BY_CUSTOMER | af.CASH  # a card payment, or cash that he takes out
# In cash, by his own transfer, by that of another: what is asked for must do however it comes.
DEPOSITS: Final = (CARD, af.BY_CUSTOMER | af.TRANSFER_IN, af.TRANSFER_IN)
LONG: Final = 2  # of the three time constants


def smallest(plan: Plan, of_set: int, method: int, row: Ints, on: date) -> dict[str, int]:
    """One change from the day after on, by its code, that ends it sooner than if nothing happened.

    Purchases of his usual amount, one a day. Of a current account whose use falls something that he
    does, once a day. Where activity may collapse card payments of any amount, else of his usual
    one. Where it is about money small payments or one deposit, whichever takes less money.
    Where no such change would do: after how many days it ends by itself; none: not within a year.
    """
    alone = _alone_after(plan, of_set, method, row, on.toordinal())
    most = min(alone - 1, TIMES_MAX) if alone else TIMES_MAX
    account = _Account(plan, plan.kind_of(of_set), method, row, on.toordinal(), most)
    found = _change(account, plan.rules[method].code) if most else {}
    return found or ({"clear_alone_days": alone} if alone else {})


@dataclass(frozen=True, slots=True)
class _Account:
    plan: Plan
    kind: int
    method: int
    row: Ints
    on: int
    days_max: int  # on the day after them it ends by itself

    def clears(self, days: int, amount: int, *ways: int) -> bool:
        """Would such bookings, in each of these ways, end the alert?"""
        return all(_clears(self.plan, self.kind, self.method, self.row, self.on, days, amount, way)
                   for way in ways)  # fmt: skip

    def times(self, amount: int, way: int) -> int:
        """On how many days in turn; 0: on any number in vain."""
        return _first(lambda n: self.clears(n, amount, way), self.days_max)

    def times_of_any(self, most: int, way: int) -> int:
        """The same, whatever he spends each time up to this amount."""
        return _first(
            lambda n: self.clears(n, 0, way) and self.clears(n, -most, way), self.days_max
        )

    def deposit(self, *ways: int) -> int:
        """The smallest that does in each of these ways; 0: none does."""
        most = SCALES_MAX * _scale_minor(self.row) // MONEY_STEP_MINOR
        return MONEY_STEP_MINOR * _first(
            lambda n: self.clears(1, n * MONEY_STEP_MINOR, *ways), most
        )


def _change(account: _Account, code: str) -> dict[str, int]:
    if account.kind == PURCHASES:
        usual = _usual_minor(account.row, purchase_features.AMOUNTS, purchase_features.WEIGHTS)
        times = account.times(-usual, PURCHASE)
        return {"clear_purchases": times, "clear_purchase_minor": usual} if times else {}
    usual = _usual_minor(account.row, af.OUTS, af.ACTIONS)
    if code == use_falls.RULE:
        times = account.times_of_any(usual, af.BY_CUSTOMER)
        return {"clear_actions": times} if times else {}
    if code == "collapse":
        return _of_activity(account, usual) or _deposit(account)
    return _of_money(account)


def _of_activity(account: _Account, usual: int) -> dict[str, int]:
    if times := account.times_of_any(usual, CARD):
        return {"clear_payments": times}
    whole = -(-usual // WHOLE) * WHOLE
    times = account.times(-whole, CARD)
    return {"clear_payments": times, "clear_payment_minor": whole} if times else {}


def _of_money(account: _Account) -> dict[str, int]:
    times = account.times_of_any(MONEY_STEP_MINOR, CARD)
    payments = {"clear_payments": times, "clear_payment_max_minor": MONEY_STEP_MINOR}
    if times == 1:
        return payments
    deposit = _deposit(account)
    if times and deposit.get("clear_deposit_minor", SUM_MAX) > times * MONEY_STEP_MINOR:
        return payments
    return deposit


def _deposit(account: _Account) -> dict[str, int]:
    """One that does however it comes; else one that he makes in cash, which is an act of his."""
    if deposit := account.deposit(*DEPOSITS):
        return {"clear_deposit_minor": deposit}
    in_cash = account.deposit(CARD)
    return {"clear_cash_deposit_minor": in_cash} if in_cash else {}


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


def _alone_after(plan: Plan, of_set: int, method: int, row: Ints, on: int) -> int:
    """After how many days the worker's own looks end it where nothing happens; 0: they do not. A
    closing that is told ahead is left out: what an alert says is the same if it is told later."""
    watched = Watched(plan)
    watched.places[0], watched.heads[0] = (0, of_set, 0), -1
    watched.pool[: len(row)], watched.pool[DUE], watched.looks[0] = row, on, on
    watched.pool[CLOSED_ON] = 0
    watch, one, no_other = watched.watch(), np.zeros(1, np.int64), np.full(1, -1)
    while 0 < (day := int(watched.pool[DUE])) <= on + ALONE_MAX:
        watched.written[0] = 0
        looking.look(watch, 0, one, no_other, day, 0)
        if any(crossing[C_METHOD] == method for crossing in watched.crossed()):
            return day - on
    return 0
