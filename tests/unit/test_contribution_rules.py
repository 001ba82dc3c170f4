"""What is late, what waits for a rate, what is a restatement, what is refused: one case each."""

from base64 import b64encode
from datetime import date, timedelta
from typing import Any

import pytest

from services.scoring import reference, state
from services.scoring.replay import Line
from services.scoring.rows import RECORD_VERSION
from shared.events import Event
from shared.events.bank import AccountOpened, LoanGranted, ProductDescribed, RateSet
from shared.events.bank import TransactionBooked as Booked
from shared.events.envelope import encode, wrap
from shared.events.scoring import EventReplayed
from tests.ledger_bank import FIRST_DAY, Bank, event_of
from tests.scored import Scored
from tests.workers import closed, instant

JAN, FEB, MAR = "2025-01", "2025-02", "2025-03"


def rate(kind: str, value: int, *, product: str | None = "CA", on: date = FIRST_DAY,
         driver: str | None = None) -> Event[Any]:  # fmt: skip
    fact = RateSet(kind=kind, product_code=product, from_on=on, value=value, driver_code=driver,  # type: ignore[arg-type]
                   currency="CNY")  # fmt: skip
    return event_of(fact, f"rate-{fact.entry}-{value}", FIRST_DAY)


OVERDRAFT = event_of(
    ProductDescribed(product_code="CA", names={"zh-CN": "活期", "en": "Current"},
                     line_code="liability", overdraft_product_code="OD"),
    "product-CA", FIRST_DAY,
)  # fmt: skip
RATES = [rate("transfer_price", 365_000), rate("transfer_price", 730_000, product="OD"), OVERDRAFT,
         rate("cost_driver", 7, product=None, driver="card"),
         rate("cost_driver", 1, product=None, driver="account_day")]  # fmt: skip


class Book:
    """One account, told day by day."""

    def __init__(self, rates: list[Event[Any]] | None = None) -> None:
        self.scored = Scored(Bank(rates=RATES if rates is None else rates))
        self._offset = 0
        self._n = 0

    def tell(self, *events: Event[Any]) -> None:
        lines = []
        for event in events:
            key = None if event.type == "bank.day_closed.v1" else event.subject.encode()
            lines.append(Line(self._offset, key, encode(event)))
            self._offset += 1
        self.scored.feed(0, lines)

    def booked(self, amount: int, day: date, **of: Any) -> Event[Any]:
        self._n += 1
        fact = {
            "account_number": "1", "customer_number": "C", "product_code": "CA",
            "currency": "CNY", "kind": "transfer_in", "initiated_by": "customer",
            "transaction_id": f"{self._n}", "amount_minor": amount, "booked_on": day,
        } | of  # fmt: skip
        return event_of(Booked(**fact), f"txn-{fact['transaction_id']}", day)

    def close(self, first: date, last: date) -> None:
        days = range(first.toordinal(), last.toordinal() + 1)
        self.tell(*(closed(date.fromordinal(day)) for day in days))

    def leaves(self) -> dict[tuple[str, str, str, str], int]:
        return {(product, component, period, origin): amount
                for (_, _, _, product, component, period, origin, _), amount
                in self.scored.leaves().items()}  # fmt: skip

    def told(self) -> list[tuple[str, str]]:
        return [(r.kind, r.reason) for r in self.scored.refused]


def test_a_change_valued_in_a_closed_month_is_a_leaf_of_the_open_one_with_its_origin() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.tell(book.booked(500, date(2025, 2, 11), value_on=date(2025, 1, 30)))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    book.tell(book.booked(0, date(2025, 3, 1)))
    # 36.5 % a year: a thousandth a day
    assert book.leaves() == {
        ("CA", "ftp", JAN, JAN): 31, ("CA", "ftp", FEB, JAN): 1, ("CA", "ftp", FEB, FEB): 42,
    }  # fmt: skip


def test_two_accounts_of_one_number_with_one_product_for_overdrafts_have_their_own_leaves() -> None:
    """As when a bank turns an overdrawn account into one of another product, within a month."""
    other = ProductDescribed(product_code="CB", names={"zh-CN": "乙", "en": "B"},
                             line_code="liability", overdraft_product_code="OD")  # fmt: skip
    book = Book([*RATES, rate("transfer_price", 365_000, product="CB"),
                 event_of(other, "product-CB", FIRST_DAY)])  # fmt: skip
    book.tell(book.booked(-1_000_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 1, 10))
    turn = date(2025, 1, 11)
    book.tell(book.booked(1_000_000, turn), book.booked(-1_000_000, turn, product_code="CB"))
    book.close(turn, date(2025, 2, 28))
    assert not book.told()
    # two thousandths a day, for 10 days, then for 21 and 28
    assert book.scored.leaves() == {
        ("C", "1", "", "OD", "ftp", JAN, JAN, "CA"): -20_000,
        ("C", "1", "", "OD", "ftp", JAN, JAN, "CB"): -42_000,
        ("C", "1", "", "OD", "ftp", FEB, FEB, "CB"): -56_000,
    }


