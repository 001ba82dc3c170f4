"""Decayed features against their definition, reckoned anew from the whole history each time."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from services.scoring.risk_model import TAUS_DAYS
from services.scoring.scores import account_features as af
from services.scoring.scores import linear
from services.scoring.scores import purchase_features as pf
from services.scoring.training.snapshots import FACTORS, MASS

BEGIN = 729_000
PURCHASES = st.lists(
    st.tuples(st.integers(0, 700), st.integers(0, 50_000)), min_size=1, max_size=40
)
BOOKINGS = st.lists(
    st.tuples(st.integers(0, 500), st.integers(-400_000, 500_000), st.integers(0, 15)),
    max_size=60,
)


def ln1p(value: float) -> float:
    return math.copysign(math.log1p(abs(value)), value)


def purchase_state(purchases: list[tuple[int, int]]) -> NDArray[np.int64]:
    state = np.zeros(pf.WORDS, np.int64)
    for day, amount in purchases:
        pf.after_purchase(state, FACTORS, BEGIN + day, amount)
    return state


def defined(purchases: list[tuple[int, int]], on: int) -> dict[str, float]:
    """Every purchase feature by its definition, from all purchases."""
    amounts: dict[int, int] = {}
    for day, amount in purchases:
        amounts[day] = amounts.get(day, 0) + amount
    days = sorted(amounts)
    x, tx, tenure, silent = len(days) - 1, days[-1] - days[0], on - days[0], on - days[-1]
    usual = max(tx / x, 1.0) if x else max(float(tenure), 1.0)
    found = {
        "repeat_count": x, "active_days": tx, "tenure_days": tenure, "silent_days": silent,
        "silent_gaps": silent / usual,
    }  # fmt: skip
    for tau, name in zip(TAUS_DAYS, ("short", "middle", "long"), strict=True):
        weight = {day: math.exp(-(on - day) / tau) for day in days}
        found[f"count_{name}"] = 100 * sum(weight.values())
        found[f"amount_{name}"] = sum(weight[day] * amounts[day] for day in days)
        gap, weights = usual, sum(weight[day] for day in days[1:])
        # Gaps that have faded below the fixed point are no gaps any more.
        if weights * math.exp(silent / tau) > 1e-4:
            gaps = pairwise(days)
            gap = max(sum((b - a) * weight[b] for a, b in gaps) / weights, 1.0)
        found[f"gap_{name}"] = gap
        found[f"silent_gaps_{name}"] = silent / gap
    return {name: ln1p(value) for name, value in found.items()}


@settings(deadline=None)
@given(PURCHASES, st.integers(0, 400))
def test_purchase_features_are_those_of_the_whole_history(
    purchases: list[tuple[int, int]], waited: int
) -> None:
    purchases = sorted(purchases)
    on = purchases[-1][0] + waited
    found = pf.features(purchase_state(purchases), FACTORS, BEGIN + on) / 1e6
    expected = defined(purchases, on)
    assert set(expected) == set(pf.NAMES)
    for name, value in zip(pf.NAMES, found, strict=True):
        # An amount is cut to whole units at each step; a count to a millionth.
        tolerance = 1.0 if name.startswith("amount") and expected[name] < 4 else 0.02
        assert value == pytest.approx(expected[name], abs=tolerance), name


def test_rows_of_one_day_are_one_purchase_and_late_ones_make_no_gap() -> None:
    once, split = purchase_state([(3, 500), (9, 700)]), purchase_state([(3, 500), (9, 300)])
    pf.after_purchase(split, FACTORS, BEGIN + 9, 400)
    assert (once == split).all()
    in_time, late = purchase_state([(3, 5), (6, 5), (9, 5)]), purchase_state([(3, 5), (9, 5)])
    pf.after_purchase(late, FACTORS, BEGIN + 6, 5)
    same = slice(0, pf.GAPS)
    assert np.abs(in_time[same] - late[same]).max() <= 2
    assert (in_time[pf.GAPS :] != late[pf.GAPS :]).all()


def account_state(bookings: list[tuple[int, int, int]]) -> NDArray[np.int64]:
    state = np.zeros(af.WORDS, np.int64)
    af.opened(state, BEGIN)
    for day, amount, flags in bookings:
        af.after_booking(state, FACTORS, BEGIN + day, amount, flags)
    return state


def day_by_day(bookings: list[tuple[int, int, int]], on: int) -> dict[str, float]:
    """Sums and means of an account by a loop over every day since its opening."""
    found: dict[str, float] = {}
    of_day: dict[int, list[tuple[int, int]]] = {}
    for day, amount, flags in bookings:
        of_day.setdefault(day, []).append((amount, flags))
    for tau, name in zip(TAUS_DAYS, ("short", "middle", "long"), strict=True):
        balance, mass = 0, 0.0
        sums = dict.fromkeys(
            ("actions", "cash", "money_in", "money_out", "transfers_in", "penalties",
             "days_below_zero", "mean_balance", "square"), 0.0,
        )  # fmt: skip
        for day in range(on + 1):
            left = math.exp(-(on - day) / tau)
            mass += left
            for amount, flags in of_day.get(day, ()):
                balance += amount
                sums["actions"] += left * bool(flags & af.BY_CUSTOMER)
                sums["cash"] += left * bool(flags & af.CASH)
                sums["money_in"] += left * max(amount, 0)
                sums["money_out"] += left * max(-amount, 0)
                sums["transfers_in"] += left * abs(amount) * bool(flags & af.TRANSFER_IN)
                sums["penalties"] += left * bool(flags & af.PENALTY)
            sums["days_below_zero"] += left * (balance < 0)
            sums["mean_balance"] += left * balance
            sums["square"] += left * balance**2
        mean = {key: value / mass for key, value in sums.items()}
        for key in ("actions", "cash", "money_in", "money_out", "transfers_in"):
            paces = 30 * mean[key]
            found[f"{key}_{name}"] = ln1p(paces) if key in ("actions", "cash") else paces
        found[f"penalties_{name}"] = ln1p(100 * mean["penalties"])
        found[f"days_below_zero_{name}"] = ln1p(100 * mean["days_below_zero"])
        found[f"mean_balance_{name}"] = mean["mean_balance"]
        found[f"balance_deviation_{name}"] = math.sqrt(
            max(mean["square"] - mean["mean_balance"] ** 2, 0.0)
        )
    return found


@settings(deadline=None, max_examples=40)
@given(BOOKINGS, st.integers(0, 200))
def test_account_features_are_those_of_a_loop_over_all_days(
    bookings: list[tuple[int, int, int]], waited: int
) -> None:
    bookings = sorted(bookings, key=lambda booking: booking[0])
    on = (bookings[-1][0] if bookings else 0) + waited
    values = af.features(account_state(bookings), FACTORS, MASS, BEGIN + on) / 1e6
    found = dict(zip(af.NAMES, values, strict=True))
    highest = max(abs(sum(b[1] for b in bookings[:n])) for n in range(len(bookings) + 1))
    for name, value in day_by_day(bookings, on).items():
        if name.startswith("balance_deviation"):
            step = math.sqrt(2 ** (af.SHIFT + 1) * highest)  # as the file says
            assert money(found[name]) == pytest.approx(value, rel=0.01, abs=1.1 * step + 200), name
        elif name.startswith(("mean_balance", "money", "transfers")):
            # Cut to whole minor units at each step: tau of them at most, in the mean or a month.
            assert money(found[name]) == pytest.approx(value, rel=1e-3, abs=TAUS_DAYS[-1] + 3), name
        else:
            assert found[name] == pytest.approx(value, abs=0.02), name


def money(feature: float) -> float:
    return math.copysign(math.expm1(abs(feature)), feature)


def test_a_late_booking_moves_sums_and_mean_as_if_it_had_come_in_time() -> None:
    """But not the squares nor the days below zero: the file says so, and so does this."""
    in_time = account_state([(0, 90_000, 1), (10, -95_000, 3), (40, 20_000, 5)])
    late = account_state([(0, 90_000, 1), (40, 20_000, 5), (10, -95_000, 3)])
    for words in (slice(af.ACTIONS, af.BELOW), slice(af.MEAN, af.SQUARE)):
        assert np.abs(in_time[words] - late[words]).max() <= 2
    assert (in_time[af.BELOW : af.MEAN] > late[af.BELOW : af.MEAN]).all()


def test_compiled_features_are_those_of_plain_python() -> None:
    rng = np.random.default_rng(3)
    bookings = [(int(day), int(rng.integers(-90_000, 100_000)), int(rng.integers(16)))
                for day in np.sort(rng.integers(0, 400, 80))]  # fmt: skip
    state = account_state(bookings)
    plain = af.features.py_func(state, FACTORS, MASS, BEGIN + 410)  # type: ignore[attr-defined]
    assert (af.features(state, FACTORS, MASS, BEGIN + 410) == plain).all()
    purchases = purchase_state([(day, abs(amount)) for day, amount, _ in bookings])
    plain = pf.features.py_func(purchases, FACTORS, BEGIN + 410)  # type: ignore[attr-defined]
    assert (pf.features(purchases, FACTORS, BEGIN + 410) == plain).all()


MICRO = st.integers(-40_000_000, 40_000_000)


@settings(deadline=None)
@given(st.lists(st.tuples(MICRO, MICRO, MICRO), min_size=1, max_size=62), MICRO)
def test_terms_sum_to_the_logit_to_the_last_unit(
    rows: list[tuple[int, int, int]], base: int
) -> None:
    features, weights, means = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    terms = linear.terms(features, weights, means)
    logit = linear.logit_micro(base, terms)
    assert logit == base + sum(int(term) for term in terms)
    exact = sum(w * (f - m) for f, w, m in rows)
    assert 0 <= exact / 1e6 - (logit - base) < len(rows) + 1e-3
    assert 0 <= linear.risk_ppm(logit) <= linear.risk_ppm(logit + 1_000_000) <= 1_000_000


@pytest.mark.parametrize(("logit", "ppm"), [
    (0, 500_000), (1_386_294, 800_000), (-1_386_294, 200_000), (10**12, 10**6), (-(10**12), 0),
])  # fmt: skip
def test_the_probability_of_a_logit(logit: int, ppm: int) -> None:
    assert linear.risk_ppm(logit) == ppm


def test_names_say_one_feature_each() -> None:
    names: list[tuple[Any, ...]] = [af.NAMES, pf.NAMES]
    for one in names:
        assert len(set(one)) == len(one)
