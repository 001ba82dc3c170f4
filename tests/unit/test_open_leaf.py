"""What is accrued and not posted, read off a state record, is what the worker's close posts."""

from random import Random

import pytest

from services.scoring import state
from services.scoring.leaf_sql import KERNEL_PARTS
from services.scoring.open_leaf import COLUMNS
from services.scoring.scores.contribution.booking import post_all
from tests.ledger_bank import random_bank, stream
from tests.plain_open_leaf import accrued, half_even, settled_on
from tests.scored import Scored


@pytest.mark.parametrize("seed", range(6))
def test_a_record_says_what_its_close_would_post(seed: int) -> None:
    made = random_bank(seed)
    bank = Scored(made).run(stream(made, Random(seed)), 50)
    partition = bank.engine.partition(0)
    records = {key: value for key, value in bank._log[0] if not key.startswith(b"\x00") and value}
    told = {
        (key.decode(), a.account_number, a.product_code, a.currency, a.loan_number): a
        for key, value in records.items() for a in state.accounts_at(value)[0]
    }  # fmt: skip
    some = 0
    for row in range(len(partition.account_keys)):
        key, copy = partition.key_of(row), partition.books
        before = int(copy.written[0])
        kept = copy.ledgers.copy(), copy.spans.copy(), copy.pool.copy(), copy.used.copy()
        until = settled_on(told[key].ledger)
        if until:
            post_all(copy.book(), row, row + 1, until)
        posted = copy.leaves[before : int(copy.written[0])].tolist()
        by_component = dict.fromkeys(COLUMNS.values(), 0)
        for _, _, component, _, _, amount in posted:
            by_component[component] += amount
        assert tuple(by_component.values()) == accrued(told[key].ledger, told[key].entries)
        some += sum(1 for amount in by_component.values() if amount)
        copy.written[0] = before
        copy.ledgers, copy.spans, copy.pool, copy.used = kept
    assert some > 8, "nothing was open: the test proves nothing"


def test_every_part_has_its_component() -> None:
    assert list(KERNEL_PARTS) == list(COLUMNS)


@pytest.mark.parametrize(
    ("value", "unit", "rounded"),
    [(5, 10, 0), (15, 10, 2), (-5, 10, 0), (-15, 10, -2), (-16, 10, -2), (26, 10, 3), (0, 7, 0)],
)
def test_halves_go_to_the_even_side(value: int, unit: int, rounded: int) -> None:
    assert half_even(value, unit) == rounded
