"""Money is exact or refused; an allocation sums to what was allocated."""

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.money import EXPONENTS, MINOR_MAX, AmountError, Money, allocate

MINORS = st.integers(-MINOR_MAX, MINOR_MAX)
CURRENCIES = st.sampled_from(sorted(EXPONENTS))
WEIGHTS = st.lists(st.integers(0, 10**12), min_size=1, max_size=30).filter(any)


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("12.30", "CNY", 1230),
        ("-0.01", "CNY", -1),
        ("1E+3", "CNY", 100_000),
        ("12.300", "CNY", 1230),
        ("5", "JPY", 5),
        ("1.234", "KWD", 1234),
        (Decimal("-0.0"), "CNY", 0),
        (7, "CZK", 700),
        ("90071992547409.92", "CNY", MINOR_MAX),
    ],
)
def test_major_units_become_minor_units_exactly(amount: Any, currency: str, minor: int) -> None:
    assert Money.of(amount, currency) == Money(minor, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("0.005", "CNY"),
        ("1.5", "JPY"),
        ("0.1", "XXX"),
        ("NaN", "CNY"),
        ("Infinity", "CNY"),
        ("twelve", "CNY"),
        ("", "CNY"),
        ("1E+99999999", "CNY"),
        ("1E-99999999", "CNY"),
        ("90071992547409.93", "CNY"),
        (0.5, "CNY"),
        (True, "CNY"),
    ],
)
def test_what_does_not_fit_is_refused_never_rounded(amount: Any, currency: str) -> None:
    with pytest.raises(AmountError):
        Money.of(amount, currency)


@pytest.mark.parametrize("minor", [1.0, True, Decimal(1), "1", MINOR_MAX + 1, -MINOR_MAX - 1])
def test_minor_units_are_an_integer_within_two_to_the_53(minor: Any) -> None:
    with pytest.raises(AmountError):
        Money(minor, "CNY")


@given(MINORS, CURRENCIES)
def test_to_major_units_and_back_changes_nothing(minor: int, currency: str) -> None:
    money = Money(minor, currency)
    assert Money.of(money.major(), currency) == money
    assert Money.of(str(money.major()), currency) == money


@given(MINORS.map(lambda m: m // 2), MINORS.map(lambda m: m // 2), CURRENCIES)
def test_adding_and_taking_away_are_exact(one: int, other: int, currency: str) -> None:
    a, b = Money(one, currency), Money(other, currency)
    assert (a + b).minor == one + other
    assert a + b - b == a
    assert -a + a == Money(0, currency)
    assert (a < b) == (one < other)
    assert (a <= b) == (one <= other)


def test_two_currencies_do_not_mix() -> None:
    for mix in (
        lambda: Money(1, "CNY") + Money(1, "CZK"),
        lambda: Money(1, "CNY") - Money(1, "CZK"),
        lambda: Money(1, "CNY") < Money(1, "CZK"),
    ):
        with pytest.raises(AmountError):
            mix()
    assert Money(1, "CNY") != Money(1, "CZK")


def test_a_sum_beyond_two_to_the_53_is_refused() -> None:
    with pytest.raises(AmountError):
        Money(MINOR_MAX, "CNY") + Money(1, "CNY")


def test_people_read_it_in_their_language() -> None:
    assert Money(123456789, "CNY").format("zh-CN") == "¥1,234,567.89"
    assert Money(123456789, "CNY").format("en") == "CN¥1,234,567.89"
    assert Money(-100, "CNY").format() == "−¥1.00"
    assert Money(5, "JPY").format("en") == "¥5"
    assert Money(1234, "KWD").format("en").replace("\xa0", " ") == "KWD 1.234"
    assert Money(MINOR_MAX, "CNY").format() == "¥90,071,992,547,409.92"


@given(MINORS, WEIGHTS)
def test_parts_sum_exactly_and_each_is_within_one_of_its_share(
    total: int, weights: list[int]
) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part - Fraction(total * weight, sum(weights))) < 1
        if weight == 0:
            assert part == 0


@given(MINORS, WEIGHTS)
def test_a_negative_total_gives_the_negated_parts(total: int, weights: list[int]) -> None:
    assert allocate(-total, weights) == [-part for part in allocate(total, weights)]


@given(MINORS, WEIGHTS, st.integers(1, 1000))
def test_only_the_ratio_of_the_weights_counts(total: int, weights: list[int], by: int) -> None:
    assert allocate(total, [w * by for w in weights]) == allocate(total, weights)


@given(MINORS.map(abs), WEIGHTS)
def test_no_remainder_beats_a_larger_one(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    rests = [total * w % sum(weights) for w in weights]
    rounded_up = [p > total * w // sum(weights) for p, w in zip(parts, weights, strict=True)]
    order = sorted(range(len(weights)), key=lambda i: (-rests[i], i))
    assert [rounded_up[i] for i in order] == sorted(rounded_up, reverse=True)


def test_ties_go_to_the_first() -> None:
    assert allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert allocate(-100, [1, 1, 1]) == [-34, -33, -33]
    assert allocate(1, [0, 1, 1]) == [0, 1, 0]
    assert allocate(0, [3, 1]) == [0, 0]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [2, -1]])
def test_weights_that_share_nothing_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        allocate(1, weights)
