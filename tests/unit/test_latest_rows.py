"""What the bench of the worker asserts: it must see each figure that is wrong."""

import struct

import pytest

from services.scoring import model, reference
from services.scoring.engine import Engine
from services.scoring.replay import Line
from services.scoring.rows import CUSTOMER_FIELDS
from services.scoring.state import OFFSET_AT
from services.scoring.watermark import Source
from tests.load.bench_worker import Preloaded, openings_of, rates_of, records_of
from tests.load.latest_rows import assert_figures
from tests.workers import FIRST_DAY, SOURCE

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
