"""What a partition had told of itself, against the rows that a recovery found."""

import pytest

from services.scoring.state import UnreadableState
from services.scoring.told import Totals, refuse_less

TOLD = Totals(partition=3, position=100, count=16, sum_minor={}, watermark=0)


def test_rows_that_count_less_at_the_same_place_are_refused_and_say_what_to_do() -> None:
    with pytest.raises(UnreadableState, match=r"count 12 transactions at 100, and 16 .* anew"):
        refuse_less(TOLD, 100, 12)


@pytest.mark.parametrize(
    ("told", "position", "count"),
    [(TOLD, 100, 16), (TOLD, 140, 17), (TOLD, 99, 12), (TOLD, -1, 0), (None, 100, 0)],
    ids=["as told", "went on", "is being built anew", "from nothing", "never told"],
)
def test_others_are_taken(told: Totals | None, position: int, count: int) -> None:
    refuse_less(told, position, count)
