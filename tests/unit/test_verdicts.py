"""A verdict that rests on what was known then stays, wherever the worker is killed."""

from typing import Any

import pytest

from services.scoring import verdicts
from services.scoring.engine import Outcome
from services.scoring.replay import Line
from services.scoring.restoring import restore
from shared.events.envelope import encode
from tests.ledger_bank import FIRST_DAY
from tests.unit.test_contribution_rules import RATES, Book, rate

LATEST = FIRST_DAY.toordinal() + 100


class Killed(Book):
    """Its worker dies when the rows are written and the verdicts of the end are not."""

    def __init__(self, *, first: bool = True) -> None:
        super().__init__()
        self._first = first

    def step(self, lines: list[Line]) -> Outcome:
        batch = self.scored.engine.read(0, lines, LATEST)
        return self.scored.engine.apply(batch, set())

    def killed_in(self, lines: list[Line]) -> None:
        outcome = self.step(lines)
        written = [*(outcome.first if self._first else ()), *outcome.records]
        self.scored.engine = self.scored._engine()
        restore(self.scored.engine.partition(0), written)
        self.scored.engine.partition(0).recovered()


def lines_of(book: Book) -> list[Line]:
    """One that waits for the rate of its product, and behind it one of the same customer."""
    waits, takes = book.booked(700, FIRST_DAY, product_code="SA"), book.booked(5, FIRST_DAY)
    return [Line(n, b"C", encode(event)) for n, event in enumerate((waits, takes))]


def judged(outcome: Outcome) -> dict[str, Any]:
    return {name: n for name, n in outcome.counts.items() if n}


@pytest.mark.parametrize("first", [True, False])
def test_what_waited_is_told_though_its_rate_has_come_before_it_is_read_again(
    first: bool,
) -> None:
    """The row has passed it: only the verdict that was written before the row says so. Without it
    the event is neither counted nor told: the negative control."""
    book = Killed(first=first)
    lines = lines_of(book)
    book.killed_in(lines)
    book.scored.tell(rate("transfer_price", 365_000, product="SA"))
    again = book.step(lines)
    assert [r.offset for r in again.refused] == ([0] if first else [])
    assert judged(again) == (
        {"quarantined": 1, "redelivered": 1} if first else {"redelivered": 2}
    )


def test_nothing_is_written_before_the_rows_where_nothing_new_was_refused() -> None:
    book = Killed()
    lines = lines_of(book)
    rates = len(RATES) + 1  # each partition says which it has taken
    assert len(book.step(lines[1:]).first) <= rates
    assert [key for key, _ in book.step(lines[:1]).first] == [b"\x00partition/0"]
    assert not book.step(lines[:1]).first, "known by now"


def test_all_verdicts_of_one_batch_are_kept() -> None:
    """More than are remembered of batches before it."""
    many, book = verdicts.KEPT + 500, Book()
    events = [book.booked(1, FIRST_DAY, product_code="SA") for _ in range(many)]
    book.tell(book.booked(5, FIRST_DAY))
    book.tell(*events)
    closes = book.scored.engine.partition(0).closes
    assert closes.quarantined == list(range(1, many + 1))
    book.tell(book.booked(1, FIRST_DAY, product_code="SA"))
    assert closes.quarantined == list(range(many + 1 - verdicts.KEPT, many + 2))


def test_what_was_given_up_is_refused_where_it_is_met_and_after_every_recovery() -> None:
    """However many they are: a partition keeps no more than the newest refusals of its own."""
    book = Killed()
    book.scored.tell(rate("transfer_price", 365_000, product="SA"))
    given_up = [0, *range(100, 100 + 2 * verdicts.KEPT)]
    book.scored.engine.partition(0).closes.given_up = given_up
    lines = lines_of(book)
    book.killed_in(lines)
    closes = book.scored.engine.partition(0).closes
    assert (len(closes.given_up), closes.quarantined) == (len(given_up), [0])
    again = book.step(lines)
    assert judged(again) == {"quarantined": 1, "redelivered": 1}
    assert [r.reason for r in again.refused] == [
        "it was refused before; the verdict on an event stays"
    ]
