"""Records read as columns say what the record-by-record readers say."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scoring import open_leaf, state, state_columns
from services.scoring.rows import KIND_CUSTOMER, LEDGER_FIELDS
from tests import plain_open_leaf
from tests.ledger_bank import random_bank, stream
from tests.scored import Scored

NOTHING = (0,) * len(open_leaf.COLUMNS)
UNITS = (open_leaf.UNIT, open_leaf.LOSS_UNIT)


def customers(seed: int) -> list[bytes]:
    """The records of a random bank: joint accounts, loans, back-valued entries."""
    made = random_bank(seed)
    bank = Scored(made).run(stream(made, Random(seed)), 50)
    return [value for _, value in bank._log[0] if value and state.kind_of(value) == KIND_CUSTOMER]


@pytest.mark.parametrize("seed", range(4))
def test_columns_say_what_each_record_says(seed: int) -> None:
    values = customers(seed)
    read = state_columns.read(values)
    told = [(n, account) for n, value in enumerate(values)
            for account in state.accounts_at(value)[0]]  # fmt: skip
    assert len(told) == len(read.owners)
    as_said = {
        (n, a.account_number, a.product_code, a.currency, a.loan_number): (
            a.figures, bool(a.ledger), plain_open_leaf.settled_on(a.ledger) if a.ledger else 0,
            plain_open_leaf.accrued(a.ledger, a.entries) if a.ledger else NOTHING,
        )
        for n, a in told
    }  # fmt: skip
    as_read = {
        (owner, *(read.data[at : at + n].decode() for at, n in zip(*words, strict=True))): (
            tuple(figures), has_ledger, settled_on, tuple(accrued),
        )
        for owner, words, figures, has_ledger, settled_on, accrued in zip(
            read.owners.tolist(),
            zip(read.text_begins.tolist(), read.text_lengths.tolist(), strict=True),
            read.figures.tolist(), read.has_ledger.tolist(),
            read.settled_on.tolist(), read.accrued.tolist(), strict=True,
        )
    }  # fmt: skip
    assert as_read == as_said
    assert [tuple(row) for row in read.rows.tolist()] == [
        state._CUSTOMER.unpack_from(value, state.OFFSET_AT) for value in values
    ]
    assert sum(1 for _, a in told if a.entries), "no entries: the test proves too little"
    assert np.count_nonzero(read.accrued) > 8


@pytest.mark.parametrize("cut", [8, 16, 40, 160, 200])
def test_a_record_that_is_cut_short_is_refused(cut: int) -> None:
    """Also in the midst of others, whose words follow its own."""
    values = customers(1)
    long = max(range(len(values)), key=lambda n: len(values[n]))
    values[long] = values[long][: state.accounts_at(values[long])[1] - cut]
    with pytest.raises(state.UnreadableState):
        state_columns.read([*values, values[0]])


def test_a_record_of_half_a_word_is_refused() -> None:
    values = customers(1)
    with pytest.raises(state.UnreadableState):
        state_columns.read([values[0] + b"\0", values[1]])


limbs = st.integers(-(2**60) + 1, 2**60 - 1)


@given(
    ledger=st.lists(limbs, min_size=len(LEDGER_FIELDS), max_size=len(LEDGER_FIELDS)),
    entries=st.lists(st.tuples(st.integers(0, 12), limbs, st.booleans()), max_size=40),
)
def test_amounts_are_exact_where_low_limbs_leave_64_bits(
    ledger: list[int], entries: list[tuple[int, int, bool]]
) -> None:
    """High limbs as small as a kernel keeps them, low ones of any size, many of one component."""
    for _, high, low, posted, _ in open_leaf.WIDE:
        ledger[high] %= 2**27
        ledger[posted] %= 2**59
        assert low != high
    words = [
        word
        for component, amount, is_day in entries
        for word in (
            (component if is_day else open_leaf.CELL_MIN + component),
            amount if component in (1, 3, 5, 7) else amount % 2**20,
        )
    ]
    found = state_columns.accrued(
        np.array([ledger, ledger], np.int64),
        np.repeat(np.arange(2), len(entries)),
        np.array(words[::2] * 2, np.int64),
        np.array(words[1::2] * 2, np.int64),
    )
    expected = plain_open_leaf.accrued(ledger, words)
    assert [tuple(row) for row in found.tolist()] == [expected] * 2


@pytest.mark.parametrize("unit", UNITS)
def test_an_amount_beyond_all_range_is_refused_not_wrapped(unit: int) -> None:
    top, zero = np.array([3 * unit]), np.array([0])
    with pytest.raises(state.UnreadableState):
        state_columns.half_even(top, zero, zero, unit)
