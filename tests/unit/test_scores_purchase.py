"""Scores of purchase-like products, against published tables and by other ways of reckoning."""

import math
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import hyp2f1

from services.scoring.scores import (
    activity,
    alive,
    event_rate,
    expected_purchases,
    mean_purchase,
    no_purchase,
)
from services.scoring.scores.alive import DAY_S, NEVER, Process

# Fader, Hardie, Lee 2005: CDNOW, in weeks
BG = Process(r=0.243, alpha=4.414, a=0.793, b=2.426, at_once=0)
MBG = Process(r=0.5248, alpha=6.1830, a=0.8914, b=1.6140, at_once=1)
TABLE = [  # x, tx, T, P(alive), T*(0.5), T*(0.2)
    (1, 1.00, 38.86, 0.187631, 8.8967, 36.1892),
    (1, 30.00, 38.86, 0.697077, 80.1951, 253.6797),
    (2, 30.43, 38.86, 0.726579, 62.4913, 119.7162),
    (4, 10.00, 38.86, 0.060573, 18.2652, 27.0289),
    (4, 38.00, 38.86, 0.862708, 62.3208, 88.1085),
    (10, 20.00, 38.86, 0.039346, 27.2636, 31.8545),
    (29, 38.00, 38.86, 0.955222, 43.6340, 45.9666),
]
NUMBER = st.floats(0.05, 20.0)
PROCESS = st.builds(Process, NUMBER, NUMBER, NUMBER, NUMBER, st.sampled_from([0, 1]))
COUNT = st.integers(0, 3000)
DAYS = st.integers(0, 4000)
THETA = st.floats(0.01, 0.99)


def tx_of(x: int, days: int) -> int:
    """A customer has no second purchase on the day of the first."""
    return max(days, 1) if x else 0


@pytest.mark.parametrize(("x", "tx", "age", "expected", "half", "fifth"), TABLE)
def test_golden_probabilities_and_crossings(
    x: int, tx: float, age: float, expected: float, half: float, fifth: float
) -> None:
    assert alive.probability(BG, x, tx, age) == pytest.approx(expected, abs=5e-7)
    assert alive.age_at(BG, x, tx, 0.5) == pytest.approx(half, abs=5e-5)
    assert alive.age_at(BG, x, tx, 0.2) == pytest.approx(fifth, abs=5e-5)


def test_the_published_number_of_expected_purchases() -> None:
    assert expected_purchases.expected(BG, 2, 30.43, 38.86, 39.0) == pytest.approx(1.226, abs=5e-4)


def published(process: Process, x: int, tx: float, age: float, ahead: float) -> float:
    """Equation 10 of the paper as it stands there."""
    r, alpha, a, b, _ = process
    z = ahead / (alpha + age + ahead)
    left = ((alpha + age) / (alpha + age + ahead)) ** (r + x)
    found = (a + b + x - 1) / (a - 1) * (1 - left * hyp2f1(r + x, b + x, a + b + x - 1, z))
    gone = a / (b + x - 1) * ((alpha + age) / (alpha + tx)) ** (r + x) if x else 0.0
    return float(found / (1 + gone))


@pytest.mark.parametrize("x", [0, 1, 2, 10, 29])
@pytest.mark.parametrize("ahead", [0.001, 1.0, 39.0, 400.0])
def test_the_series_is_the_published_formula(x: int, ahead: float) -> None:
    tx = 30.43 if x else 0.0
    assert expected_purchases.expected(BG, x, tx, 38.86, ahead) == pytest.approx(
        published(BG, x, tx, 38.86, ahead), rel=1e-9, abs=1e-11
    )


def test_the_series_has_no_pole_where_the_published_formula_has_one() -> None:
    """At a = 1 the paper's factor divides by zero; the sum lies between its neighbours."""
    around = [
        expected_purchases.expected(BG._replace(a=a), 2, 30.43, 38.86, 39.0)
        for a in (1 - 1e-6, 1.0, 1 + 1e-6)
    ]
    assert around == sorted(around, reverse=True)
    assert around[0] - around[2] < 1e-5
    with pytest.raises(ZeroDivisionError):
        published(BG._replace(a=1.0), 2, 30.43, 38.86, 39.0)


@pytest.mark.parametrize("process", [BG, MBG])
def test_what_comes_at_once_is_the_rate_of_who_is_alive(process: Process) -> None:
    """dE[Y]/dt at 0 = P(alive) * (r + x) / (alpha + T), whichever of the two models."""
    x, tx, age, step = 3, 20.0, 30.0, 1e-5
    rate = expected_purchases.expected(process, x, tx, age, step) / step
    assert rate == pytest.approx(
        alive.probability(process, x, tx, age) * (process.r + x) / (process.alpha + age), rel=1e-4
    )


def test_a_busy_customer_is_summed_without_overflow() -> None:
    """1.1 a day for ten years: the powers of the formula would leave the range of a float."""
    daily = Process(r=0.5, alpha=3.0, a=0.1, b=50.0, at_once=1)
    found = expected_purchases.expected(daily, 4000, 3640.0, 3641.0, 91.0)
    assert 90 < found < 101
    assert alive.probability(daily, 4000, 10.0, 1e9) == 0.0


@settings(deadline=None)
@given(PROCESS, COUNT, DAYS, st.integers(0, 3000), st.integers(1, 500))
def test_nothing_comes_so_life_falls_and_silence_rises(
    process: Process, x: int, days: int, waited: int, more: int
) -> None:
    tx = float(tx_of(x, days))
    early, late = tx + waited, tx + waited + more
    assert (
        alive.probability(process, x, tx, late) <= alive.probability(process, x, tx, early) <= 1.0
    )
    assert no_purchase.probability(process, x, tx, early, 91.0) >= -1e-15
    assert (
        no_purchase.probability(process, x, tx, early, 91.0)
        <= no_purchase.probability(process, x, tx, late, 91.0) + 1e-15
    )


