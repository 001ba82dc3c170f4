"""A pool shared out: to the unit, whatever the order, however large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring.rules.allocating import shared_out

POOLS = st.integers(-(2**53), 2**53)
WEIGHTS = st.dictionaries(st.text(max_size=3), st.integers(0, 10**24), max_size=30)


@pytest.mark.parametrize(
    ("pool", "weights", "expected"),
    [
        (100, {"a": 1, "b": 1, "c": 1}, {"a": 34, "b": 33, "c": 33}),  # of equals the smaller id
        (10, {"a": 1, "b": 2, "c": 3}, {"a": 2, "b": 3, "c": 5}),  # remainders 4/6, 2/6, 0
        (-10, {"a": 1, "b": 2, "c": 3}, {"a": -2, "b": -3, "c": -5}),
        (1, {"a": 0, "b": 1}, {"a": 0, "b": 1}),
        (0, {"a": 5}, {"a": 0}),
        (7, {}, {}),
        (7, {"a": 0}, {}),
    ],
)
def test_shares(pool: int, weights: dict[str, int], expected: dict[str, int]) -> None:
    assert shared_out(pool, weights) == expected


@given(POOLS, WEIGHTS)
def test_nothing_is_left_and_no_share_is_a_unit_away_from_its_part(
    pool: int, weights: dict[str, int]
) -> None:
    found = shared_out(pool, weights)
    whole = sum(weights.values())
    assert sum(found.values()) == (pool if whole else 0)
    for one, share in found.items():
        assert abs(share * whole - pool * weights[one]) < whole


@given(POOLS, WEIGHTS, st.randoms())
def test_the_order_in_which_they_come_does_not_matter(pool, weights, random) -> None:
    others = list(weights.items())
    random.shuffle(others)
    assert shared_out(pool, dict(others)) == shared_out(pool, weights)


@given(POOLS, WEIGHTS)
def test_what_is_taken_back_is_what_was_given(pool: int, weights: dict[str, int]) -> None:
    back = shared_out(-pool, weights)
    assert back == {one: -share for one, share in shared_out(pool, weights).items()}


@given(st.integers(3, 10**6), st.integers(3, 10**6))
def test_rounding_each_share_for_itself_would_lose_units(pool: int, many: int) -> None:
    """The negative control: the floors alone are short unless all divides."""
    weights = {str(n): 1 for n in range(many % 50 + 3)}
    floors = sum(pool // len(weights) for _ in weights)
    assert (floors == pool) is (pool % len(weights) == 0)
    assert sum(shared_out(pool, weights).values()) == pool


def test_a_weight_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="below zero"):
        shared_out(1, {"a": -1, "b": 2})
