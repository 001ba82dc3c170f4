"""One simulated day's events: every booking changes a balance, in the order of the day."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Literal
from zoneinfo import ZoneInfo

from deploy.bank import places
from deploy.bank.people import Account, Customer
from shared.events import Event, Fact, wrap
from shared.events.bank import Counterparty, TransactionBooked

OTHER_BANKS = ("102", "103", "104", "105", "301", "308", "309", "403")
ZONE = ZoneInfo("Asia/Shanghai")

Kind = Literal[
    "cash_in", "cash_out", "card", "transfer_in", "transfer_out", "interest_paid",
    "interest_received", "fee", "loan_instalment",
]  # fmt: skip
By = Literal["customer", "bank"]
Action = Callable[..., None]


@dataclass(slots=True)
class Counters:
    """Native numbers of the simulated bank; they go on from history into live."""

    transaction: int = 0
    record: int = 0


@dataclass(slots=True)
class Day:
    """A day under way: actions wait for their second, then book in that order."""

    on: date
    rng: Random
    counters: Counters
    events: list[Event[Any]] = field(default_factory=list)
    actions: list[tuple[int, Action, tuple[Any, ...]]] = field(default_factory=list)
    midnight: datetime = field(init=False)
    now: datetime = field(init=False)

    def __post_init__(self) -> None:
        local = datetime(self.on.year, self.on.month, self.on.day, tzinfo=ZONE)
        self.midnight = self.now = local.astimezone(UTC)

    def at(self, second: int, action: Action, *args: Any) -> None:
        self.actions.append((second, action, args))

    def run(self) -> None:
        """Actions in order of their second; those of one second in the order they came."""
        self.actions.sort(key=_second)
        for second, action, args in self.actions:
            self.now = self.midnight + timedelta(seconds=second)
            action(self, *args)
        self.actions.clear()

    def say(self, fact: Fact, event_id: str) -> None:
        self.events.append(
            wrap(fact, id=event_id, source=places.SOURCE, time=self.now, businessdate=self.on)
        )

    def next_id(self, kind: str) -> str:
        self.counters.record += 1
        return f"{kind}-{self.counters.record}"

    def book(
        self,
        customer: Customer,
        account: Account,
        amount_minor: int,
        kind: Kind,
        by: By,
        *,
        channel: str | None = None,
        purpose: str | None = None,
        loan_number: str | None = None,
        counterparty: Counterparty | None = None,
    ) -> None:
        """Books + or - minor units on an account; a zero books nothing."""
        if amount_minor == 0:
            return
        if account.booked_on != self.on:
            account.booked_on, account.booked_today = self.on, 0
        account.booked_today += 1
        account.balance_minor += amount_minor
        if by == "customer":
            customer.active_last_on = self.on
        self.counters.transaction += 1
        number = str(self.counters.transaction)
        fact = TransactionBooked(
            transaction_id=number,
            account_number=account.number,
            customer_number=customer.number,
            product_code=account.product_code,
            amount_minor=amount_minor,
            currency=places.CURRENCY,
            kind=kind,
            initiated_by=by,
            booked_on=self.on,
            value_on=self.on,
            channel_code=channel,
            branch_code=customer.branch.code,
            purpose_code=purpose,
            counterparty=counterparty,
            loan_number=loan_number,
            order_in_day=account.booked_today,
        )
        self.say(fact, f"txn-{number}")


def _second(waiting: tuple[int, Action, tuple[Any, ...]]) -> int:
    return waiting[0]


def outside_account(rng: Random) -> Counterparty:
    return Counterparty(
        bank_code=rng.choice(OTHER_BANKS), account_number=f"62{rng.randrange(10**14):014d}"
    )


# What customers do by themselves


def spend_or_receive(day: Day, customer: Customer) -> None:
    """One transaction that the customer initiates; balances drift back to the usual one."""
    rng = day.rng
    account = customer.current
    usual = max(customer.buffer_minor, 1)
    pull = account.balance_minor / usual
    base = customer.income_minor / (30 * customer.rate)
    if rng.random() < customer.share_in and not customer.income_stopped:
        base *= 1.0 if customer.firm or customer.pay_day is None else 0.15
        size = base / customer.share_in * min(max(2 - pull, 0.3), 2.0)
        receive(day, customer, int(size * rng.lognormvariate(-0.32, 0.8)))
        return
    size = base / (1 - customer.share_in) * 0.9 * min(max(pull, 0.12), 2.5)
    amount = int(size * rng.lognormvariate(-0.4, 0.9))
    room = max(account.balance_minor + customer.overdraft_minor, 0)
    if not customer.overdraft_minor:
        room = room // 4  # nobody spends more of what he has at once, by habit
    pay(day, customer, min(max(amount, 500), room))


def receive(day: Day, customer: Customer, amount: int) -> None:
    rng, account = day.rng, customer.current
    if rng.random() < (0.1 if customer.firm else 0.3):
        whole = max(round(amount / 10_000), 1) * 10_000
        day.book(customer, account, whole, "cash_in", "customer", channel="counter")
        return
    purpose = "sales" if customer.firm else "transfer"
    day.book(
        customer, account, max(amount, 100), "transfer_in", "customer",
        channel="online", purpose=purpose, counterparty=outside_account(rng),
    )  # fmt: skip


def pay(day: Day, customer: Customer, amount: int) -> None:
    rng, account = day.rng, customer.current
    if amount < 100:
        return
    draw = rng.random()
    if customer.firm:
        if draw < 0.04 and amount >= 10_000:
            whole = amount // 10_000 * 10_000
            day.book(customer, account, -whole, "cash_out", "customer", channel="counter")
            return
        day.book(
            customer, account, -amount, "transfer_out", "customer", channel="online",
            purpose="purchase", counterparty=outside_account(rng),
        )  # fmt: skip
    elif draw < 0.64:
        channel = "mobile" if draw < 0.48 else "pos"
        purpose = rng.choice(("groceries", "dining", "travel", "shopping", "medical", "transport"))
        if channel == "mobile" and customer.wallet and customer.wallet.balance_minor >= amount:
            account = customer.wallet
        day.book(customer, account, -amount, "card", "customer", channel=channel, purpose=purpose)
    elif draw < 0.76 and amount >= 10_000:
        whole = min(amount // 10_000 * 10_000, 2_000_000)
        day.book(customer, account, -whole, "cash_out", "customer", channel="atm")
    else:
        day.book(
            customer, account, -amount, "transfer_out", "customer", channel="mobile",
            purpose="transfer", counterparty=outside_account(rng),
        )  # fmt: skip


def pay_day(day: Day, customer: Customer) -> None:
    """A person's wage arrives; a firm pays its staff."""
    amount = int(customer.income_minor * day.rng.uniform(0.95, 1.05))
    account = customer.current
    if not customer.firm:
        day.book(
            customer, account, amount, "transfer_in", "customer", channel="payroll",
            purpose="salary", counterparty=outside_account(day.rng),
        )  # fmt: skip
        return
    wages = min(amount // 6, account.balance_minor // 5)
    if wages > 0:
        day.book(
            customer, account, -wages, "transfer_out", "customer", channel="payroll",
            purpose="wages",
        )  # fmt: skip
