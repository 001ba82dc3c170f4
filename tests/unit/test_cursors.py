"""Where a page goes on, as it stands in an address that anybody can change."""

import pytest

from services.scoring.queries.cursors import number_and_id
from shared.errors import Invalid


@pytest.mark.parametrize("after", ["--5~P1", "-~P1", "--~P1", "5-~P1", "~P1", "5~", "5", "5.0~P1"])
def test_a_place_that_is_none_is_refused(after: str) -> None:
    with pytest.raises(Invalid):
        number_and_id(after)


def test_a_place_is_a_number_and_a_key() -> None:
    assert number_and_id("-5~P1") == (-5, "P1")
    assert number_and_id("5~P~1") == (5, "P~1")
    assert number_and_id("") is None
