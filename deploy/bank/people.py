"""The simulated customers: who they are, what they hold, how they live, how it will end.

Draws use floating point; what reaches an event is always an integer of minor units.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Literal

from deploy.bank import numbers, places
from deploy.bank.places import Branch

FateKind = Literal["leaves", "outflow", "distress"]

SHARE_OF_FIRMS = 0.15
_YEARLY_HAZARD: tuple[tuple[FateKind, float], ...] = (
    ("leaves", 0.13),
    ("outflow", 0.10),
    ("distress", 0.20),
)
_RATE_OF_LEAVERS_MIN = 0.08  # below it a silence of months is the customer's habit
_BUFFER_OF_OUTFLOWS_MIN_MINOR = 2_000_000
# Every other person who pays this often has a wallet, which is filled up once a month; of who pays
# less a month without a payment says nothing.
_WALLET_EVERY, _RATE_OF_WALLETS_MIN = 2, 0.15


@dataclass(slots=True)
class Account:
    """One account; `bookings` is the counter behind order_in_day."""

    number: str
    product_code: str
    balance_minor: int = 0
    booked_today: int = 0
    booked_on: date | None = None


@dataclass(slots=True)
class Loan:
    """A running loan, paid from the customer's current account."""

    number: str
    product_code: str
    principal_minor: int
    months: int
    months_left: int
    instalment_minor: int
    due_day: int
    granted_on: date
    overdue_minor: int = 0
    overdue_since: date | None = None
    missed: int = 0


@dataclass(slots=True)
class StandingOrder:
    """A fixed monthly payment; the bank executes it without the customer."""

    id: str
    purpose_code: str
    amount_minor: int
    day: int
    to_account: str


@dataclass(slots=True)
class Fate:
    """What happens to a customer for good: dates of its beginning and of its fact."""

    kind: FateKind
    from_on: date
    on: date
    share: float = 0.0  # of the balance that leaves


@dataclass(slots=True)
class Customer:
    """One customer number. Rates are events per day; money is minor units."""

    index: int
    number: str
    firm: bool
    joined_on: date
    branch: Branch
    manager_code: str
    current: Account
    rate: float  # of transactions that the customer initiates
    share_in: float  # of them that bring money in
    income_minor: int  # a month
    pay_day: int | None
    buffer_minor: int  # the balance that the customer drifts back to
    contact_rate: float
    term: Account | None = None
    wallet: Account | None = None
    loan: Loan | None = None
    orders: list[StandingOrder] = field(default_factory=list)
    sms_fee: bool = False
    fate: Fate | None = None
    paused_until: date | None = None
    overdraft_minor: int = 0
    income_stopped: bool = False
    gone: bool = False
    active_last_on: date | None = None  # last transaction that the customer initiated


@dataclass(frozen=True, slots=True)
class Habits:
    """How a customer lives; the fields are Customer's."""

    rate: float
    share_in: float
    income_minor: int
    pay_day: int | None
    buffer_minor: int
    contact_rate: float
    sms_fee: bool


def draw_customer(
    rng: Random, index: int, branches: tuple[Branch, ...], joined_on: date, first_on: date
) -> Customer:
    """A customer with accounts, income and habits; the same draws give the same customer."""
    old = joined_on < first_on
    firm = rng.random() < SHARE_OF_FIRMS
    number = numbers.customer_number(numbers.FIRM if firm else numbers.PERSON, index + 1)
    branch = rng.choice(branches)
    product = places.CURRENT_FIRM if firm else places.CURRENT_PERSON
    manager_code = rng.choices(branch.manager_codes, weights=places.MANAGER_WEIGHTS)[0]
    habits = _firm_habits(rng) if firm else _person_habits(rng)
    customer = Customer(
        index=index,
        number=number,
        firm=firm,
        joined_on=joined_on,
        branch=branch,
        manager_code=manager_code,
        current=Account(numbers.account_number(number, 1), product),
        rate=habits.rate,
        share_in=habits.share_in,
        income_minor=habits.income_minor,
        pay_day=habits.pay_day,
        buffer_minor=habits.buffer_minor,
        contact_rate=habits.contact_rate,
        sms_fee=habits.sms_fee,
    )
    customer.current.balance_minor = int(customer.buffer_minor * rng.uniform(0.7, 1.3))
    if rng.random() < (0.10 if firm else 0.22):
        customer.term = _term_deposit(rng, customer)
    if not firm and index % _WALLET_EVERY == 0 and habits.rate >= _RATE_OF_WALLETS_MIN:
        customer.wallet = Account(numbers.account_number(number, 3), places.WALLET)
    if rng.random() < (0.34 if firm else 0.20):
        customer.loan = _loan(rng, customer, first_on if old else joined_on, old=old)
    customer.orders = _standing_orders(rng, customer)
    customer.fate = _fate(rng, customer, first_on)
    return customer


