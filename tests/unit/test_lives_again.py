"""The life of an account that was closed and opened again goes on, to training and to hindsight."""

from collections.abc import Sequence
from datetime import date, timedelta
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
    (_, life) = accounts["A"]
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
    given = Given("no_purchase", "A", _on(305).toordinal(), 0, False)
    judge(asked, _stored(STORIES[story][0]), [given], tallies)
    assert tallies["no_purchase"].judged == judged


@pytest.mark.parametrize(("told", "ends"), STORIES.values(), ids=STORIES)
def test_training_reads_the_same_life_from_a_file(told: Told, ends: int, tmp_path: Path) -> None:
    file = tmp_path / "bank.jsonl"
    lines = []
    for what, n in told:
        if what == "opened":
            fact = AccountOpened(customer_number="A", account_number="A", product_code="CA",
                                 currency="CNY", opened_on=_on(n))  # fmt: skip
        else:
            fact = AccountClosed(customer_number="A", account_number="A", closed_on=_on(n))
        lines.append(made_bank.line(fact, f"{what}-{n}", _on(n)))
    lines += [made_bank.booked("A", "CA", n, 100, "card", "customer", n) for n in BOOKED]
    lines.append(made_bank.line(DayClosed(day=_on(LAST)), "close", _on(LAST)))
    file.write_bytes(b"".join(lines))
    (account,) = history.read(file).accounts
    assert account.closed_on == (None if ends == OPEN else _on(ends).toordinal())
    assert account.opened_on == _on(0).toordinal()
