"""The charge for capital: exposure x risk weight x capital ratio x hurdle rate, a day at a time."""

from datetime import date
from itertools import pairwise

import pytest

from services.scoring import state
from services.scoring.rate import DAY_MIN, Rate
from services.scoring.rows import LEDGER_FIELDS
from shared.events.bank import LoanGranted
from tests.ledger_bank import FIRST_DAY, event_of
from tests.unit.test_contribution_rules import FEB, JAN, RATES, Book, rate

# 73 % of the exposure by weight and ratio, 10 % of that a year: a fifth of a thousandth a day
CHARGED = [rate(kind, value, product="OD") for kind, value in (
    ("risk_weight", 7_300_000), ("capital_ratio", 100_000), ("hurdle_rate", 100_000))]  # fmt: skip


def test_an_overdraft_is_charged_for_its_capital_and_a_deposit_is_not() -> None:
    book = Book([*RATES, *CHARGED])
    book.tell(book.booked(-50_000, FIRST_DAY), book.booked(1_000, FIRST_DAY, account_number="2"))
    book.close(FIRST_DAY, date(2025, 2, 28))
    book.tell(book.booked(0, date(2025, 3, 1)))
    charges = {key: amount for key, amount in book.leaves().items() if key[1] == "capital"}
    assert charges == {("OD", "capital", JAN, JAN): -310, ("OD", "capital", FEB, FEB): -280}


def test_a_loan_is_charged_by_its_own_product_and_late_events_have_their_origin() -> None:
    of_loans = [rate(one.data.kind, one.data.value, product="LN") for one in CHARGED]
    book = Book([*RATES, rate("margin", 1, product="LN"), *of_loans])
    loan = LoanGranted(customer_number="C", loan_number="L", account_number="1",
                       product_code="LN", principal_minor=100_000, currency="CNY",
                       granted_on=FIRST_DAY)  # fmt: skip
    book.tell(event_of(loan, "loan-L", FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.tell(book.booked(-50_000, date(2025, 2, 11), value_on=date(2025, 1, 22),
                          kind="loan_instalment", loan_number="L"))  # fmt: skip
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    charges = {key: amount for key, amount in book.leaves().items() if key[1] == "capital"}
    assert charges == {
        ("LN", "capital", JAN, JAN): -620, ("LN", "capital", FEB, JAN): 100,
        ("LN", "capital", FEB, FEB): -280,
    }  # fmt: skip


def test_a_weight_of_days_behind_is_a_restatement() -> None:
    book = Book([*RATES, *CHARGED])
    book.tell(book.booked(-50_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.scored.tell(rate("risk_weight", 3_650_000, product="OD", on=date(2025, 1, 22)))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    charges = {key: amount for key, amount in book.leaves().items() if key[1] == "capital"}
    assert charges == {
        ("OD", "capital", JAN, JAN): -310, ("OD", "capital", FEB, JAN): 50,
        ("OD", "capital", FEB, FEB): -140,
    }  # fmt: skip
    assert not book.scored.alarms


@pytest.mark.parametrize(
    ("kind", "value", "fault"),
    [("risk_weight", 350_000, None), ("risk_weight", 350_050, "basis points"),
     ("risk_weight", 12_500_100, "not within"), ("capital_ratio", 250_100, "not within"),
     ("hurdle_rate", -100, "not within"), ("hurdle_rate", 99_999, "basis points")],
)  # fmt: skip
def test_what_cannot_be_exact_is_refused(kind: str, value: int, fault: str | None) -> None:
    found = Rate("k", kind, "OD", "", FIRST_DAY.toordinal(), value).fault()  # type: ignore[arg-type]
    assert fault in found if fault and found else found is fault


def test_the_greatest_rates_of_the_last_day_there_is_keep_their_prefix_sums() -> None:
    book = Book([*RATES, rate("pd", 10**6, product="OD"), rate("lgd", 10**6, product="OD")])
    rates = book.scored.engine.partition(0).books.rates
    for kind, value in (("risk_weight", 12_500_000), ("capital_ratio", 250_000),
                        ("hurdle_rate", 500_000)):  # fmt: skip
        for day in (DAY_MIN, date.max.toordinal()):
            rates.take(Rate(f"{kind}-{day}", kind, "OD", "", day, value))  # type: ignore[arg-type]
    steps = rates.tables().steps.tolist()
    charged = 12_500_000 * 250_000 * 500_000 // 10**6
    assert max(total for _, _, total in steps) == (date.max.toordinal() - DAY_MIN) * charged


def test_a_record_leaves_out_what_an_account_has_not() -> None:
    lengths = []
    for rates, amount in ((RATES, 50_000), (RATES, -50_000), ([*RATES, *CHARGED], -50_000)):
        book = Book(rates)
        book.tell(book.booked(amount, FIRST_DAY))
        book.close(FIRST_DAY, date(2025, 2, 1))
        book.tell(book.booked(0, date(2025, 2, 2)))
        partition = book.scored.engine.partition(0)
        before = partition.books.ledgers[0].tolist()
        ((_, value),) = partition.records(partition.customers["offset"][:1] * 0)
        (account,), _ = state.accounts_at(value or b"")
        assert list(account.ledger) == before
        assert len(account.ledger) == len(LEDGER_FIELDS)
        lengths.append(len(value or b"") // 8)
    assert [after - before for before, after in pairwise(lengths)] == [3, 6]
