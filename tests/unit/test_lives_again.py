"""The life of an account that was closed and opened again goes on to hindsight; to training it is
another one.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest

from services.scoring.hindsight import Asked, Booking, Given, Tally, judge, lives
from services.scoring.training import history
from shared.events.bank import AccountClosed, AccountOpened, DayClosed, TransactionBooked
from tests import made_bank
from tests.made_bank import BEGIN

LAST: Final = 400
CLOSED: Final = 100
BOOKED: Final = (10, 40, 90, 300)
# What is told, in this order, and the first day on which it is not open: LAST + 1 of one that is.
OPEN: Final = LAST + 1
STORIES: Final = {
    "never closed": ([("opened", 0)], OPEN),
    "closed": ([("opened", 0), ("closed", CLOSED)], CLOSED),
    "opened again": ([("opened", 0), ("closed", CLOSED), ("opened", 120)], OPEN),
    "on the same day": ([("opened", 0), ("closed", CLOSED), ("opened", CLOSED)], OPEN),
    "an opening of before, late": ([("closed", CLOSED), ("opened", 0)], CLOSED),
    "closed once more": (
        [("opened", 0), ("closed", CLOSED), ("opened", 120), ("closed", 350)], 350,
    ),
    "opened twice more": (
        [("opened", 0), ("closed", CLOSED), ("opened", 120), ("closed", 150), ("opened", 160)],
        OPEN,
    ),
}  # fmt: skip
Told = Sequence[tuple[str, int]]


def _on(n: int) -> date:
    return BEGIN + timedelta(days=n)


def _stored(told: Told) -> list[Booking]:
    types = {"opened": AccountOpened.TYPE, "closed": AccountClosed.TYPE}
    events = [Booking(types[what], "A", "CA", _on(n).toordinal(), 0, "", "") for what, n in told]
    return events + [
        Booking(TransactionBooked.TYPE, "A", "CA", _on(n).toordinal(), 100, "card", "customer")
        for n in BOOKED
    ]


@pytest.mark.parametrize(("told", "ends"), STORIES.values(), ids=STORIES)
def test_hindsight_knows_an_account_until_the_day_before_it_is_closed_for_good(
    told: Told, ends: int
) -> None:
    accounts, whole = lives(_stored(told), _on(LAST).toordinal())
    life = accounts["A", "CA"]
    assert life.until == _on(ends - 1).toordinal()
    assert life.opened_on == _on(0).toordinal(), "the life is one: it does not begin anew"
    assert life.actions.tolist() == [_on(n).toordinal() for n in BOOKED if n < ends]
    assert whole is not None
    assert whole.until == _on(LAST).toordinal(), "the customer is there still"


@pytest.mark.parametrize(
    ("story", "judged"), [("never closed", 1), ("closed", 0), ("opened again", 1)]
)
def test_a_warning_on_an_account_that_was_opened_again_is_judged(story: str, judged: int) -> None:
    asked = Asked(_on(130), _on(LAST), {"CA": {"no_purchase": 90}})
    tallies: dict[str, Tally] = {}
    given = Given("no_purchase", "A", "CA", _on(305).toordinal(), 0, False)
    judge(asked, _stored(STORIES[story][0]), [given], tallies)
    assert tallies["no_purchase"].judged == judged


LIVES: Final[dict[str, list[tuple[int, int | None]]]] = {
    "never closed": [(0, None)],
    "closed": [(0, CLOSED)],
    "opened again": [(0, CLOSED), (120, None)],
    "on the same day": [(0, CLOSED), (CLOSED, None)],
    "an opening of before, late": [(0, CLOSED)],
    "closed once more": [(0, CLOSED), (120, 350)],
    "opened twice more": [(0, CLOSED), (120, 150), (160, None)],
}


def _read(file: Path, told: Told, booked: Sequence[int] = BOOKED) -> history.History:
    lines = []
    fact: AccountOpened | AccountClosed
    for what, n in told:
        if what == "opened":
            fact = AccountOpened(customer_number="A", account_number="A", product_code="CA",
                                 currency="CNY", opened_on=_on(n))  # fmt: skip
        else:
            fact = AccountClosed(customer_number="A", account_number="A", closed_on=_on(n))
        lines.append(made_bank.line(fact, f"{what}-{n}", _on(n)))
    lines += [made_bank.booked("A", "CA", n, 100, "card", "customer", n) for n in booked]
    lines.append(made_bank.line(DayClosed(day=_on(LAST)), "close", _on(LAST)))
    file.write_bytes(b"".join(lines))
    return history.read(file, "CNY")


@pytest.mark.parametrize("story", STORIES)
def test_to_training_each_life_is_an_account(story: str, tmp_path: Path) -> None:
    """As to the live scorer, where an account that is opened again begins anew."""
    accounts = _read(tmp_path / "bank.jsonl", STORIES[story][0]).accounts
    lives = [(one.opened_on, one.closed_on) for one in accounts]
    assert lives == [(_on(begins).toordinal(), _on(ends).toordinal() if ends else None)
                     for begins, ends in LIVES[story]]  # fmt: skip
    booked = [day for one in accounts for day in one.days.tolist()]
    assert booked == [_on(n).toordinal() for n in BOOKED], "each once, in its life"
    for one, after in pairwise(accounts):
        assert all(one.days < after.opened_on)


def test_an_opening_after_the_split_changes_nothing_of_before_it(tmp_path: Path) -> None:
    """Else what a model learns from an early life would depend on what came later."""
    before = [n for n in BOOKED if n < CLOSED]
    (closed,) = _read(tmp_path / "bank.jsonl", STORIES["closed"][0], before).accounts
    first, _ = _read(tmp_path / "again.jsonl", STORIES["opened again"][0]).accounts
    assert (first.opened_on, first.closed_on) == (closed.opened_on, closed.closed_on)
    for one, other in ((first.days, closed.days), (first.amounts, closed.amounts),
                       (first.flags, closed.flags)):  # fmt: skip
        assert one.tolist() == other.tolist()