def test_a_late_debit_that_turns_the_sign_is_charged_as_an_overdraft() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY), book.booked(4_000, date(2025, 1, 11)))
    book.close(FIRST_DAY, date(2025, 1, 20))
    book.tell(book.booked(-3_000, date(2025, 1, 21), value_on=date(2025, 1, 6)))
    book.close(date(2025, 1, 21), date(2025, 1, 31))
    # 5 days of 1000, 5 of -2000 as an overdraft at twice the price, 21 of 2000
    assert book.leaves() == {("CA", "ftp", JAN, JAN): 5 + 42, ("OD", "ftp", JAN, JAN): -20}


def test_a_reversal_takes_fee_and_accrual_back_but_not_the_cost_of_the_work() -> None:
    book = Book([*RATES, rate("cost_driver", 3, product=None, driver="fee")])
    book.tell(book.booked(100_000, FIRST_DAY), book.booked(-900, FIRST_DAY, kind="fee"))
    book.close(FIRST_DAY, date(2025, 2, 3))
    book.tell(book.booked(900, date(2025, 2, 4), kind="fee", value_on=FIRST_DAY, reverses="2"))
    book.close(date(2025, 2, 4), date(2025, 2, 28))
    book.tell(book.booked(0, date(2025, 3, 1)))
    by_component: dict[str, int] = {}
    for (_, component, _, _), amount in book.leaves().items():
        by_component[component] = by_component.get(component, 0) + amount
    assert by_component == {"ftp": 100 * 59, "abc_txn": -6, "fee": 0}
    assert book.leaves()["CA", "fee", FEB, JAN] == -900


def test_upkeep_runs_from_the_opening_whenever_that_is_said_and_however_often() -> None:
    book = Book()
    opened = AccountOpened(customer_number="C", account_number="1", product_code="CA",
                           currency="CNY", opened_on=date(2025, 1, 30))  # fmt: skip
    book.close(FIRST_DAY, date(2025, 2, 10))
    event = event_of(opened, "acct-1", date(2025, 1, 30))
    book.tell(event, event)
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    assert book.leaves() == {("CA", "abc_maint", FEB, JAN): -2, ("CA", "abc_maint", FEB, FEB): -28}


def test_a_loan_that_is_paid_back_too_much_earns_nothing_and_is_no_deposit() -> None:
    book = Book([*RATES, rate("margin", 365_000, product="LN")])
    loan = LoanGranted(customer_number="C", loan_number="L", account_number="1",
                       product_code="LN", principal_minor=1_000, currency="CNY",
                       granted_on=FIRST_DAY)  # fmt: skip
    book.tell(event_of(loan, "loan-L", FIRST_DAY))
    book.tell(book.booked(-1_200, date(2025, 1, 11), kind="loan_instalment", loan_number="L"))
    book.close(FIRST_DAY, date(2025, 1, 31))
    found = book.leaves()
    assert found["LN", "ftp", JAN, JAN] == 10
    assert set(found) == {("LN", "ftp", JAN, JAN), ("OD", "ftp", JAN, JAN)}


def test_an_event_whose_day_has_no_rate_waits() -> None:
    book = Book([rate("transfer_price", 365_000, on=date(2025, 1, 10))])
    event = book.booked(1_000, FIRST_DAY)
    book.tell(event)
    other = book.booked(1_000, date(2025, 1, 10), product_code="XX")
    book.tell(other)
    assert book.scored.engine.partition(0).numbers.find(b"C") < 0
    instalment = book.booked(-5, date(2025, 1, 10), kind="loan_instalment", loan_number="L9")
    book.tell(instalment)
    assert book.told() == [
        ("quarantined", "no rate for CA on 2025-01-01; the first: 2025-01-10"),
        ("quarantined", "no rate for XX on 2025-01-10; the first: there is none"),
        ("quarantined", "loan L9 is not known"),
    ]


def test_an_event_that_waited_is_booked_on_its_day_when_its_rate_has_come() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    waiting = book.booked(3_000, date(2025, 1, 5), account_number="2", product_code="XX")
    book.tell(waiting)
    book.close(FIRST_DAY, date(2025, 2, 10))
    engine = book.scored.engine
    for product, on in (("CA", date(2024, 12, 1)), ("XX", date(2025, 1, 3)),
                        ("XX", date(2025, 1, 2))):  # fmt: skip
        reference.tell(engine, rate("transfer_price", 365_000, product=product, on=on))
    replayed = EventReplayed(customer_number="C", partition=0, offset=1,
                             payload=b64encode(encode(waiting)).decode())  # fmt: skip
    event = wrap(replayed, id="input-1", source="guanxi/scoring", time=instant(FIRST_DAY),
                 businessdate=FIRST_DAY, sequence=1)  # fmt: skip
    for _ in range(2):  # an outbox may send it twice
        latest = date(2030, 1, 1).toordinal()
        batch = engine.read_inputs(0, [Line(0, b"C", encode(event))], latest)
        outcome = engine.apply(batch, set())
    assert outcome.counts["redelivered"] == 1
    assert book.scored.alarms == []
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    found = {key: amount for key, amount in book.leaves().items() if key[0] == "XX"}
    assert found == {("XX", "ftp", FEB, JAN): 81, ("XX", "ftp", FEB, FEB): 84}


