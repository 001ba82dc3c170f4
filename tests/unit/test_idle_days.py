"""The measure of idle days looks at whom it says, and at nobody else: it asserts so itself."""

import pytest

from tests.load.idle_days import _day_ms


@pytest.mark.parametrize("looks", [0, 1, 100])
def test_days_of_silent_customers_are_laid_out_and_closed(looks: int) -> None:
    assert _day_ms(10_000, looks) >= 0
