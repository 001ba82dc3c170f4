"""What a partition had told of itself, against the rows that a recovery found."""

import pytest

from services.scoring.state import UnreadableState
from services.scoring.told import Totals, refuse_less

TOLD = Totals(partition=3, position=100, count=16, sum_minor={}, watermark=0)


def test_rows_that_count_less_are_refused_and_say_what_to_do() -> None:
    with pytest.raises(UnreadableState, match=r"count 15 transactions, and 16 were .* anew"):
        refuse_less(TOLD, 15)


@pytest.mark.parametrize(
    ("told", "count"), [(TOLD, 16), (TOLD, 17), (None, 0)],
    ids=["as told", "went on", "never told"],
)  # fmt: skip
def test_others_are_taken(told: Totals | None, count: int) -> None:
    refuse_less(told, count)
