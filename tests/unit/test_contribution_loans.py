"""What names a loan knows those that the bank has told before it, however the log is cut."""

from collections.abc import Sequence
from datetime import date, timedelta

import pytest

from services.scoring.replay import Line
from services.scoring.rows import LEDGER_FIELDS
from shared.events import Event
from shared.events.bank import CreditAnswerReceived, LoanGranted
from shared.events.envelope import encode
from tests.ledger_bank import FIRST_DAY, event_of
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.workers import closed

LATEST = date(2030, 1, 1).toordinal()
OF_LOANS = [rate(kind, 365_000, product=product)
            for product in ("LN", "LX") for kind in ("margin", "transfer_price")]  # fmt: skip
UNKNOWN = ("quarantined", "loan L is not known")


def granted(product: str = "LN") -> Event[LoanGranted]:
    fact = LoanGranted(customer_number="C", loan_number="L", account_number="1", currency="CNY",
                       product_code=product, principal_minor=1_000_000,
                       granted_on=FIRST_DAY)  # fmt: skip
    return event_of(fact, f"loan-{product}", FIRST_DAY)


def naming(book: Book, what: str) -> Event:  # type: ignore[type-arg]
    if what == "instalment":
        return book.booked(-300_000, FIRST_DAY, kind="loan_instalment", loan_number="L")
    fact = CreditAnswerReceived(customer_number="C", loan_number="L", answer_id="Q",
                                what="bureau", grade="B")  # fmt: skip
    return event_of(fact, "answer", FIRST_DAY)


def tell(book: Book, *batches: Sequence[Event]) -> None:  # type: ignore[type-arg]
    """Each batch is read twice, as the worker does where an event waits or a day is closed."""
    for events in batches:
        lines = [Line(book._offset + n, b"C", encode(event)) for n, event in enumerate(events)]
        book.scored.engine.read(0, lines, LATEST)
        book.tell(*events)
    book.tell(*(closed(FIRST_DAY + timedelta(days=n)) for n in range(62)))


def owed(book: Book) -> dict[str, int]:
    """The balance of each product."""
    (customer,) = book.scored.customers().values()
    return {a.product_code: a.ledger[LEDGER_FIELDS.index("balance")] for a in customer.accounts}


@pytest.mark.parametrize("what", ["instalment", "answer"])
def test_what_comes_before_its_loan_waits_in_one_batch_as_in_two(what: str) -> None:
    books = [Book([*RATES, *OF_LOANS]) for _ in range(3)]
    one, two, after = books
    first, named = one.booked(10_000_000, FIRST_DAY), naming(one, what)
    tell(one, [first, named, granted()])
    tell(two, [first, named], [granted()])
    tell(after, [first, granted(), named])
    assert one.told() == two.told() == [UNKNOWN]
    assert one.leaves() == two.leaves()
    assert owed(one) == owed(two)
    assert after.told() == [], "behind its loan it waits for nothing"
    assert what == "answer" or owed(after) != owed(one)


def test_an_instalment_is_of_the_loan_before_it_where_another_of_its_number_follows() -> None:
    one, two = Book([*RATES, *OF_LOANS]), Book([*RATES, *OF_LOANS])
    first, named = one.booked(10_000_000, FIRST_DAY), naming(one, "instalment")
    tell(one, [first, granted(), named, granted("LX")])
    tell(two, [first, granted(), named], [granted("LX")])
    assert one.told() == two.told() == []
    assert owed(one) == owed(two) == {"CA": 9_700_000, "LN": -700_000, "LX": -1_000_000}
