"""A closed month is posted of every account, also of those that no event has touched since."""

import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import month_walk
from services.scoring.scores.contribution.months import month_of, period_of
from tests.ledger_bank import Bank, random_bank, stream, with_emptied
from tests.scored import Scored, open_leaves
from tests.unit.test_contribution_restatements import truth
from tests.unit.test_contribution_rules import JAN, MAR, RATES, Book
from tests.unit.test_replay_late_reference import OPENED, day

EXAMPLES = int(os.environ.get("GUANXI_EXAMPLES", "12"))
many = settings(max_examples=EXAMPLES, deadline=None)
SEEDS = st.integers(0, 2**32)


def walked(bank: Bank, *, partitions: int = 1, size: int = 7, killed_after: int | None = None,
           walks: bool = True) -> Scored:  # fmt: skip
    one = Scored(bank, partitions)
    one.walks, one.walk_killed_after = walks, killed_after
    one.run(stream(bank, Random(0)), size)
    for number in range(partitions):
        while walks and one.walk(number):
            pass
    return one


def left_open(one: Scored, partitions: int) -> set[str]:
    """Months that are closed and not posted."""
    found = set()
    for number in range(partitions):
        partition = one.engine.partition(number)
        now = period_of(month_of(partition.closes.watermark + 1))
        found |= {leaf.period for leaf in open_leaves(partition) if leaf.period < now}
    return found


@many
@given(seed=SEEDS, size=st.sampled_from((1, 7, 5000)), partitions=st.sampled_from((1, 3)),
       step=st.sampled_from((1, 2, 4096)), killed_after=st.sampled_from((None, 0, 1)))  # fmt: skip
def test_every_closed_month_is_posted_and_the_walk_changes_no_leaf(
    seed: int, size: int, partitions: int, step: int, killed_after: int | None
) -> None:
    """Killed between the leaves and the records of a step, it posts the same leaves again."""
    bank = with_emptied(random_bank(seed), seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(month_walk, "STEP_ROWS", step)
        one = walked(bank, partitions=partitions, size=size, killed_after=killed_after)
    assert left_open(one, partitions) == set()
    assert one.sums() == truth(bank, ())
    assert one.leaves() == walked(bank, walks=False).leaves()


def test_without_the_walk_idle_accounts_have_not_posted() -> None:
    """The control: the banks of the test above do have accounts that no event settles."""
    assert any(left_open(walked(random_bank(seed), walks=False), 1) for seed in range(5))


@pytest.mark.parametrize("opened", [False, True])
def test_a_use_is_posted_with_its_month_though_its_money_counts_from_a_later_one(
    opened: bool,
) -> None:
    """It is the first event of its account, with or without an opening before."""
    book = Book(RATES)
    if opened:
        book.tell(OPENED)
    book.close(day(1), day(9))
    book.tell(book.booked(-5_000, day(10), kind="card", value_on=day(70)))
    book.close(day(10), day(31))
    while book.scored.walk(0):
        pass
    posted = {(leaf.component, leaf.period): leaf.amount_minor
              for leaf in book.scored.posted.values()}  # fmt: skip
    assert posted.pop(("abc_txn", JAN)) == -7
    assert posted == ({("abc_maint", JAN): -31} if opened else {})
    book.close(day(32), day(80))
    of_money = {key: amount for key, amount in book.leaves().items() if key[1] == "ftp"}
    assert of_money == {("OD", "ftp", MAR, MAR): -10 * 11}  # from the 70th day on