def test_a_product_whose_overdraft_has_no_price_waits_too() -> None:
    book = Book([RATES[0], OVERDRAFT])
    book.tell(book.booked(-1_000, FIRST_DAY))
    assert book.told() == [
        ("quarantined", "no rate for CA on 2025-01-01; the first: there is none")
    ]


def test_a_rate_for_the_future_is_taken_and_no_ledger_is_walked() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 1, 20))
    book.scored.tell(rate("transfer_price", 2_000_000, on=date(2025, 1, 25)))
    book.scored.tell(rate("transfer_price", 730_000, on=date(2025, 1, 21)))
    assert list(book.scored.engine.restate(0)) == []
    book.close(date(2025, 1, 21), date(2025, 1, 25))
    book.scored.tell(RATES[0])  # said again: no news
    assert list(book.scored.engine.restate(0)) == []
    book.close(date(2025, 1, 26), date(2025, 1, 31))
    assert [alarm.split(": ")[1] for alarm in book.scored.alarms] == [
        "2000000 is not within -1000000 and 1000000",
    ]  # fmt: skip
    assert book.leaves() == {("CA", "ftp", JAN, JAN): 20 + 22}
    book.scored.restart()  # the rates that were taken stand in the state; refused ones do not
    assert book.leaves() == {("CA", "ftp", JAN, JAN): 20 + 22}


def test_rates_of_contacts_and_of_tax_are_not_the_ledgers_and_never_a_restatement() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    book.close(FIRST_DAY, FIRST_DAY + timedelta(days=40))
    known = len(book.scored.engine.rates)
    contact = RateSet(kind="cost_driver", driver_code="contact/phone", from_on=FIRST_DAY, value=5,
                      currency="CNY")  # fmt: skip
    tax = RateSet(kind="tax", from_on=FIRST_DAY, value=250_000)
    for n, fact in enumerate((contact, tax)):
        reference.tell(book.scored.engine, event_of(fact, f"late-{n}", FIRST_DAY))
    assert len(book.scored.engine.rates) == known
    assert list(book.scored.engine.restate(0)) == []
    assert book.scored.alarms == []


def test_the_first_price_after_the_first_event_is_refused() -> None:
    book = Book([])
    book.tell(book.booked(1_000, FIRST_DAY))
    reference.tell(book.scored.engine, rate("transfer_price", 1, on=date(2026, 1, 1)))
    book.close(FIRST_DAY, FIRST_DAY)
    assert len(book.scored.alarms) == 1
    assert book.leaves() == {}


def test_a_change_beyond_the_kept_balances_is_booked_if_no_sign_can_turn_and_else_refused() -> None:
    book = Book()
    for n in range(6):
        book.tell(book.booked(1_000, FIRST_DAY + timedelta(days=20 * n)))
        book.close(FIRST_DAY + timedelta(days=20 * n), FIRST_DAY + timedelta(days=20 * n + 19))
    late = date(2025, 4, 30)
    book.tell(book.booked(0, late), book.booked(2_000, late, value_on=FIRST_DAY))
    assert book.told() == []
    book.tell(book.booked(-9_000, late, value_on=FIRST_DAY))
    assert book.told() == [("dead", "the balances of that day are no longer kept")]
    ftp = sum(book.leaves().values())
    assert ftp == 20 * (1 + 2 + 3 + 4 + 5 + 6) + 2 * 120


def test_the_same_log_is_refused_the_same_way_when_it_is_read_again_in_one_batch() -> None:
    """So a state that is made anew does not book what was beyond the kept balances."""
    live, anew = Book(), Book()
    events = [live.booked(1_000, FIRST_DAY)]
    for n in range(60):
        day = FIRST_DAY + timedelta(days=n)
        events += [live.booked(500 if n % 2 else -400, day), closed(day)]
    late = FIRST_DAY + timedelta(days=60)
    events.append(live.booked(-9_000, late, value_on=FIRST_DAY + timedelta(days=4)))
    for event in events:
        live.tell(event)
    anew.tell(*events)
    assert live.told() == anew.told() == [("dead", "the balances of that day are no longer kept")]
    assert live.leaves() == anew.leaves()


@pytest.mark.parametrize("version", range(RECORD_VERSION))
def test_a_record_of_another_version_is_refused_with_its_version(version: int) -> None:
    with pytest.raises(state.UnreadableState, match=f"version {version}, not {RECORD_VERSION}"):
        state.kind_of(bytes([version, 1]) + bytes(40))
