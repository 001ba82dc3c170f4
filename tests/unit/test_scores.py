"""The scores: integers in, integers out."""

from datetime import date
from decimal import Decimal, getcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring import model as models
from services.scoring.scores import activity, balance, decay, outflow, silence

MODEL = models.load()
AMOUNT = st.integers(-(2**60), 2**60)


def test_the_factors_of_the_model_are_those_of_its_time_constants() -> None:
    getcontext().prec = 50
    for tau, factor in (
        (MODEL.activity_tau_days, MODEL.activity_day_factor),
        (MODEL.balance_tau_days, MODEL.balance_day_factor),
        (64, MODEL.gap_step_factor),
    ):
        assert factor == int((Decimal(-1) / tau).exp() * (1 << 60))


def test_the_table_sinks_from_one_to_nothing() -> None:
    factors = MODEL.balance_factors
    assert factors[0] == decay.ONE
    assert np.all(np.diff(factors) <= 0)
    assert factors[-1] == 0
    assert decay.factor(factors, decay.DAYS + 1) == 0
    assert decay.factor(factors, -1) == decay.ONE


@given(AMOUNT, st.integers(0, decay.ONE))
def test_decay_is_exact_in_two_limbs(value: int, left: int) -> None:
    assert decay.decayed(value, left) == (value * left) >> decay.BITS


@given(AMOUNT, st.integers(0, 1_000_000))
def test_a_share_is_exact(value: int, ppm: int) -> None:
    assert decay.share(value, ppm) == value * ppm // 1_000_000


@given(AMOUNT, AMOUNT, st.integers(0, 3000))
def test_the_mean_lies_between_where_it_was_and_the_balance(m: int, b: int, days: int) -> None:
    mean = balance.mean_on(MODEL.balance_factors, m, 100, b, 100 + days)
    assert min(m, b) <= mean <= max(m, b)


def test_a_late_amount_moves_the_mean_as_if_it_had_come_in_time() -> None:
    factors = MODEL.balance_factors
    in_time = balance.mean_on(factors, 1_000_000, 100, 1_500_000, 130)
    late = balance.corrected(
        factors, balance.mean_on(factors, 1_000_000, 100, 1_000_000, 130), 130, 500_000, 100
    )
    assert abs(in_time - late) <= 1  # one unit of rounding


def test_an_event_a_day_means_a_gap_of_one_day_from_the_first_week_on() -> None:
    value, on = 0, 0
    for day in range(1, 200):
        value = activity.after_event(MODEL.activity_factors, value, on, day)
        on = day
        if day >= 7:
            gap = activity.mean_gap_milli(MODEL.activity_mass, value, day - 1)
            assert 990 <= gap <= 1010


def test_activity_does_not_depend_on_the_order_of_days_by_more_than_rounding() -> None:
    def run(days: list[int]) -> int:
        value, on = 0, 0
        for day in days:
            value = activity.after_event(MODEL.activity_factors, value, on, day)
            on = max(on, day)
        return value

    assert abs(run([10, 20, 30]) - run([10, 30, 20])) <= 2


@pytest.mark.parametrize("balance_minor", [-5_000_000, 0, 1, 900_000, 2_500_000])
def test_the_day_of_recovery_is_the_first_on_which_the_rule_fails(balance_minor: int) -> None:
    factors, mean = MODEL.balance_factors, 8_000_000
    limits = (MODEL.outflow_clear_ppm, MODEL.outflow_mean_min_minor)
    day = outflow.recovers_on(factors, balance_minor, mean, 500, *limits)

    def held(on: int) -> bool:
        return bool(
            outflow.holds(
                balance_minor, balance.mean_on(factors, mean, 500, balance_minor, on), *limits
            )
        )

    assert held(day - 1)
    assert not held(day)


def test_silence_comes_after_so_many_usual_gaps_within_bounds() -> None:
    assert silence.silent_on(100, 2_500, 10_000, 10, 120) == 125
    assert silence.silent_on(100, 100, 10_000, 30, 120) == 130
    assert silence.silent_on(100, 90_000, 10_000, 30, 120) == 220
    assert silence.silent_on(100, 0, 10_000, 30, 120) == 0


def test_the_risk_of_silence_grows_with_every_day() -> None:
    risks = [silence.risk_ppm(MODEL.gap_powers, days, 3_000) for days in range(40)]
    assert risks == sorted(risks)
    assert risks[0] == 0
    assert abs(risks[3] - 632_120) < 200  # 1 - 1/e
    assert outflow.risk_ppm(25, 100, 50) == 750_000
    assert outflow.risk_ppm(150, 100, 50) == 0
    assert outflow.risk_ppm(0, 40, 50) == 0


def test_a_model_with_an_unknown_number_is_refused(tmp_path: object) -> None:
    import msgspec

    raw = models.FILE.read_bytes().replace(b'"version"', b'"weather": 1, "version"')
    with pytest.raises(msgspec.ValidationError, match="weather"):
        msgspec.json.decode(raw, type=models.Model)
    assert date.fromordinal(1)
