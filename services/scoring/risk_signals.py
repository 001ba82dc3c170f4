"""Crossings of a model's rules as signals: terms in words that add up, and what would clear it."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from services.scoring import remedy, use_falls
from services.scoring.partition import Partition
from services.scoring.risk_model import Linear, NoPurchase
from services.scoring.risk_plan import Plan, Rule
from services.scoring.scores import account_features as af
from services.scoring.scores import (
    alive,
    linear,
    no_purchase,
    purchase_features,
    turns,
    watching,
)
from services.scoring.scores.alive import DAY_S
from services.scoring.scores.watching import (
    BY_ACTION,
    BY_CASH,
    BY_MONEY_IN,
    BY_MONEY_OUT,
    BY_PENALTY,
    BY_TRANSFER,
    C_ACCOUNT,
    C_EPISODE,
    C_METHOD,
    C_OFFSET,
    C_ON,
    C_RAISED,
    C_ROW,
    C_SECOND,
    CLOSED_ON,
    HEAD,
    MOVED,
    PURCHASES,
)
from services.scoring.signals import Position, Signal

Ints = NDArray[np.int64]
BASE: Final = "base"
MILLION: Final = 1_000_000
# Which term a feature belongs to, by the beginning of its name; and what moves the term.
_TERMS: Final = (
    {"repeat_count": "purchases", "count_": "purchases", "active_days": "tenure",
     "tenure_days": "tenure", "silent_": "silence", "amount_": "amounts", "gap_": "gaps"},
    {"actions": "actions", "silent_": "silence", "gap": "gaps", "cash": "cash",
     "money_in": "money_in", "money_out": "money_out", "transfers_in": "transfers_in",
     "penalties": "trouble", "days_below_zero": "trouble", "mean_balance": "balance",
     "balance": "balance", "tenure_days": "tenure", "young": "tenure", "year_": "season"},
)  # fmt: skip
_MOVERS: Final = (
    dict.fromkeys(("purchases", "silence", "amounts", "gaps", "lost", "waits"), (BY_ACTION,)),
    {"actions": (BY_ACTION,), "silence": (BY_ACTION,), "gaps": (BY_ACTION,), "cash": (BY_CASH,),
     "money_in": (BY_MONEY_IN,), "money_out": (BY_MONEY_OUT,), "transfers_in": (BY_TRANSFER,),
     "trouble": (BY_PENALTY,), "balance": (BY_MONEY_IN, BY_MONEY_OUT)},
)  # fmt: skip


def _term_of(kind: int, name: str) -> str:
    found = [term for begin, term in _TERMS[kind].items() if name.startswith(begin)]
    return found[0]


TERM_OF: Final = (
    tuple(_term_of(0, name) for name in purchase_features.NAMES),
    tuple(_term_of(1, name) for name in af.NAMES),
)


class Writer:
    """Turns the kernel's crossings into signals. `zone` is the bank's."""

    def __init__(self, zone: str) -> None:
        self._zone = ZoneInfo(zone)

    def signals(self, partition: Partition, crossings: Iterable[list[int]]) -> list[Signal]:
        return [self._signal(partition, one) for one in crossings]

    def _signal(self, partition: Partition, one: list[int]) -> Signal:
        customer, account, product, *_ = partition.key_of(one[C_ACCOUNT])
        plan = partition.live.plan
        rule, kind = plan.rules[one[C_METHOD]], "raised" if one[C_RAISED] else "cleared"
        of_set = int(partition.watched.places[one[C_ACCOUNT], 1])
        row = np.array(one[C_ROW:], np.int64)
        on = date.fromordinal(one[C_ON])
        at = datetime.combine(on, time(), self._zone) + timedelta(seconds=one[C_SECOND])
        risk, terms, moved = explained(
            plan, of_set, one[C_METHOD], row, on, second=one[C_SECOND]
        )
        if one[C_RAISED]:
            terms |= remedy.smallest(plan, of_set, one[C_METHOD], row, on)
        elif turns.is_closed(one[C_ROW + CLOSED_ON], one[C_ON]):
            terms["account_closed"] = 1  # not by its score
        return Signal(
            id=f"{rule.code}/{customer}/{account}/{product}/{one[C_EPISODE]}/{kind}",
            customer_number=customer,
            rule=rule.code,
            kind="raised" if one[C_RAISED] else "cleared",
            at=at.astimezone(UTC),
            on=on,
            episode=one[C_EPISODE],
            score=risk,
            terms=terms,
            events=(),
            model_version=plan.version,
            account_number=account,
            product_code=product,
            position=Position(partition.number, one[C_OFFSET], moved),
        )


def explained(
    plan: Plan, of_set: int, method: int, row: Ints, on: date, *, second: int = 0
) -> tuple[int, dict[str, int], dict[str, int]]:
    """(risk in ppm, its terms, offsets of what moved each) on a day; the row is settled.

    The linear scores know whole days; a process is asked at a second of the day. Terms of a linear
    score are millionths of the logit and sum to it; those of a process are ppm and sum to the risk.
    """
    kind, rule = plan.kind_of(of_set), plan.rules[method]
    state, day = row[HEAD : watching.WORDS[kind]], on.toordinal()
    beside = {"horizon_days": rule.score.horizon_days}
    if isinstance(rule.method, NoPurchase):
        risk, terms = _of_process(rule.method, rule, state, day + second / DAY_S)
    else:
        features = watching.features_of(state, plan.methods, kind, day)
        risk, terms = _of_linear(rule.method, kind, features)
        if rule.code == use_falls.RULE:
            beside |= use_falls.paces(features)
    moved = {}
    for term in terms:
        offsets = [int(row[MOVED + by]) for by in _MOVERS[kind].get(term, ())]
        if any(offsets):
            moved[term] = max(offsets) - 1
    last = state[purchase_features.LAST_ON if kind == PURCHASES else af.LAST_ON]
    beside["silent_days"] = day - int(last) if last else 0
    return risk, {**terms, **beside}, moved


def _of_linear(method: Linear, kind: int, features: Ints) -> tuple[int, dict[str, int]]:
    terms = {BASE: method.base_micro}
    for name, value in zip(TERM_OF[kind], method.terms(features).tolist(), strict=True):
        terms[name] = terms.get(name, 0) + value
    return linear.risk_ppm(sum(terms.values())), {k: v for k, v in terms.items() if v}


def _of_process(
    method: NoPurchase, rule: Rule, state: Ints, at_day: float
) -> tuple[int, dict[str, int]]:
    """He has left already, or is here and will not come: the two are the whole risk."""
    first, last = (int(state[w]) for w in (purchase_features.FIRST_ON, purchase_features.LAST_ON))
    x, tx, age = int(state[purchase_features.COUNT]) - 1, float(last - first), at_day - first
    horizon = float(rule.score.horizon_days)
    risk = int(no_purchase.probability(method.process, x, tx, age, horizon) * MILLION + 0.5)
    left = MILLION - round(alive.probability(method.process, x, tx, age) * MILLION)
    return risk, {"lost": left, "waits": risk - left}
