"""The fits: public truth to its printed digits, and a made world as it was made."""

from datetime import date

import numpy as np
import pytest
from numpy.typing import NDArray

from services.scoring.scores.alive import Process
from services.scoring.training import fits
from services.scoring.training.fits import FitError, Purchases
from tests.data_sets import needs_data, table

WEEK = 7
# Half a unit of the last printed digit, and more: on a flat ridge alpha is 3e-6 off the print.
DIGITS = {"r": 6e-6, "alpha": 6e-6, "a": 6e-6, "b": 6e-6}
FOUR_DIGITS = dict.fromkeys(DIGITS, 6e-5)


def check(found: Process, expected: dict[str, float], tolerance: dict[str, float]) -> None:
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=tolerance[name]), name


def sample() -> tuple[NDArray[np.float64], ...]:
    rows = table("cdnow/cdnow_sample_summary")
    names = ("frequency", "recency_weeks", "T_weeks", "mean_repeat_usd")
    return tuple(np.array([float(row[name]) for row in rows]) for name in names)


def until(name: str, begin: date, day: int) -> Purchases:
    """x, tx and T in weeks of who had bought by a day."""
    days: dict[str, set[int]] = {}
    for row in table(name):
        bought = (date.fromisoformat(row["date"]) - begin).days
        if bought <= day:
            days.setdefault(row["customer_id"], set()).add(bought)
    x, first, last = (np.array([f(d) for d in days.values()]) for f in (len, min, max))
    return Purchases.of(x - 1, (last - first) / WEEK, (day - first) / WEEK)


@needs_data
def test_the_published_fit_of_the_cdnow_sample() -> None:
    x, tx, age, _ = sample()
    seen = Purchases.of(x, tx, age)
    found, likelihood = fits.fit_process(seen, at_once=False)
    check(
        found, {"r": 0.242593, "alpha": 4.413532, "a": 0.792886, "b": 2.425753},
        DIGITS,
    )  # fmt: skip
    assert likelihood == pytest.approx(-9582.4256, abs=5e-5)
    found, likelihood = fits.fit_process(seen, at_once=True)
    check(found, {"r": 0.5248, "alpha": 6.1830, "a": 0.8914, "b": 1.6140}, FOUR_DIGITS)
    assert likelihood == pytest.approx(-9582.13, abs=5e-3)


@needs_data
def test_the_published_fit_of_amounts() -> None:
    x, *_, mean = sample()
    assert np.count_nonzero((x > 0) & (mean > 0)) == 946
    found, likelihood = fits.fit_spend(x, x * mean)
    assert found.p == pytest.approx(6.24880, abs=6e-6)
    assert found.q == pytest.approx(3.74459, abs=6e-6)
    assert found.v == pytest.approx(15.44774, abs=2e-5)
    assert likelihood == pytest.approx(-4055.923, abs=5e-4)


@needs_data
def test_the_reference_fits_of_whole_files() -> None:
    seen = until("cdnow/cdnow_master", date(1997, 1, 1), 181)
    assert seen.weight.sum() == 23_570
    found, _ = fits.fit_process(seen, at_once=False)
    check(found, {"r": 0.2460, "alpha": 4.3157, "a": 0.6983, "b": 1.7776}, FOUR_DIGITS)
    found, likelihood = fits.fit_process(seen, at_once=True)
    check(found, {"r": 0.6671, "alpha": 6.5796, "a": 0.8853, "b": 1.1489}, FOUR_DIGITS)
    assert likelihood == pytest.approx(-66262.58, abs=5e-3)
    seen = until("grocery_elog/grocery_elog", date(2006, 1, 1), 252)
    found, _ = fits.fit_process(seen, at_once=False)
    check(found, {"r": 0.3787, "alpha": 2.7488, "a": 0.7276, "b": 5.7711}, FOUR_DIGITS)


def buyers(process: Process, customers: int, length: float, seed: int) -> Purchases:
    """Customers who buy and leave as the process says."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(customers):
        rate = rng.gamma(process.r, 1 / process.alpha)
        leaves = rng.beta(process.a, process.b)
        age = rng.uniform(0.7, 1.0) * length
        x, last, now = 0, 0.0, 0.0
        gone = bool(process.at_once) and rng.random() < leaves
        while not gone and (now := now + rng.exponential(1 / rate)) < age:
            x, last = x + 1, now
            gone = rng.random() < leaves
        found.append((x, last, age))
    return Purchases.of(*np.array(found).T)


@pytest.mark.parametrize("at_once", [False, True])
def test_a_fit_finds_what_a_world_was_made_of(at_once: bool) -> None:
    made = Process(0.8, 10.0, 0.9, 2.5, int(at_once))
    seen = buyers(made, 6000, 300.0, seed=5)
    found, likelihood = fits.fit_process(seen, at_once=at_once)
    assert likelihood >= fits.log_likelihood(made, seen)
    assert likelihood - fits.log_likelihood(made, seen) < 8  # chi-square of 4 parameters, halved
    assert found.r / found.alpha == pytest.approx(made.r / made.alpha, rel=0.1)
    _, worse = fits.fit_process(seen, at_once=not at_once)
    assert likelihood > worse, "the other model explains this world as well"


def test_the_unit_of_time_moves_nothing_but_alpha() -> None:
    made = Process(0.8, 10.0, 0.9, 2.5, 0)
    days = buyers(made, 1500, 300.0, seed=6)
    weeks = Purchases(days.x, days.tx / WEEK, days.age / WEEK, days.weight)
    of_days, in_days = fits.fit_process(days, at_once=False)
    of_weeks, in_weeks = fits.fit_process(weeks, at_once=False)
    assert of_weeks._replace(alpha=of_weeks.alpha * WEEK) == pytest.approx(of_days, rel=1e-3)
    moved = float(days.weight @ days.x) * np.log(WEEK)
    assert in_weeks == pytest.approx(in_days + moved, abs=1e-3)


def test_data_that_do_not_carry_a_model_are_refused() -> None:
    one = np.ones(100)
    with pytest.raises(FitError, match="29 customers are too few"):
        fits.fit_process(Purchases.of(one[:29], one[:29], 2 * one[:29]), at_once=False)
    with pytest.raises(FitError, match="bought twice"):
        fits.fit_process(Purchases.of(0 * one, 0 * one, one), at_once=False)
    with pytest.raises(FitError, match="outside"):
        Purchases.of(one, 2 * one, one)
    with pytest.raises(FitError, match="0 customers"):
        fits.fit_spend(0 * one, one)
    # Everybody buys every day and nobody ever leaves: no parameter of leaving can be told.
    with pytest.raises(FitError, match="no summit"):
        fits.fit_process(Purchases.of(300 * one, 300 * one, 300 * one), at_once=False)