def _person_habits(rng: Random) -> Habits:
    salaried = rng.random() < 0.72
    income = int(100 * min(rng.lognormvariate(9.1, 0.55), 150_000))
    return Habits(
        rate=0.045 + rng.gammavariate(1.6, 0.085),
        share_in=0.06 if salaried else 0.30,
        income_minor=income,
        pay_day=rng.choice((5, 8, 10, 10, 15, 15, 20, 25)) if salaried else None,
        buffer_minor=int(income * rng.lognormvariate(1.3, 0.5)),
        contact_rate=0.004 * rng.gammavariate(1.0, 1.0),
        sms_fee=rng.random() < 0.6,
    )


def _firm_habits(rng: Random) -> Habits:
    income = int(100 * min(rng.lognormvariate(12.6, 1.0), 30_000_000))
    return Habits(
        rate=0.10 + rng.gammavariate(1.5, 0.32),
        share_in=0.38,
        income_minor=income,
        pay_day=rng.choice((5, 8, 10, 15, 20)),
        buffer_minor=int(income * rng.lognormvariate(0.9, 0.5)),
        contact_rate=0.010 * rng.gammavariate(1.2, 1.0),
        sms_fee=True,
    )


def _term_deposit(rng: Random, customer: Customer) -> Account:
    product = places.TERM_FIRM if customer.firm else places.TERM_PERSON
    amount = max(1, round(customer.income_minor * rng.uniform(1, 9) / 1_000_000)) * 1_000_000
    return Account(numbers.account_number(customer.number, 2), product, balance_minor=amount)


def _loan(rng: Random, customer: Customer, on: date, *, old: bool) -> Loan:
    if customer.firm:
        product, months = places.LOAN_WORKING, rng.choice((12, 24, 36))
    elif rng.random() < 0.45:
        product, months = places.LOAN_HOME, rng.choice((180, 240, 300, 360))
    else:
        product, months = places.LOAN_CONSUMER, rng.choice((12, 24, 36, 60))
    instalment = max(int(customer.income_minor * rng.uniform(0.08, 0.30)) // 100 * 100, 10_000)
    age = rng.randrange(1, max(2, months // 2)) if old else 0
    return Loan(
        number=f"{product[-1]}{customer.number[1:]}01",
        product_code=product,
        principal_minor=instalment * months * 9 // 10 // 100_000 * 100_000 or 100_000,
        months=months,
        months_left=months - age,
        instalment_minor=instalment,
        due_day=rng.randrange(1, 29),
        granted_on=on - timedelta(days=30 * age),
    )


def _standing_orders(rng: Random, customer: Customer) -> list[StandingOrder]:
    kinds = (("rent", 0.20), ("utilities", 0.35), ("insurance", 0.18))
    wanted = (("rent", 0.55), ("social_insurance", 0.75)) if customer.firm else kinds
    return [
        StandingOrder(
            id=f"{customer.number[1:]}{place}",
            purpose_code=purpose,
            amount_minor=max(5_000, int(customer.income_minor * rng.uniform(0.01, 0.08))),
            day=rng.randrange(1, 29),
            to_account=f"6228{rng.randrange(10**12):012d}",
        )
        for place, (purpose, share) in enumerate(wanted, start=1)
        if rng.random() < share
    ]


def _fate(rng: Random, customer: Customer, first_on: date) -> Fate | None:
    """The earliest of what may happen; dates far beyond the history are normal."""
    start = max(customer.joined_on, first_on)
    drawn: list[Fate] = []
    for kind, hazard in _YEARLY_HAZARD:
        wait_days = 20 + int(min(rng.expovariate(hazard) * 365, 36_500))
        fade_days = rng.randrange(4, 22)
        share = rng.uniform(0.65, 0.95)
        if kind == "leaves" and customer.rate < _RATE_OF_LEAVERS_MIN:
            continue
        if kind == "outflow" and customer.buffer_minor < _BUFFER_OF_OUTFLOWS_MIN_MINOR:
            continue
        if kind == "distress" and customer.loan is None:
            continue
        from_on = start + timedelta(days=wait_days)
        on = from_on if kind == "outflow" else from_on + timedelta(days=fade_days)
        drawn.append(Fate(kind, from_on, on, share))
    return min(drawn, key=lambda fate: fate.from_on, default=None)
