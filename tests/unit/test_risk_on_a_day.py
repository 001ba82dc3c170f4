"""A customer's scores on a day, as pages and `replay` show them, are those that the rules go by."""

from datetime import date, timedelta
from math import exp
from typing import Any

import pytest

from services.scoring import model as models
from services.scoring import risk, risk_plan
from services.scoring.state import CustomerState
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made

MODEL = models.load()
PLAN = risk_plan.plan_of(hand_made("CARD"))


def of_days(*days: int) -> CustomerState:
    """Who bought on these days, all of them closed."""
    live = Live(PLAN)
    for day in range(max(days) + 1):
        if day in days:
            live.buys(day)
        live.close(day)
    (found,) = live.replay.customers()
    return found


def day(n: int) -> date:
    return BEGIN + timedelta(days=n)


def silence_of(state: CustomerState, on: date) -> tuple[int, dict[str, Any]]:
    scores, terms = risk.scores_on(MODEL, state, on)
    return scores["silence_risk_ppm"], terms["silence"]


@pytest.mark.parametrize(
    ("days", "is_known"),
    [((0, 5, 10, 15, 20), True), ((0, 5, 10, 15, 19), False), ((0, 5, 10, 20), False)],
    ids=["just enough", "a day too young", "one purchase too few"],
)
def test_a_pace_is_known_where_the_rule_knows_it(days: tuple[int, ...], is_known: bool) -> None:
    assert (MODEL.silence_count_min, MODEL.silence_tenure_days_min) == (5, 20)
    state = of_days(*days)
    found, terms = silence_of(state, day(60))
    assert (state.silent_on is not None) == is_known
    assert (terms["mean_gap_milli_days"] > 0) == is_known
    assert (found > 0) == is_known


def test_silence_is_counted_from_the_last_day_on_which_he_did_something() -> None:
    state = of_days(*range(0, 41, 4))
    assert silence_of(state, day(40))[0] == 0
    for silent_days in (1, 7):
        found, terms = silence_of(state, day(40 + silent_days))
        assert terms["silent_days"] == silent_days
        left = exp(-silent_days * 1000 / terms["mean_gap_milli_days"])
        assert abs(found - (1 - left) * 1e6) < 5_000  # of a table in steps of 1/64


def test_a_model_is_asked_on_no_day_before_the_last_booking() -> None:
    state = of_days(*range(0, 131, 10))
    found = risk.of_model(PLAN, "CNY", state, day(100))
    assert found == risk.of_model(PLAN, "CNY", state, day(130))
    assert found != risk.of_model(PLAN, "CNY", state, day(150))
    assert found[0]
