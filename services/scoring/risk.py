"""A customer's scores on a day, from the state alone: what pages show and `replay` writes."""

from datetime import date
from typing import Any

from services.scoring.model import Model
from services.scoring.risk_plan import Plan
from services.scoring.risk_signals import explained
from services.scoring.scores import activity, balance, outflow, silence
from services.scoring.scores.decay import decayed, factor
from services.scoring.state import CustomerState
from services.scoring.watched import last_on, settled


def scores_on(
    model: Model, state: CustomerState, on: date
) -> tuple[dict[str, int], dict[str, Any]]:
    """(scores, terms) on a day at or after the state's own; money in minor units, risk in ppm."""
    day = on.toordinal()
    mean = mean_minor(model, state, on)
    gap = gap_milli(model, state)
    silent_days = max(day - state.last_on.toordinal(), 0) if state.last_on else 0
    scores = {
        "count": state.count,
        "customer_count": state.customer_count,
        "balance_minor": state.sum_minor,
        "mean_balance_minor": mean,
        "activity_milli": activity_milli(model, state, on),
        "outflow_risk_ppm": outflow.risk_ppm(state.sum_minor, mean, model.outflow_mean_min_minor),
        "silence_risk_ppm": silence.risk_ppm(model.gap_powers, silent_days, gap),
    }
    terms = {
        "outflow": {"balance_minor": state.sum_minor, "mean_minor": mean},
        "silence": {
            "last_on": state.last_on.isoformat() if state.last_on else None,
            "silent_days": silent_days,
            "mean_gap_milli_days": gap,
            "silent_on": state.silent_on.isoformat() if state.silent_on else None,
        },
    }
    return scores, terms


def of_model(
    plan: Plan, currency: str, state: CustomerState, on: date
) -> tuple[dict[str, int], dict[str, Any]]:
    """(scores, terms) by the rules of a model: of each the account with the greatest risk."""
    scores: dict[str, int] = {}
    terms: dict[str, Any] = {}
    for account in state.accounts:
        if not account.watch or account.currency != currency:
            continue
        of_set = plan.products.get(account.product_code, -1)
        if of_set < 0:
            continue
        row = settled(plan, of_set, account.watch, on)
        last = last_on(plan.kind_of(of_set), row)
        if not last:
            continue
        day = max(on, date.fromordinal(last))
        for method in plan.sets[of_set, 1:].tolist():
            if method < 0:
                continue
            risk, parts, _ = explained(plan, of_set, method, row, day)
            rule = plan.rules[method].code
            if risk >= scores.get(f"{rule}_risk_ppm", 0):
                scores[f"{rule}_risk_ppm"] = risk
                terms[rule] = {"account_number": account.account_number,
                               "product_code": account.product_code, **parts}  # fmt: skip
    return scores, terms


def mean_minor(model: Model, state: CustomerState, on: date) -> int:
    """The decayed mean balance at the beginning of a day."""
    if state.mean_on is None:
        return 0
    return int(
        balance.mean_on(
            model.balance_factors,
            state.mean_minor,
            state.mean_on.toordinal(),
            state.sum_minor,
            on.toordinal(),
        )
    )


def activity_milli(model: Model, state: CustomerState, on: date) -> int:
    """Decayed customer-initiated transactions, in thousandths."""
    if state.activity_on is None:
        return 0
    left = factor(model.activity_factors, on.toordinal() - state.activity_on.toordinal())
    return int(decayed(state.activity, left)) * 1000 // activity.EVENT


def gap_milli(model: Model, state: CustomerState) -> int:
    """The usual gap between transactions in thousandths of a day; 0 while it is unknown."""
    if state.first_on is None or state.last_on is None:
        return 0
    tenure = (state.last_on - state.first_on).days
    if state.customer_count < model.silence_count_min or tenure < model.silence_tenure_days_min:
        return 0
    return int(activity.mean_gap_milli(model.activity_mass, state.activity, tenure))
