"""What the bench of the worker asserts: it must see each figure that is wrong."""

import struct
from copy import deepcopy
from datetime import timedelta

import msgspec
import pytest

from services.scoring import model, reference, risk_plan
from services.scoring.engine import Engine
from services.scoring.leaves import Leaf
from services.scoring.replay import Line
from services.scoring.rows import CUSTOMER_FIELDS
from services.scoring.state import OFFSET_AT
from services.scoring.watermark import Source
from tests.load.bench_worker import (
    PARTITIONS,
    Preloaded,
    closes_of,
    openings_of,
    rates_of,
    records_of,
)
from tests.load.earned import Earned, assert_same, earned_by, new_engine
from tests.load.latest_rows import assert_figures
from tests.load.pace import Published
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, SOURCE, described

CUSTOMERS, EVENTS = 20, 300
Rows = dict[bytes, bytes]


def written(*, rates: bool) -> tuple[Rows, Preloaded]:
    """The latest row of each customer of a small bank, and what was booked."""
    engine = Engine(model.load(), topic="bank.events", partitions=1, currency="CNY",
                    zone="Asia/Shanghai")  # fmt: skip
    engine.describe(SOURCE, Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    for rate in rates_of() if rates else ():
        reference.tell(engine, rate)
    found = Preloaded(EVENTS, {}, {}, 0.0)
    told = [*openings_of(CUSTOMERS), *records_of(EVENTS, CUSTOMERS, found)]
    lines = [Line(n, key, value) for n, (_, key, value) in enumerate(told) if key]
    rows: Rows = {}
    for first in range(0, len(lines), 50):
        batch = engine.read(0, lines[first : first + 50], FIRST_DAY.toordinal() + 90)
        rows |= {k: v for k, v in engine.apply(batch, set()).records if v and k[0]}
    return rows, found


@pytest.fixture(scope="module")
def bank() -> tuple[Rows, Preloaded]:
    return written(rates=True)


def test_the_rows_of_all_customers_have_what_was_booked(bank: tuple[Rows, Preloaded]) -> None:
    rows, found = bank
    assert sum(found.counts.values()) == EVENTS
    assert_figures(rows, found.sums, found.counts, rates=True)


@pytest.mark.parametrize("field", ["sum_minor", "count"])
def test_a_figure_of_one_customer_that_is_wrong_by_one_is_seen(
    bank: tuple[Rows, Preloaded], field: str
) -> None:
    rows, found = bank
    expected = {"sum_minor": dict(found.sums), "count": dict(found.counts)}
    expected[field][max(found.sums)] += 1
    with pytest.raises(AssertionError, match=f"1 customers differ.*{max(found.sums)}"):
        assert_figures(rows, *expected.values(), rates=True)


@pytest.mark.parametrize("field", ["sum_minor", "count"])
def test_a_row_that_is_not_the_sum_of_its_accounts_is_seen(
    bank: tuple[Rows, Preloaded], field: str
) -> None:
    rows, found = bank
    key, at = max(rows), OFFSET_AT + 8 * CUSTOMER_FIELDS.index(field)
    wrong = bytearray(rows[key])
    struct.pack_into("<q", wrong, at, struct.unpack_from("<q", wrong, at)[0] + 1)
    with pytest.raises(AssertionError, match="other figures"):
        assert_figures({**rows, key: bytes(wrong)}, found.sums, found.counts, rates=True)


def test_a_customer_too_few_or_too_many_is_seen(bank: tuple[Rows, Preloaded]) -> None:
    rows, found = bank
    for some, number in (({k: v for k, v in rows.items() if k != max(rows)}, max(found.sums)),
                         (rows | {b"C999": max(rows.values())}, "C999")):  # fmt: skip
        with pytest.raises(AssertionError, match=f"1 customers differ.*{number}"):
            assert_figures(some, found.sums, found.counts, rates=True)


@pytest.mark.parametrize("rates", [False, True])
def test_a_contribution_that_was_not_to_be_measured_is_seen(rates: bool) -> None:
    rows, found = written(rates=rates)
    with pytest.raises(AssertionError, match="ledgers"):
        assert_figures(rows, found.sums, found.counts, rates=not rates)


@pytest.mark.parametrize("even", [True, False])
def test_even_events_meet_every_customer_once_before_one_comes_again(even: bool) -> None:
    found = Preloaded(EVENTS, {}, {}, 0.0)
    records = records_of(EVENTS, CUSTOMERS, found, even=even)
    keys = [key for _, key, _ in records if key is not None]
    turns = [set(keys[n : n + CUSTOMERS]) for n in range(EVENTS - CUSTOMERS + 1)]
    assert all(len(turn) == CUSTOMERS for turn in turns) == even
    assert set(found.counts.values()) == {EVENTS // CUSTOMERS} or not even


# What was earned ----------------------------------------------------------------------------------

MID_MONTH = FIRST_DAY.replace(day=15)


def told_of() -> list[Published]:
    found = Preloaded(EVENTS, {}, {}, 0.0)
    before = closes_of(MID_MONTH - timedelta(days=1))
    events = records_of(EVENTS, CUSTOMERS, found, MID_MONTH)
    return [*openings_of(CUSTOMERS, MID_MONTH), *before, *events]


def engine_of(rates: int | None = None) -> Engine:
    """With the first so many rates."""
    known = list(rates_of())[:rates]
    plan = risk_plan.plan_of(hand_made("CA-P", (-500_000, 600_000, -300_000)))
    return new_engine(PARTITIONS, plan, [described(from_on=MID_MONTH), *known])


@pytest.fixture(scope="module")
def earned() -> Earned:
    return earned_by(engine_of(), told_of())


def test_a_month_that_ends_posts_leaves_and_the_next_one_accrues(earned: Earned) -> None:
    assert {period for _, period, _ in earned.posted} == {"2025-01"}
    assert {period for _, period, _ in earned.accrued} == {"2025-02"}
    assert {"ftp", "abc_txn", "abc_maint"} == set(earned.by_component())
    assert earned.signals
    assert_same(earned, earned_by(engine_of(), told_of()))


def test_an_event_or_a_rate_that_is_lost_is_seen(earned: Earned) -> None:
    every = told_of()
    last = max(n for n, (_, key, _) in enumerate(every) if key)
    with pytest.raises(AssertionError, match="accrued"):
        assert_same(earned_by(engine_of(), every[:last] + every[last + 1 :]), earned)
    with pytest.raises(AssertionError, match="posted"):
        assert_same(earned_by(engine_of(rates=-1), every), earned)


def test_a_leaf_that_is_lost_or_another_accounts_and_a_lost_signal_are_seen(
    earned: Earned,
) -> None:
    leaf = Leaf("C1", "A1", "CA-P", "ftp", "2025-01", "2025-01", 5)
    for more in (leaf, msgspec.structs.replace(leaf, account_number="A2")):
        found, expected = deepcopy(earned), deepcopy(earned)
        expected.post([leaf])
        found.post([more])
        if more is leaf:
            assert_same(found, expected)
            found = deepcopy(earned)
        with pytest.raises(AssertionError, match="posted"):
            assert_same(found, expected)
    found = deepcopy(earned)
    found.signals.pop()
    with pytest.raises(AssertionError, match="1 signals are missing"):
        assert_same(found, earned)
