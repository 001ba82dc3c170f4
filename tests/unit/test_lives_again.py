"""The life of an account ends with its closing, and one that is opened again begins another: to
hindsight and to training as to the live scorer."""

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
# What is told, in this order.
STORIES: Final = {
    "never closed": [("opened", 0)],
    "closed": [("opened", 0), ("closed", CLOSED)],
    "opened again": [("opened", 0), ("closed", CLOSED), ("opened", 120)],
    "on the same day": [("opened", 0), ("closed", CLOSED), ("opened", CLOSED)],
    "an opening of before, late": [("closed", CLOSED), ("opened", 0)],
    "closed once more": [("opened", 0), ("closed", CLOSED), ("opened", 120), ("closed", 350)],
    "its closing told again, later": [("opened", 0), ("closed", CLOSED), ("closed", 350)],
    "its closing told again, earlier": [("opened", 0), ("closed", 350), ("closed", CLOSED)],
    "opened twice more": [
        ("opened", 0), ("closed", CLOSED), ("opened", 120), ("closed", 150), ("opened", 160),
    ],
}  # fmt: skip
LIVES: Final[dict[str, list[tuple[int, int | None]]]] = {
    "never closed": [(0, None)],
    "closed": [(0, CLOSED)],
    "opened again": [(0, CLOSED), (120, None)],
    "on the same day": [(0, CLOSED), (CLOSED, None)],
    "an opening of before, late": [(0, CLOSED)],
    "closed once more": [(0, CLOSED), (120, 350)],
    "its closing told again, later": [(0, CLOSED)],
    "its closing told again, earlier": [(0, CLOSED)],
    "opened twice more": [(0, CLOSED), (120, 150), (160, None)],
}
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


@pytest.mark.parametrize("story", STORIES)
def test_to_hindsight_each_life_has_its_own_days(story: str) -> None:
    """One in which nothing was booked is nothing to judge."""
    accounts, whole = lives(_stored(STORIES[story]), _on(LAST).toordinal())
    known = [(begins, ends or LAST + 1) for begins, ends in LIVES[story]]
    booked = [[n for n in BOOKED if begins <= n < ends] for begins, ends in known]
    assert [(one.opened_on, one.until) for one in accounts["A", "CA"]] == [
        (_on(begins).toordinal(), _on(ends - 1).toordinal())
        for (begins, ends), own in zip(known, booked, strict=True) if own
    ]  # fmt: skip
    assert [one.actions.tolist() for one in accounts["A", "CA"]] == [
        [_on(n).toordinal() for n in own] for own in booked if own
    ]
    assert whole is not None
    assert whole.until == _on(LAST).toordinal(), "the customer is there still"
    assert whole.opened_on == _on(BOOKED[0]).toordinal()


@pytest.mark.parametrize(
    ("story", "judged"), [("never closed", 1), ("closed", 0), ("opened again", 1)]
)
def test_a_warning_on_an_account_that_was_opened_again_is_judged(story: str, judged: int) -> None:
    asked = Asked(_on(130), _on(LAST), {"CA": {"no_purchase": 90}})
    tallies: dict[str, Tally] = {}
    given = Given("no_purchase", "A", "CA", _on(305).toordinal(), 0, False)
    judge(asked, _stored(STORIES[story]), [given], tallies)
    assert tallies.get("no_purchase", Tally()).judged == judged


def _moved(n: int, amount: int) -> Booking:
    return Booking(TransactionBooked.TYPE, "A", "CA", _on(n).toordinal(), amount, "transfer_in",
                   "bank")  # fmt: skip


EMPTIED: Final = [
    Booking(AccountOpened.TYPE, "A", "CA", _on(0).toordinal(), 0, "", ""),
    _moved(0, 2_000_000), _moved(150, -1_990_000),
]  # fmt: skip
AGAIN: Final = [
    Booking(AccountClosed.TYPE, "A", "CA", _on(155).toordinal(), 0, "", ""),
    Booking(AccountOpened.TYPE, "A", "CA", _on(165).toordinal(), 0, "", ""),
    _moved(170, 1_000),
]  # fmt: skip


@pytest.mark.parametrize(("later", "judged", "misses"), [([], 1, 1), (AGAIN, 0, 0)])
def test_no_horizon_goes_over_a_closing_and_no_past_is_of_the_life_before(
    later: list[Booking], judged: int, misses: int
) -> None:
    """All his money goes for good: that was an outflow. Who closes the account meanwhile and opens
    it again has not kept it for the horizon, and has no history of 120 days afterwards."""
    asked = Asked(_on(100), _on(LAST), {"CA": {"outflow_ahead": 90}})
    given = Given("outflow_ahead", "A", "CA", _on(140).toordinal(), 0, False)
    for warnings, expected in (([given], (judged, 0)), ([], (0, misses))):
        tallies: dict[str, Tally] = {}
        judge(asked, [*EMPTIED, *later], warnings, tallies)
        one = tallies["outflow_ahead"]
        assert (one.judged, one.misses) == expected
        assert one.hits == one.judged


def test_a_warning_of_the_life_before_warned_of_nothing_in_the_next() -> None:
    """He buys until the closing and, opened again, until he stops: a month later that is missed."""
    buys = [Booking(TransactionBooked.TYPE, "A", "CA", _on(n).toordinal(), -100, "card", "customer")
            for n in (*range(0, 150, 10), *range(160, 200, 10))]  # fmt: skip
    turns = [AGAIN[0]._replace(on=_on(155).toordinal()), AGAIN[1]._replace(on=_on(158).toordinal())]
    given = Given("no_purchase", "A", "CA", _on(154).toordinal(), 0, False)
    asked = Asked(_on(100), _on(LAST), {"CA": {"no_purchase": 90}})
    for told, misses in (([EMPTIED[0], *turns, *buys], 1), ([EMPTIED[0], *buys], 0)):
        tallies: dict[str, Tally] = {}
        judge(asked, told, [given], tallies)
        assert tallies["no_purchase"].misses == misses


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
    accounts = _read(tmp_path / "bank.jsonl", STORIES[story]).accounts
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
    (closed,) = _read(tmp_path / "bank.jsonl", STORIES["closed"], before).accounts
    first, _ = _read(tmp_path / "again.jsonl", STORIES["opened again"]).accounts
    assert (first.opened_on, first.closed_on) == (closed.opened_on, closed.closed_on)
    for one, other in ((first.days, closed.days), (first.amounts, closed.amounts),
                       (first.flags, closed.flags)):  # fmt: skip
        assert one.tolist() == other.tolist()
