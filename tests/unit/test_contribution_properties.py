"""The same leaves whatever the order, the split, the repeats and the partitions; and the sums of
the independent loop, also for what came late. `GUANXI_EXAMPLES` asks for more examples."""

import os
from datetime import date, timedelta
from fractions import Fraction
from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.scoring.scores.contribution import limbs, months
from services.scoring.scores.contribution.ledger import LOSS_UNIT, UNIT
from shared.events.bank import ProductDescribed, RateSet, TransactionBooked
from tests.golden import day_by_day
from tests.ledger_bank import FIRST_DAY, Bank, event_of, plain, random_bank, stream
from tests.scored import Scored

EXAMPLES = int(os.environ.get("GUANXI_EXAMPLES", "12"))
many = settings(max_examples=EXAMPLES, deadline=None)
SEEDS = st.integers(0, 2**32)


def truth(bank: Bank) -> dict[tuple[str, str, str], int]:
    last = FIRST_DAY + timedelta(days=bank.days - 1)
    return day_by_day.leaves(plain(bank.rates), plain([e for _, e in bank.events]), last)


@many
@example(seed=89, order=1, size=50, partitions=1, restart_every=0)  # late after a day to come
@given(seed=SEEDS, order=SEEDS, size=st.sampled_from((1, 3, 7, 50, 5000)),
       partitions=st.sampled_from((1, 3, 16)), restart_every=st.sampled_from((0, 5)))  # fmt: skip
def test_order_split_repeats_and_partitions_change_no_leaf(
    seed: int, order: int, size: int, partitions: int, restart_every: int
) -> None:
    bank = random_bank(seed)
    one = Scored(bank).run(stream(bank, Random(0), repeats=0), 10**6)
    other = Scored(bank, partitions).run(stream(bank, Random(order)), size, restart_every)
    assert not one.refused
    assert not other.refused
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, size=st.sampled_from((1, 20)))
def test_late_back_valued_and_reversed_events_come_to_the_sums_of_the_loop(
    seed: int, size: int
) -> None:
    bank = random_bank(seed)
    one = Scored(bank).run(stream(bank, Random(seed)), size)
    assert not one.refused
    assert one.sums() == truth(bank)
    late = [leaf for leaf in one.posted.values() if leaf.origin_period != leaf.period]
    assert all(leaf.origin_period < leaf.period for leaf in late)


def test_the_random_banks_have_what_is_to_be_proven() -> None:
    """Late leaves, both signs, loans, every component: a bank without them would prove nothing."""
    found = [Scored(random_bank(seed)) for seed in range(4)]
    leaves = {identity for n, one in enumerate(found)
              for identity in one.run(stream(random_bank(n), Random(n)), 50).leaves()}  # fmt: skip
    assert {component for _, _, _, _, component, *_ in leaves} == {
        "ftp", "el", "capital", "abc_maint", "abc_txn", "fee", "interest_paid", "interest_recv"
    }  # fmt: skip
    assert {product for _, _, _, product, *_ in leaves} == {"CA", "OD", "SA", "LN"}
    assert {c for _, _, _, _, c, period, origin, _ in leaves if origin < period} >= {
        "ftp", "el", "capital", "fee", "abc_txn"
    }  # fmt: skip


YEARS = 30
GREAT = 10**13  # minor units
WEIGHT, RATIO, HURDLE = 12_499_900, 249_900, 499_900  # a basis point below what is taken