@settings(deadline=None)
@given(PROCESS, COUNT, DAYS, st.integers(0, 3000))
def test_silence_for_ever_is_not_being_alive_and_that_of_an_instant_is_sure(
    process: Process, x: int, days: int, waited: int
) -> None:
    tx = float(tx_of(x, days))
    for_ever = no_purchase.probability(process, x, tx, tx + waited, math.inf)
    assert for_ever == pytest.approx(1 - alive.probability(process, x, tx, tx + waited), abs=1e-12)
    assert no_purchase.probability(process, x, tx, tx + waited, 1e-12) == pytest.approx(1, abs=1e-6)


@settings(deadline=None)
@given(PROCESS, COUNT, DAYS, THETA)
@example(BG, 0, 0, 0.5)
@example(BG, 1, 1, 0.99)
def test_the_crossing_is_the_inverse_of_life(
    process: Process, x: int, days: int, theta: float
) -> None:
    tx = tx_of(x, days)
    age = alive.age_at(process, x, float(tx), theta)
    second = alive.second_at(process, x, tx, theta)
    after_purchase = alive.probability(process, x, float(tx), float(tx))
    if after_purchase < theta:
        assert age == tx  # it fires at once
        assert second == tx * DAY_S
    elif math.isinf(age):
        assert second == NEVER
        assert alive.probability(process, x, float(tx), 1e6) > theta
    else:
        assert alive.probability(process, x, float(tx), age) == pytest.approx(theta, abs=1e-9)
        assert 0 <= second - age * DAY_S < 1
        around = [alive.probability(process, x, float(tx), (second + s) / DAY_S) for s in (-1, 1)]
        assert around[0] >= theta - 1e-12
        assert around[1] <= theta


@settings(deadline=None, max_examples=50)
@given(PROCESS, COUNT, DAYS, st.integers(1, 400), THETA)
def test_the_second_of_silence_is_the_first(
    process: Process, x: int, days: int, horizon: int, theta: float
) -> None:
    tx = tx_of(x, days)
    second = no_purchase.second_at(process, x, tx, horizon, theta)

    def at(seconds: int) -> Any:
        return no_purchase.probability(process, x, float(tx), seconds / DAY_S, float(horizon))

    if second == NEVER:
        assert at(200 * 366 * DAY_S) < theta
        return
    assert at(second) >= theta
    assert second == tx * DAY_S or at(second - 1) < theta


def test_published_figures_are_integers_and_those_of_plain_python() -> None:
    """Compiled code and plain Python give the same second and the same ppm."""
    in_days = BG._replace(alpha=BG.alpha * 7)
    for x, tx, age, *_ in TABLE:
        given_days = (in_days, x, int(tx * 7))
        assert alive.second_at(*given_days, 0.5) == alive.second_at.py_func(*given_days, 0.5)
        risk = no_purchase.risk_ppm(*given_days, int(age * 7), 182)
        assert isinstance(risk, int)
        assert risk == no_purchase.risk_ppm.py_func(*given_days, int(age * 7), 182)
        assert no_purchase.second_at(*given_days, 182, 0.9) == no_purchase.second_at.py_func(
            *given_days, 182, 0.9
        )


def test_a_customer_who_bought_once_is_alive_but_may_well_be_silent() -> None:
    """Why 1 - P(alive) is not the score: it ranks him as the safest of all."""
    assert alive.probability(BG, 0, 0.0, 38.86) == 1.0
    assert alive.second_at(BG, 0, 0, 0.5) == NEVER
    assert no_purchase.probability(BG, 0, 0.0, 38.86, 26.0) > 0.88
    assert alive.probability(MBG, 0, 0.0, 38.86) < 0.7


def test_the_mean_purchase_lies_between_the_customers_own_and_that_of_all() -> None:
    spend = mean_purchase.Spend(p=6.24880, q=3.74459, v=15.44774)
    assert mean_purchase.expected(spend, 0, 0.0) == pytest.approx(35.17, abs=5e-3)
    own = spend.p / (spend.p + spend.q - 1)  # the weight of one repeat purchase
    assert mean_purchase.expected(spend, 1, 80.0) == pytest.approx(
        own * 80 + (1 - own) * mean_purchase.expected(spend, 0, 0.0)
    )
    assert mean_purchase.expected(spend, 100, 8000.0) == pytest.approx(80.0, abs=0.5)
    in_minor = spend._replace(v=spend.v * 100)
    assert mean_purchase.expected_minor(in_minor, 0, 0) == 3517


@given(st.integers(1, 1 << 40), st.integers(1, 1 << 40), st.sampled_from([15, 60, 182]))
@settings(deadline=None)
def test_the_decayed_rate_falls_to_its_threshold_at_the_second(
    rate: int, threshold: int, tau: int
) -> None:
    second = event_rate.second_at(rate, threshold, tau)
    if rate <= threshold:
        assert second == 0
        return
    falls = [rate * math.exp(-s / (tau * DAY_S)) for s in (second - 1, second + 1)]
    assert falls[0] >= threshold * (1 - 1e-12)
    assert falls[1] <= threshold


def test_the_rate_is_that_of_the_weights() -> None:
    assert event_rate.per_million_days(2 * activity.EVENT, 182) == 2_000_000 // 182
