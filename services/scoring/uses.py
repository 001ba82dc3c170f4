"""What an event is to the ledgers: its kind, its value day, its driver, the loan it is about.

An event whose day has no price waits: it is quarantined, shows as a difference, and is replayed
when the rate is there. It is never booked at zero.
"""

from datetime import date
from typing import Any

from services.scoring import rows as r
from services.scoring.books import AccountKey
from services.scoring.partition import LAST_OFFSET, Partition
from services.scoring.rate import grade_number
from services.scoring.records import Delivered
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
# Beside transactions; what of it a bank without prices steps: `is_stepped`.
STEPPED = frozenset({OPENED, CLOSED, GRANTED, ANSWERED})
ACTIONS = {"fee": r.FEE, "interest_paid": r.PAID, "interest_received": r.RECEIVED,
            "loan_instalment": r.INSTALMENT}  # fmt: skip
_OF_LOANS = frozenset({r.RECEIVED, r.INSTALMENT})


def of_transaction(
    partition: Partition, data: TransactionBooked, day: int, record: Delivered
) -> Use | str:
    """The use, or why the event waits."""
    books = partition.books
    value_day = data.value_on.toordinal() if data.value_on else day
    driver, covered_from = books.rates.use(data.product_code, data.kind, data.channel_code)
    if min(day, value_day) < covered_from:
        return _no_rate(data.product_code, min(day, value_day), covered_from)
    action, loan = ACTIONS.get(data.kind, r.PLAIN), -1
    if data.loan_number is not None and action in _OF_LOANS:
        loan = partition.loan(data.customer_number, data.loan_number, _through(record))
        if loan < 0:
            return f"loan {data.loan_number} is not known"
    return action, value_day, driver, loan


def of_fact(
    partition: Partition, event: Any, currency: str, record: Delivered
) -> tuple[Use, AccountKey, int] | str:
    """Use, account and amount of an opening, a closing, a loan or a grade; or why it waits. Empty:
    it has nothing to say here."""
    if type(event) is ANSWERED:
        return _of_answer(partition, event, record)
    data, day = event.data, event.businessdate.toordinal()
    rates = partition.books.rates
    if type(event) is CLOSED:
        closed = _account_closed(partition, data, record)
        if isinstance(closed, str):
            return closed
        key, action, amount = closed, r.CLOSED, 0
    elif type(event) is OPENED:
        key = (data.customer_number, data.account_number, data.product_code, data.currency, "")
        action, amount = r.OPENED, 0
    else:
        account = data.account_number or data.loan_number
        key = (data.customer_number, account, data.product_code, data.currency, data.loan_number)
        action, amount = r.GRANTED, -data.principal_minor
    if key[3] != currency:  # it has no ledger, but it is an account
        return ((action, day, -1, -1), key, 0) if action != r.GRANTED else ""
    covered_from = rates.covered_from(key[2])
    if rates.active and day < covered_from:
        return _no_rate(key[2], day, covered_from)
    return (action, day, -1, -1), key, amount


def _account_closed(partition: Partition, data: Any, record: Delivered) -> AccountKey | str:
    """The one account that a closing ends. Several are told apart by the product and the currency
    that it names, and by nothing else: what is open may be told otherwise in another batch."""
    found = _may_close(partition, data, record)
    if not found:  # else an opening that is replayed later would have no end
        named = filter(None, (data.account_number, data.product_code, data.currency))
        return f"account {' '.join(named)} is not known"
    if len(found) > 1 and not _is_met(partition, data.customer_number, record):
        several = ", ".join(sorted(f"{product} {currency}" for _, _, product, currency, _ in found))
        return (
            f"account {data.account_number} is {several}:"
            " its closing must say product_code and currency"
        )
    return found[0]


def _may_close(partition: Partition, data: Any, record: Delivered) -> list[AccountKey]:
    """The owner's accounts of the number before a closing, of what it names."""
    known = partition.accounts_of(data.customer_number, data.account_number, _through(record))
    return [
        key for key in known
        if data.product_code in (None, key[2]) and data.currency in (None, key[3])
    ]  # fmt: skip


def _is_met(partition: Partition, customer_number: str, record: Delivered) -> bool:
    """Was it stepped before? Then its account was settled by what was known at that time."""
    c, sequence = partition.customers[partition.row(customer_number)], _sequence(record)
    if sequence:
        return bool(c["input_sequence"] >= sequence)
    return bool(c["offset"] >= record.offset)


def _through(record: Delivered) -> int:
    """An event at its own place knows of no account or loan behind it, wherever its batch is cut;
    an input knows of all."""
    return LAST_OFFSET if _sequence(record) else record.offset


def _sequence(record: Delivered) -> int:
    """Of an input; 0: it is an event at its own place."""
    return int(getattr(record, "sequence", 0))


def _of_answer(
    partition: Partition, event: Any, record: Delivered
) -> tuple[Use, AccountKey, int] | str:
    """A grade as the amount, the second that it was told at as the driver; without an account it is
    of all that the customer has."""
    data, day = event.data, event.businessdate.toordinal()
    if data.grade is None:
        return ""
    key = (data.customer_number, "", "", "", "")
    if data.loan_number is not None:
        loan = partition.loan(data.customer_number, data.loan_number, _through(record))
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


def is_stepped(partition: Partition, event: Any, record: Delivered) -> bool:
    """Whether it changes anything here. In a bank without prices a loan and a grade do not, nor
    does a closing that does not say which account it ends, unless one of them is watched."""
    if partition.books.rates.active or type(event) is OPENED:
        return type(event) in STEPPED
    if type(event) is not CLOSED:
        return False
    found = _may_close(partition, event.data, record)
    return len(found) == 1 or any(partition.set_of(key[2], key[3]) >= 0 for key in found)


def _no_rate(product: str, day: int, covered_from: int) -> str:
    begins = "there is none" if covered_from >= NEVER else f"{date.fromordinal(covered_from)}"
    return f"no rate for {product} on {date.fromordinal(day)}; the first: {begins}"