def great_bank() -> Bank:
    """The bound: 10**13 minor units for 30 years, deposited and overdrawn, at 100 % a year, an
    expected loss of all of it and the greatest charge for capital; the amounts are not round, so
    every day leaves a remainder."""
    days = YEARS * 365 + 8
    bank = Bank(days=days)
    for kind, product, value in (
        ("transfer_price", "CA", 999_983), ("transfer_price", "OD", 10**6), ("pd", "OD", 10**6),
        ("lgd", "OD", 999_979), ("risk_weight", "OD", WEIGHT), ("capital_ratio", "OD", RATIO),
        ("hurdle_rate", "OD", HURDLE),
    ):  # fmt: skip
        fact = RateSet(kind=kind, product_code=product, from_on=FIRST_DAY, value=value)  # type: ignore[arg-type]
        bank.rates.append(event_of(fact, f"rate-{fact.entry}", FIRST_DAY))
    names = {"zh-CN": "活期", "en": "Current"}
    described = ProductDescribed(product_code="CA", names=names, line_code="liability",
                                 overdraft_product_code="OD")  # fmt: skip
    bank.rates.append(event_of(described, "product-CA", FIRST_DAY))
    for n, amount in enumerate((GREAT - 1, 1 - GREAT)):
        for slot, moved in ((0, amount), (days - 1, 0)):  # the second touches the account
            day = FIRST_DAY + timedelta(days=slot)
            fact = TransactionBooked(
                transaction_id=f"{n}-{slot}", account_number=f"{n}", customer_number="C",
                product_code="CA", amount_minor=moved, currency="CNY", kind="transfer_in",
                initiated_by="customer", booked_on=day,
            )  # fmt: skip
            bank.events.append((slot, event_of(fact, f"txn-{n}-{slot}", day)))
    return bank


def test_the_bound_is_exact_and_float_accrual_fails() -> None:
    bank = great_bank()
    events = stream(bank, Random(1), repeats=0)
    one = Scored(bank).run(events, 5000)
    assert not one.refused
    sums = one.sums()
    assert sums == truth(bank)
    assert sums["1", "OD", "el"] < -(2.9 * 10**14)
    assert sums["1", "OD", "capital"] < -(4.6 * 10**14)
    # The negative control: a day's accrual as floats add it.
    added = {"ftp": 0.0, "el": 0.0, "capital": 0.0}
    for _ in range(bank.days):
        added["ftp"] += (GREAT - 1) * 999_983 / 365e6
        added["el"] -= (GREAT - 1) * 10**6 * 999_979 / 365e12
        added["capital"] -= (GREAT - 1) * WEIGHT * RATIO * HURDLE / 365e18
    assert round(added["ftp"]) != sums["0", "CA", "ftp"]
    assert round(added["el"]) != sums["1", "OD", "el"]
    assert round(added["capital"]) != sums["1", "OD", "capital"]


@given(
    factor=st.integers(-(2**61) + 1, 2**61 - 1), other=st.integers(-(2**60) + 1, 2**60 - 1),
    more=st.integers(-(2**61) + 1, 2**61 - 1),
)  # fmt: skip
def test_products_and_sums_in_two_limbs_are_python_s_own(
    factor: int, other: int, more: int
) -> None:
    one, two = limbs.product(factor, other), limbs.product(more, other)
    assert all(0 <= low < 2**60 for _, low in (one, two))
    high, low = limbs.plus(*one, *two)
    assert (high << 60) + low == (factor + more) * other


@given(
    answer=st.integers(-(2**62), 2**62), unit=st.sampled_from((UNIT, LOSS_UNIT)),
    beside=st.sampled_from((-1, 0, 1)), half=st.booleans(),
)  # fmt: skip
def test_rounding_is_half_to_even(answer: int, unit: int, beside: int, half: bool) -> None:
    value = answer * unit + (unit // 2 if half else 0) + beside
    assert limbs.rounded(value >> 60, value & limbs.MASK, unit) == round(Fraction(value, unit))


def test_months_are_the_calendar_s() -> None:
    days = [*range(1, 1500), *Random(5).sample(range(1, date.max.toordinal()), 4000)]
    for day in days:
        of = date.fromordinal(day)
        month = months.month_of(day)
        assert months.period_of(month) == f"{of:%Y-%m}".zfill(7)
        assert months.first_day(month) == of.replace(day=1).toordinal()
