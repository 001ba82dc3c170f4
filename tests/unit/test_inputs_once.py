"""An event counts once: at its own place or by an input, on a day that is closed already too."""

from base64 import b64encode
from datetime import date, timedelta
from typing import Any

from services.scoring.replay import Line
from shared.events import Event
from shared.events.envelope import encode, wrap
from shared.events.scoring import EventReplayed
from tests.ledger_bank import FIRST_DAY
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.workers import instant

LATEST = date(2030, 1, 1).toordinal()
SA = rate("transfer_price", 365_000, product="SA")


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n - 1)


def with_one_of_another_product(book: Book) -> tuple[Event[Any], int]:
    """On the tenth of fifteen closed days, and its place."""
    book.tell(book.booked(10_000_000, day(1)))
    book.close(day(1), day(9))
    event, place = book.booked(7_000_000, day(10), product_code="SA", account_number="2"), 10
    book.tell(event)
    book.close(day(10), day(15))
    return event, place


def replay(book: Book, event: Event[Any], place: int, sequence: int) -> str:
    """What became of it."""
    fact = EventReplayed(customer_number="C", partition=0, offset=place,
                         payload=b64encode(encode(event)).decode())  # fmt: skip
    told = wrap(fact, id=f"input-{sequence}", source="guanxi/scoring", time=instant(FIRST_DAY),
                businessdate=FIRST_DAY, sequence=sequence)  # fmt: skip
    engine, seen = book.scored.engine, book.scored.seen
    batch = engine.read_inputs(0, [Line(sequence, b"C", encode(told))], LATEST)
    outcome = engine.apply(batch, seen.repeats(0, batch.asked()))
    (verdict,) = [name for name, many in outcome.counts.items() if many]
    return verdict


def counted(book: Book) -> tuple[int, int]:
    many, sums = book.scored.engine.partition(0).totals()
    return many, sums["CNY"]


def test_an_input_whose_event_has_counted_at_its_own_place_is_a_repeat() -> None:
    """The state was made anew, and the rate that the event had waited for was there."""
    book = Book([*RATES, SA])
    event, place = with_one_of_another_product(book)
    assert counted(book) == (2, 17_000_000)
    assert replay(book, event, place, 1) == "duplicate"
    assert counted(book) == (2, 17_000_000)


def test_the_input_of_an_event_that_was_refused_counts_and_a_second_one_never() -> None:
    book = Book()
    event, place = with_one_of_another_product(book)
    assert counted(book) == (1, 10_000_000)
    book.scored.tell(SA)
    assert replay(book, event, place, 1) == "applied"
    assert counted(book) == (2, 17_000_000)
    assert replay(book, event, place, 2) == "duplicate", "its letter was listed once more"
    assert counted(book) == (2, 17_000_000)
