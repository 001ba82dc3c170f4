"""What an event is to the ledgers: its kind, its value day, its driver, the loan it is about.

An event whose day has no price waits: it is quarantined, shows as a difference, and is replayed
when the rate is there. It is never booked at zero.
"""

from datetime import date
from typing import Any

from services.scoring import rows as r
from services.scoring.books import AccountKey
from services.scoring.partition import Partition
from services.scoring.rate import grade_number
from services.scoring.scores import watching
from services.scoring.scores.contribution.rates import NEVER
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    CreditAnswerReceived,
    LoanGranted,
    TransactionBooked,
)
from shared.events.envelope import EVENT_CLASSES

Use = tuple[int, int, int, int]  # action, value day, driver, account row of the loan
UNUSED: Use = (r.PLAIN, 0, -1, -1)
OPENED, CLOSED, GRANTED, ANSWERED = (
    EVENT_CLASSES[fact]
    for fact in (AccountOpened, AccountClosed, LoanGranted, CreditAnswerReceived)
)
# Beside transactions, with prices or a model.
STEPPED = frozenset({OPENED, CLOSED, GRANTED, ANSWERED})
ACTIONS = {"fee": r.FEE, "interest_paid": r.PAID, "interest_received": r.RECEIVED,
            "loan_instalment": r.INSTALMENT}  # fmt: skip
_OF_LOANS = frozenset({r.RECEIVED, r.INSTALMENT})


def of_transaction(partition: Partition, data: TransactionBooked, day: int) -> Use | str:
    """The use, or why the event waits."""
    books = partition.books
    value_day = data.value_on.toordinal() if data.value_on else day
    driver, covered_from = books.rates.use(data.product_code, data.kind, data.channel_code)
    if min(day, value_day) < covered_from:
        return _no_rate(data.product_code, min(day, value_day), covered_from)
    action, loan = ACTIONS.get(data.kind, r.PLAIN), -1
    if data.loan_number is not None and action in _OF_LOANS:
        loan = partition.loan(data.customer_number, data.loan_number)
        if loan < 0:
            return f"loan {data.loan_number} is not known"
    return action, value_day, driver, loan


def of_fact(partition: Partition, event: Any, currency: str) -> tuple[Use, AccountKey, int] | str:
    """Use, account and amount of an opening, a closing, a loan or a grade; or why it waits. Empty:
    it has nothing to say here."""
    if type(event) is ANSWERED:
        return _of_answer(partition, event)
    data, day = event.data, event.businessdate.toordinal()
    rates = partition.books.rates
    if type(event) is CLOSED:
        known = partition.account_of(data.account_number)
        if known is None:  # else an opening that is replayed later would have no end
            return f"account {data.account_number} is not known"
        if known[0] != data.customer_number:
            return ""
        key, action, amount = known, r.CLOSED, 0
    elif type(event) is OPENED:
        key = (data.customer_number, data.account_number, data.product_code, data.currency, "")
        action, amount = r.OPENED, 0
    else:
        account = data.account_number or data.loan_number
        key = (data.customer_number, account, data.product_code, data.currency, data.loan_number)
        action, amount = r.GRANTED, -data.principal_minor
    if key[3] != currency:  # it has no ledger, but its closing is to find it
        return ((action, day, -1, -1), key, 0) if action == r.OPENED else ""
    covered_from = rates.covered_from(key[2])
    if rates.active and day < covered_from:
        return _no_rate(key[2], day, covered_from)
    return (action, day, -1, -1), key, amount


def _of_answer(partition: Partition, event: Any) -> tuple[Use, AccountKey, int] | str:
    """A grade as the amount, the second that it was told at as the driver; without an account it is
    of all that the customer has."""
    data, day = event.data, event.businessdate.toordinal()
    if data.grade is None:
        return ""
    key = (data.customer_number, "", "", "", "")
    if data.loan_number is not None:
        loan = partition.loan(data.customer_number, data.loan_number)
        if loan < 0:
            return f"loan {data.loan_number} is not known"
        key = partition.key_of(loan)
    second = max(int(event.time.timestamp()), 0)
    return (r.GRADED, day, second, -1), key, grade_number(data.grade)


def kind_of(event: Any) -> int:
    """What the fact is to the features of its account. An opening says its own day: what a bank
    loads when it goes live was opened long before."""
    if type(event) is OPENED:
        opened_on: date = event.data.opened_on
        return watching.OPENS | opened_on.toordinal() << watching.OPENED_SHIFT
    return watching.CLOSES if type(event) is CLOSED else 0


def is_watched(partition: Partition, event: Any) -> bool:
    """Is it about an account that a model of risk scores?"""
    if type(event) is OPENED:
        product, currency = event.data.product_code, event.data.currency
    elif type(event) is CLOSED:
        known = partition.account_of(event.data.account_number)
        if known is None:
            return False
        _, _, product, currency, _ = known
    else:
        return False
    return partition.set_of(product, currency) >= 0


def _no_rate(product: str, day: int, covered_from: int) -> str:
    begins = "there is none" if covered_from >= NEVER else f"{date.fromordinal(covered_from)}"
    return f"no rate for {product} on {date.fromordinal(day)}; the first: {begins}"
