"""Plan against actual, as exact integers."""

import pytest

from services.scoring.rules.execution import Execution, execution


@pytest.mark.parametrize(
    ("plan", "actual", "difference", "rate_ppm"),
    [
        (100, 100, 0, 1_000_000),
        (300, 100, -200, 333_333),
        (10**15, 10**15 - 1, -1, 999_999),  # not reached is never shown as reached
        (100, -1, -101, -10_000),
        (3, -1, -4, -333_334),  # down, not towards zero
        (7 * 10**30, 14 * 10**30 + 1, 7 * 10**30 + 1, 2_000_000),  # beyond what a float tells apart
        (0, 5, 5, None),
        (-100, -50, 50, None),
        (None, 50, None, None),
    ],
)
def test_difference_and_rate(plan, actual, difference, rate_ppm) -> None:
    found = execution(plan, actual, 999)
    assert (found.difference_minor, found.rate_ppm) == (difference, rate_ppm)
    assert found.accrued_minor == 999


def test_a_sum_compares_only_what_has_a_plan() -> None:
    whole = execution(100, 80, 1).plus(execution(None, 1_000, 2)).plus(execution(100, 140, 4))
    assert whole == Execution(200, 1_220, 7, 220)
    assert (whole.difference_minor, whole.rate_ppm, whole.partly) == (20, 1_100_000, True)
    assert not execution(100, 80, 1).partly


def test_a_sum_of_nothing_planned_has_no_plan() -> None:
    whole = Execution().plus(execution(None, 5, 0))
    assert (whole.plan_minor, whole.difference_minor, whole.rate_ppm) == (None, None, None)
