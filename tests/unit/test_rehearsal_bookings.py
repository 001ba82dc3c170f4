"""What a rehearsal's look back makes of the stored events of a customer."""

from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

from services.scoring import hindsight
from services.scoring.rehearser import _bookings
from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked

BEGIN = date(2025, 1, 1)


def _row(offset: int, kind: str, n: int, amount: int | None = None, name: str = "") -> Any:
    acted = kind == TransactionBooked.TYPE
    return SimpleNamespace(
        customer_number="C", event_offset=offset, source="core", event_id=name or f"e{offset}",
        type=kind, account_number="A", product_code="CA", kind="card" if acted else None,
        initiated_by="customer" if acted else None, businessdate=BEGIN + timedelta(days=n),
        amount_minor=amount,
    )  # fmt: skip


def test_an_account_that_was_opened_again_has_another_life() -> None:
    rows = [
        _row(0, AccountOpened.TYPE, 0),
        *(_row(n, TransactionBooked.TYPE, n, 100) for n in (10, 40, 90)),
        _row(100, AccountClosed.TYPE, 100),
        _row(120, AccountOpened.TYPE, 120),
        _row(300, TransactionBooked.TYPE, 300, 100),
    ]
    through = BEGIN + timedelta(days=400)
    bookings = _bookings(rows)
    before, life = hindsight.lives(bookings, through.toordinal())[0]["A", "CA"]
    assert date.fromordinal(before.until) == BEGIN + timedelta(days=99)
    assert date.fromordinal(life.until) == through
    asked = hindsight.Asked(BEGIN + timedelta(days=130), through, {"CA": {"no_purchase": 90}})
    warned_on = (BEGIN + timedelta(days=305)).toordinal()
    tallies: dict[str, hindsight.Tally] = {}
    hindsight.judge(
        asked, bookings, [hindsight.Given("no_purchase", "A", "CA", warned_on, 0, False)], tallies
    )
    assert (tallies["no_purchase"].judged, tallies["no_purchase"].hits) == (1, 1)
    (gone,) = hindsight.lives(_bookings(rows[:5]), through.toordinal())[0]["A", "CA"]
    assert gone.until == (BEGIN + timedelta(days=99)).toordinal(), "closed and never opened again"


def test_what_was_sent_twice_stands_where_it_came_first() -> None:
    first, again = (_row(n, TransactionBooked.TYPE, n, 100 + n, "twice") for n in (10, 30))
    other = _row(20, TransactionBooked.TYPE, 20, 500)
    found = _bookings([first, other, again])
    assert [b.amount_minor for b in found] == [110, 500]
