"""Who holds how much of a joint account."""

import pytest

from services.scoring.rules.sharing import BEYOND_WHOLE, TWICE, Shares, shares_of


@pytest.mark.parametrize(
    ("said", "weights"),
    [
        ([], {}),
        ([("O", 1_000_000)], {}),
        ([("O", 0), ("A", 0)], {}),
        ([("O", 500_000), ("A", 500_000)], {"O": 500_000, "A": 500_000}),
        ([("O", 333_333), ("A", 333_333), ("B", 333_333)],
         {"O": 333_333, "A": 333_333, "B": 333_333}),
        ([("O", 1_000_000), ("A", 0)], {}),
        ([("O", 0), ("A", 1_000_000)], {"A": 1_000_000}),
        ([("A", 300_000)], {"A": 300_000, "O": 700_000}),
        ([("A", 400_000), ("B", 600_000)], {"A": 400_000, "B": 600_000}),
        ([("A", 0)], {}),
        ([("O", 600_000), ("A", 400_000), ("A", 0)], {"O": 600_000, "A": 400_000}),
    ],
)  # fmt: skip
def test_shares_are_weights_and_the_rest_is_an_unnamed_owners(
    said: list[tuple[str, int]], weights: dict[str, int]
) -> None:
    assert shares_of("O", said) == Shares(weights)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([("O", 600_000), ("A", 600_000)], BEYOND_WHOLE),
        ([("A", 1_000_000), ("B", 1)], BEYOND_WHOLE),
        ([("O", 500_000), ("A", 200_000), ("A", 300_000)], TWICE),
        ([("O", 1), ("O", 1)], TWICE),
    ],
)
def test_shares_that_cannot_be_give_the_owner_all_and_say_why(
    said: list[tuple[str, int]], why: str
) -> None:
    assert shares_of("O", said) == Shares({}, why)
