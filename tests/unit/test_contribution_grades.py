"""PD and LGD by grade: a day's loss goes by the grade that holds on it, whenever it was told."""

from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from services.scoring import state, uses
from services.scoring.partition import Partition
from services.scoring.rate import Rate
from shared.events import Event, wrap
from shared.events.bank import CreditAnswerReceived, LoanGranted, RateSet
from tests.golden import day_by_day
from tests.ledger_bank import FIRST_DAY, Bank, event_of, plain, random_bank, stream
from tests.scored import Scored, digest_of
from tests.unit.test_contribution_rules import FEB, JAN, RATES, Book, rate
from tests.workers import SOURCE, instant


def graded(kind: str, value: int, grade: str, product: str = "OD",
           on: date = FIRST_DAY) -> Event[Any]:  # fmt: skip
    fact = RateSet(kind=kind, product_code=product, from_on=on, value=value, grade_code=grade)  # type: ignore[arg-type]
    return event_of(fact, f"rate-{fact.entry}-{value}", FIRST_DAY)


def answer(name: str, grade: str | None, day: date, *, loan: str | None = None,
           second: int = 0) -> Event[Any]:  # fmt: skip
    fact = CreditAnswerReceived(customer_number="C", answer_id=name, what="bureau", grade=grade,
                                loan_number=loan)  # fmt: skip
    return wrap(fact, id=f"answer-{name}", source=SOURCE, businessdate=day,
                time=instant(day) + timedelta(seconds=second))  # fmt: skip


# Everything is lost of who defaults. A thousandth a day; of grade A nothing, of D three of them.
LOSSES = [*RATES, rate("pd", 365_000, product="OD"), rate("lgd", 1_000_000, product="OD"),
          graded("pd", 0, "A"), graded("pd", 1_000_000, "D"), graded("lgd", 1_000_000, "D"),
          rate("margin", 0, product="LN"), rate("pd", 365_000, product="LN"),
          rate("lgd", 1_000_000, product="LN"), graded("pd", 730_000, "D", "LN")]  # fmt: skip


def lost(book: Book) -> dict[tuple[str, str, str], int]:
    return {(product, period, origin): amount
            for (product, component, period, origin), amount in book.leaves().items()
            if component == "el"}  # fmt: skip


def test_a_grade_holds_from_its_day_on_and_one_without_a_rate_is_the_product_s() -> None:
    book = Book(LOSSES)
    book.tell(book.booked(-365_000, FIRST_DAY), answer("1", "A", date(2025, 1, 11)))
    book.close(FIRST_DAY, date(2025, 1, 20))
    book.tell(answer("2", "D", date(2025, 1, 21)), answer("3", None, date(2025, 1, 22)))
    book.close(date(2025, 1, 21), date(2025, 1, 25))
    book.tell(answer("4", "BBB", date(2025, 1, 26)))
    book.close(date(2025, 1, 26), date(2025, 1, 31))
    assert lost(book) == {("OD", JAN, JAN): -(10 * 365 + 0 + 5 * 1000 + 6 * 365)}
    assert not book.scored.refused


@pytest.mark.parametrize("order", [1, -1])
def test_grades_that_differ_by_a_plus_have_rates_of_their_own(order: int) -> None:
    pair = [graded("pd", 0, "A"), graded("pd", 1_000_000, "A+")][::order]
    book = Book([*RATES, *LOSSES[len(RATES) : len(RATES) + 2], *pair])
    book.tell(book.booked(-365_000, FIRST_DAY), answer("1", "A", date(2025, 1, 11)),
              answer("2", "A+", date(2025, 1, 21)))  # fmt: skip
    book.close(FIRST_DAY, date(2025, 1, 25))
    book.scored.restart()
    book.close(date(2025, 1, 26), date(2025, 1, 31))
    assert lost(book) == {("OD", JAN, JAN): -(10 * 365 + 0 + 11 * 1000)}


