"""Bad input of every event that a ledger books: no leaf is ever wrong, and what could not be booked
is a difference until it is replayed."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import date
from typing import Any

import msgspec
import pytest

from services.scoring.replay import Line
from services.scoring.uses import STEPPED
from shared.events import Event, wrap
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    CreditAnswerReceived,
    LoanGranted,
    TransactionBooked,
)
from shared.events.envelope import EVENT_CLASSES, encode
from shared.events.scoring import EventReplayed
from tests.ledger_bank import FIRST_DAY, event_of
from tests.unit.test_contribution_grades import LOSSES, answer
from tests.unit.test_contribution_rules import Book, rate
from tests.workers import closed, instant

LATEST = date(2079, 1, 1).toordinal()
RATES = [*LOSSES, rate("margin", 365_000, product="LN"),
         rate("cost_driver", 3, product=None, driver="transfer_in"),
         rate("cost_driver", 1, product=None, driver="account_day")]  # fmt: skip
LOAN = LoanGranted(
    customer_number="C", loan_number="L", account_number="1", product_code="LN",
    principal_minor=365_000, currency="CNY", granted_on=date(2025, 1, 5),
)  # fmt: skip
OPENED = AccountOpened(customer_number="C", account_number="2", product_code="CA",
                       currency="CNY", opened_on=date(2025, 1, 3))  # fmt: skip
CLOSED = AccountClosed(customer_number="C", account_number="2", closed_on=date(2025, 1, 20))


def events(book: Book) -> dict[type, Event[Any]]:
    """One of each that is booked, after a deposit and an overdraft on the first day."""
    return {
        AccountOpened: event_of(OPENED, "acct-2", date(2025, 1, 3)),
        LoanGranted: event_of(LOAN, "loan-L", date(2025, 1, 5)),
        TransactionBooked: book.booked(73_000, date(2025, 1, 8)),
        CreditAnswerReceived: answer("1", "D", date(2025, 1, 12)),
        AccountClosed: event_of(CLOSED, "closed-2", date(2025, 1, 20)),
    }


def _changed(change: Callable[[dict[str, Any]], None]) -> Callable[[bytes], bytes]:
    def spoil(value: bytes) -> bytes:
        event = json.loads(value)
        change(event)
        return json.dumps(event).encode()

    return spoil


def _dated(day: str) -> Callable[[bytes], bytes]:
    return _changed(lambda event: event.update(businessdate=day))


# What is wrong, and what it gets (contract, section 7)
SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "cut short": (lambda value: value[: len(value) // 2], "dead"),
    "no envelope": (lambda value: b'{"an": "object"}', "dead"),
    "empty": (lambda value: b"", "dead"),
    "a field missing": (_changed(lambda e: e["data"].pop("customer_number")), "dead"),
    "a field mistyped": (_changed(lambda e: e["data"].update(customer_number=7)), "dead"),
    "another's key": (_changed(lambda e: e["data"].update(customer_number="C9")), "dead"),
    "a later version": (_changed(lambda e: e.update(type=e["type"][:-1] + "9")), "quarantined"),
    "the far past": (_dated("1969-12-31"), "quarantined"),
    "the future": (_dated("2200-01-01"), "quarantined"),
    "a time in the future": (
        _changed(lambda e: e.update(time="2200-01-01T00:00:00Z")), "quarantined"
    ),
}
MONEY: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "float money": (_changed(lambda e: e["data"].update(amount_minor=73_000.5)), "dead"),
    "an exponent": (lambda value: value.replace(b"73000", b"73e3"), "dead"),
    "beyond 2**53": (_changed(lambda e: e["data"].update(amount_minor=2**53 + 1)), "dead"),
    "no currency": (_changed(lambda e: e["data"].update(currency="¥")), "dead"),
    "a value day far ahead": (
        _changed(lambda e: e["data"].update(value_on="2205-01-05")), "quarantined"
    ),
}
# A grant of less than nothing would be a balance that earns like none; of nothing it is no loan.
PRINCIPALS = {str(minor): (_changed(lambda e, minor=minor: e["data"].update(principal_minor=minor)),
                           "dead") for minor in (0, -365_000, 2**53 + 1)}  # fmt: skip
CASES = [
    *((fact, name, *SPOILT[name]) for fact in events(Book(RATES)) for name in SPOILT),
    *((TransactionBooked, name, *MONEY[name]) for name in MONEY),
    *((LoanGranted, name, *PRINCIPALS[name]) for name in PRINCIPALS),
]


def run(without: type | None, value: bytes | None = None, replayed_after: int = 0) -> Book:
    """Two months. `without` an event; `value` stands in its place; and it is replayed after so many
    closes, as its producer meant it. 0: never."""
    book = Book(RATES)
    book.tell(book.booked(3_650_000, FIRST_DAY), book.booked(-365_000, FIRST_DAY,
              account_number="3"))  # fmt: skip
    place = closing = -1
    own = events(book)
    days = [date.fromordinal(FIRST_DAY.toordinal() + n) for n in range(59)]
    for n, day in enumerate(days):
        for fact, event in own.items():
            if event.businessdate != day:
                continue
            if fact is not without:
                closing = book._offset
                book.tell(event)
            elif value is not None:
                place = book._offset
                book.scored.feed(0, [Line(place, b"C", value)])
                book._offset += 1
        if without and n == replayed_after and replayed_after:
            replay(book, own[without], place, 1)
            if without is AccountOpened and own[AccountClosed].businessdate < day:
                replay(book, own[AccountClosed], closing, 2)  # it waited for the opening
        book.tell(closed(day))
    return book


def replay(book: Book, event: Event[Any], place: int, sequence: int) -> None:
    fact = EventReplayed(customer_number="C", partition=0, offset=place,
                         payload=b64encode(encode(event)).decode())  # fmt: skip
    told = wrap(fact, id=f"input-{sequence}", source="guanxi/scoring", time=instant(FIRST_DAY),
                businessdate=FIRST_DAY, sequence=sequence)  # fmt: skip
    engine = book.scored.engine
    outcome = engine.apply(engine.read_inputs(0, [Line(0, b"C", encode(told))], LATEST), set())
    book.scored._write(0, outcome)
    assert outcome.counts["applied"] == 1


def test_every_event_that_a_ledger_books_is_tried() -> None:
    tried = {EVENT_CLASSES[fact] for fact in events(Book(RATES))}
    assert tried == {*STEPPED, EVENT_CLASSES[TransactionBooked]}


@pytest.mark.parametrize("fact", events(Book(RATES)))
def test_each_of_them_moves_leaves(fact: type) -> None:
    """Else the tests below could not fail."""
    assert run(fact).scored.leaves() != run(None).scored.leaves()


@pytest.mark.parametrize(("fact", "name", "spoil", "kind"), CASES,
                         ids=[f"{fact.__name__}-{name}" for fact, name, *_ in CASES])  # fmt: skip
def test_what_is_spoilt_is_told_once_and_moves_no_leaf(
    fact: type, name: str, spoil: Callable[[bytes], bytes], kind: str
) -> None:
    book, never = run(fact, spoil(encode(events(Book(RATES))[fact]))), run(fact)
    assert [(r.kind, r.partition) for r in book.scored.refused] == [
        (kind, 0), *((r.kind, 0) for r in never.scored.refused)
    ], name  # fmt: skip
    assert book.scored.leaves() == never.scored.leaves()


@pytest.mark.parametrize("name", PRINCIPALS)
def test_a_principal_that_is_none_is_refused_by_name(name: str) -> None:
    book = run(LoanGranted, PRINCIPALS[name][0](encode(events(Book(RATES))[LoanGranted])))
    (told,) = book.scored.refused
    assert (told.kind, told.field) == ("dead", "data.principal_minor")


def test_the_least_principal_is_booked() -> None:
    """The control of the one above."""
    least = _changed(lambda e: e["data"].update(principal_minor=1))
    book = run(LoanGranted, least(encode(events(Book(RATES))[LoanGranted])))
    assert book.told() == []


@pytest.mark.parametrize(("value_on", "is_booked"), [("2026-01-09", True), ("2026-01-10", False)])
@pytest.mark.parametrize("digit", ["2", "\\u0032"], ids=["scanned", "decoded"])
def test_a_value_day_is_at_most_a_year_ahead(value_on: str, is_booked: bool, digit: str) -> None:
    """Of the event of 8 January 2025, by each of the two ways in which events are read."""
    plain = _changed(lambda e: e["data"].update(value_on=value_on))(
        encode(events(Book(RATES))[TransactionBooked])
    )
    value = plain.replace(f'"{value_on}"'.encode(), f'"{digit}{value_on[1:]}"'.encode())
    told = [(r.kind, r.field, r.reason) for r in run(TransactionBooked, value).scored.refused]
    reason = f"{value_on} is more than 366 days after 2025-01-08"
    assert told == ([] if is_booked else [("quarantined", "data.value_on", reason)])


def test_a_closing_of_an_account_that_nobody_knows_waits_for_its_opening() -> None:
    assert run(AccountOpened).told() == [("quarantined", "account 2 is not known")]


def test_an_account_in_another_currency_is_known_and_has_no_ledger() -> None:
    book = Book(RATES)
    abroad = msgspec.structs.replace(OPENED, currency="USD")
    book.tell(event_of(abroad, "acct-2", date(2025, 1, 3)))
    book.close(FIRST_DAY, date(2025, 1, 19))
    book.scored.restart()
    book.tell(event_of(CLOSED, "closed-2", date(2025, 1, 20)))
    book.close(date(2025, 1, 20), date(2025, 2, 20))
    assert not book.told()
    assert not book.leaves()


@pytest.mark.parametrize("fact", events(Book(RATES)))
def test_replayed_in_its_month_it_is_as_if_it_had_been_right(fact: type) -> None:
    book = run(fact, b"{", replayed_after=15 if fact is not AccountClosed else 25)
    assert book.scored.leaves() == run(None).scored.leaves()


@pytest.mark.parametrize("fact", events(Book(RATES)))
def test_replayed_late_it_is_a_difference_of_the_open_month(fact: type) -> None:
    """Closed months stay; by origin the sums are those of a bank that was right at once."""
    book, right, never = run(fact, b"{", replayed_after=33), run(None), run(fact)
    assert book.scored.by_origin() == right.scored.by_origin()
    assert _of_january(book) == _of_january(never)


def _of_january(book: Book) -> dict[tuple[str, ...], int]:
    return {key: minor for key, minor in book.scored.leaves().items() if key[5] == "2025-01"}