def test_a_grade_that_comes_late_leaves_a_closed_month_and_has_its_origin() -> None:
    book = Book(LOSSES)
    book.tell(book.booked(-365_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    late = answer("1", "D", date(2025, 1, 22))
    book.tell(late, late)
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    book.scored.restart()
    book.tell(book.booked(0, date(2025, 3, 1)))
    assert lost(book) == {
        ("OD", JAN, JAN): -31 * 365, ("OD", FEB, JAN): -10 * 635, ("OD", FEB, FEB): -28 * 1000,
    }  # fmt: skip


def test_of_one_day_what_was_told_later_holds_whichever_comes_first() -> None:
    told = [answer("1", "D", date(2025, 1, 11), second=5),
            answer("2", "A", date(2025, 1, 11), second=9)]  # fmt: skip
    for events in (told, told[::-1]):
        book = Book(LOSSES)
        book.tell(book.booked(-365_000, FIRST_DAY), *events)
        book.close(FIRST_DAY, date(2025, 1, 31))
        assert lost(book) == {("OD", JAN, JAN): -10 * 365}


def test_a_grade_of_a_loan_is_not_of_the_account_and_one_of_the_customer_is_of_both() -> None:
    book = Book(LOSSES)
    loan = LoanGranted(customer_number="C", loan_number="L", account_number="1",
                       product_code="LN", principal_minor=365_000, currency="CNY",
                       granted_on=date(2025, 1, 11))  # fmt: skip
    book.tell(answer("0", "D", date(2025, 1, 11), loan="L"))  # waits: nobody knows the loan yet
    book.tell(answer("1", "A", FIRST_DAY), book.booked(-365_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 1, 12))
    book.tell(event_of(loan, "loan-L", date(2025, 1, 11)))  # late: its days have their grades
    book.tell(answer("2", "D", date(2025, 1, 21), loan="L"), answer("3", "B", date(2025, 1, 26)))
    book.close(date(2025, 1, 13), date(2025, 1, 31))
    assert book.told() == [("quarantined", "loan L is not known")]
    # A has no rate for loans; D has for both; B for neither.
    assert lost(book) == {
        ("OD", JAN, JAN): -6 * 365, ("LN", JAN, JAN): -(10 * 365 + 5 * 730 + 6 * 365),
    }  # fmt: skip


def test_a_customer_is_graded_before_he_has_an_account() -> None:
    book = Book(LOSSES)
    book.tell(answer("1", "D", FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 1, 10))
    book.scored.restart()
    book.tell(book.booked(-365_000, date(2025, 1, 11), value_on=date(2025, 1, 6)))
    book.close(date(2025, 1, 11), date(2025, 1, 31))
    assert lost(book) == {("OD", JAN, JAN): -26 * 1000}


def test_a_grade_before_the_kept_balances_is_refused_and_changes_nothing() -> None:
    book = Book(LOSSES)
    book.tell(book.booked(-365_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.tell(answer("1", "D", date(2025, 1, 10)), answer("2", "D", date(2025, 2, 11)))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    assert [(r.kind, r.reason, r.type) for r in book.scored.refused] == [
        ("dead", "the balances of that day are no longer kept", CreditAnswerReceived.TYPE)
    ]
    assert sum(lost(book).values()) == -(41 * 365 + 18 * 1000)


def test_a_rate_of_a_grade_for_days_behind_is_a_restatement() -> None:
    book = Book(LOSSES)
    book.tell(book.booked(-365_000, FIRST_DAY), answer("1", "E", date(2025, 1, 11)))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.scored.tell(graded("pd", 1_000_000, "E", on=date(2025, 1, 22)))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    book.scored.restart()
    assert lost(book) == {
        ("OD", JAN, JAN): -31 * 365, ("OD", FEB, JAN): -10 * 635, ("OD", FEB, FEB): -28 * 1000,
    }  # fmt: skip
    assert not book.scored.alarms


def test_without_prices_an_answer_says_nothing_here() -> None:
    book = Book([])
    book.tell(answer("1", "D", FIRST_DAY))
    assert book.scored.engine.partition(0).numbers.find(b"C") < 0


@pytest.mark.parametrize(
    ("kind", "product", "grade", "fault"),
    [("transfer_price", "OD", "A", "is not of a grade"), ("pd", "", "A", "is of a product"),
     ("risk_weight", "", "", "is of a product"), ("lgd", "OD", "A", None)],
)  # fmt: skip
def test_a_rate_that_no_ledger_could_find_is_refused(
    kind: Any, product: str, grade: str, fault: str | None
) -> None:
    found = Rate("k", kind, product, "", FIRST_DAY.toordinal(), 100, grade=grade).fault()
    assert fault in found if fault and found else found is fault


def test_a_record_keeps_the_grades_and_names_their_loans() -> None:
    made = random_bank(3)
    one = Scored(made).run(stream(made, Random(3)), 50)
    kept = {}
    for key, value in one._log[0]:
        found = state.unpack(key, value) if value else None
        if isinstance(found, state.CustomerState):
            kept[found.customer_number] = found.grades
    told: dict[str, set[tuple[str, int]]] = {}
    for _, event in made.events:
        if isinstance(event.data, CreditAnswerReceived):
            day = event.businessdate.toordinal()
            told.setdefault(event.data.customer_number, set()).add(
                (event.data.loan_number or "", day)
            )
    assert {number: {(loan, code >> 36) for loan, code, _ in grades}
            for number, grades in kept.items() if grades} == told  # fmt: skip
    assert any(loan for grades in told.values() for loan, _ in grades)


def test_the_hash_of_a_state_is_the_same_by_other_batches_and_knows_the_grades() -> None:
    bank = random_bank(6)

    def hashed(size: int, restart_every: int = 0) -> str:
        one = Scored(bank).run(stream(bank, Random(0)), size, restart_every)
        return digest_of(one).text

    quiet = hashed(5_000)
    assert hashed(7, restart_every=5) == quiet
    lacking = next(told for told in bank.events if isinstance(told[1].data, CreditAnswerReceived))
    bank.events.remove(lacking)
    assert hashed(5_000) != quiet


def are_those_of_the_loop(bank: Bank) -> bool:
    last = FIRST_DAY + timedelta(days=bank.days - 1)
    truth = day_by_day.leaves(plain(bank.rates), plain([e for _, e in bank.events]), last)
    return Scored(bank).run(stream(bank, Random(1)), 20).sums() == truth


def test_the_negative_control_a_late_grade_that_corrects_nothing_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank, of_answer = random_bank(0), uses._of_answer
    assert are_those_of_the_loop(bank)

    def as_of_now(partition: Partition, event: Any, record: Any) -> Any:
        found = of_answer(partition, event, record)
        if isinstance(found, str):
            return found
        (action, day, second, loan), key, grade = found
        return (action, max(day, partition.closes.watermark + 1), second, loan), key, grade

    monkeypatch.setattr(uses, "_of_answer", as_of_now)
    assert not are_those_of_the_loop(bank)


def test_the_negative_control_grades_that_nobody_knows_fail(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uses, "grade_number", lambda code: 1)
    assert not are_those_of_the_loop(random_bank(0))
