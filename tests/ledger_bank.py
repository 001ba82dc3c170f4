"""A small random bank with prices, and the scorer's engine fed with it in any order and split.

Every event has a slot: the day after whose close of the day before, and before whose own close, it
is published. A slot after its day is late. What may differ between two runs of one bank: the order
inside a slot, the slot of what is in time, the split into batches, partitions, restarts, repeats.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from random import Random
from typing import Any

from services.scoring.rate import BASIS_POINT, CAPITAL
from services.scoring.scores.contribution.ledger import HISTORY_DAYS
from shared.events import Event, Fact, wrap
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    CreditAnswerReceived,
    DayClosed,
    LoanGranted,
    ProductDescribed,
    RateSet,
    TransactionBooked,
)
from shared.events.envelope import encode
from tests.workers import SOURCE, closed, instant

FIRST_DAY = date(2025, 1, 1)
CURRENCY = "CNY"
KINDS = ("cash_in", "cash_out", "card", "transfer_in", "transfer_out", "fee", "interest_paid",
         "interest_received")  # fmt: skip
PRICED = (("transfer_price", "CA"), ("transfer_price", "OD"), ("pd", "OD"), ("lgd", "OD"),
          ("transfer_price", "SA"), ("customer_rate", "SA"), ("pd", "SA"), ("lgd", "SA"),
          ("margin", "LN"), ("pd", "LN"), ("lgd", "LN"))  # fmt: skip
GRADED = tuple((kind, product, grade) for product in ("OD", "LN") for kind, grade in (
    ("pd", "A"), ("pd", "B"), ("lgd", "B"), ("lgd", "C")))  # fmt: skip
GRADES = ("A", "B", "C", "Z")  # the last has no rate
CHARGED = tuple((kind, product) for product in ("OD", "LN") for kind in CAPITAL)
LATE_DAYS = 25  # within what the ledgers keep
PRODUCTS = ("CA", "SA")  # a current account has an overdraft product, a savings account has none


@dataclass
class Bank:
    """Events with their slots (days from the first), rates, and how many days were closed."""

    events: list[tuple[int, Event[Any]]] = field(default_factory=list)
    rates: list[Event[Any]] = field(default_factory=list)
    days: int = 0


def event_of(fact: Fact, name: str, day: date) -> Event[Any]:
    return wrap(fact, id=name, source=SOURCE, time=instant(day), businessdate=day)


def rates(rng: Random, days: int) -> list[Event[Any]]:
    """Prices of all products from the first day, some of them changed once or twice."""
    found: list[Event[Any]] = []
    bounds = {"transfer_price": 200_000, "customer_rate": 50_000, "margin": 60_000,
              "pd": 400_000, "lgd": 900_000}  # fmt: skip
    for kind, product in PRICED:
        for offset in {0, *rng.sample(range(1, days), rng.randrange(3))}:
            on = FIRST_DAY + timedelta(days=offset)
            fact = RateSet(kind=kind, product_code=product, from_on=on,  # type: ignore[arg-type]
                           value=rng.randrange(1, bounds[kind]))  # fmt: skip
            found.append(event_of(fact, f"rate-{fact.entry}", FIRST_DAY))
    for driver in (*KINDS, "loan_instalment", "account_day"):
        for offset in {0, *rng.sample(range(1, days), rng.randrange(2))}:
            on = FIRST_DAY + timedelta(days=offset)
            cost = RateSet(kind="cost_driver", driver_code=driver, from_on=on, currency=CURRENCY,
                           value=rng.randrange(1, 2_000))  # fmt: skip
            found.append(event_of(cost, f"rate-{cost.entry}", FIRST_DAY))
    names = {"zh-CN": "活期", "en": "Current"}
    product = ProductDescribed(product_code="CA", names=names, line_code="liability",
                               overdraft_product_code="OD")  # fmt: skip
    return [*found, event_of(product, "product-CA", FIRST_DAY)]


def random_bank(seed: int, *, days: int = 75, events: int = 60, late: bool = True) -> Bank:
    """Three customers; an account of each product and a loan for some of them."""
    rng = Random(seed)
    bank = Bank(rates=rates(rng, days), days=days)
    accounts = [(f"C{c}", f"{10 * c + n}", product)
                for c in range(3) for n, product in enumerate(PRODUCTS)]  # fmt: skip
    loans = {customer: f"L{customer}" for customer in ("C0", "C1")}
    for customer, loan in loans.items():
        granted = LoanGranted(
            customer_number=customer, loan_number=loan, account_number=f"{10 * int(customer[1:])}",
            product_code="LN", principal_minor=rng.randrange(1, 10**9), currency=CURRENCY,
            granted_on=FIRST_DAY,
        )  # fmt: skip
        bank.events.append((0, event_of(granted, f"loan-{loan}", FIRST_DAY)))
    for customer, account, product in accounts:
        day = FIRST_DAY + timedelta(days=rng.randrange(10))
        opened = AccountOpened(customer_number=customer, account_number=account, opened_on=day,
                               product_code=product, currency=CURRENCY)  # fmt: skip
        bank.events.append(((day - FIRST_DAY).days, event_of(opened, f"acct-{account}", day)))
    for n in range(events):
        _transaction(bank, rng, n, *rng.choice(accounts), loans, late=late)
    ended = FIRST_DAY + timedelta(days=rng.randrange(20, days - 1))
    fact = AccountClosed(customer_number="C2", account_number="21", closed_on=ended)
    bank.events.append(((ended - FIRST_DAY).days, event_of(fact, "closed-21", ended)))
    bank.rates += [*_of_capital(rng, days), *_of_grades(rng, days)]
    for n in range(8):
        _grade(bank, rng, n, loans)
    return bank


def with_emptied(bank: Bank, seed: int) -> Bank:
    """And accounts that are emptied from a day that is closed already, and never heard of again."""
    rng, events = Random(seed), list(bank.events)
    for n, product in enumerate(PRODUCTS * 2):
        opened, paid_in = FIRST_DAY + timedelta(days=n), rng.randrange(10**6, 10**10)
        account = {"account_number": f"9{n}", "customer_number": "C1", "product_code": product,
                   "currency": CURRENCY}  # fmt: skip
        told_on = opened + timedelta(days=rng.randrange(3, LATE_DAYS))
        valued_on = opened + timedelta(days=rng.randrange(1, (told_on - opened).days))
        fact = AccountOpened(**account, opened_on=opened)  # type: ignore[arg-type]
        events.append((n, event_of(fact, f"acct-9{n}", opened)))
        for name, amount, kind, on, value_on in (
            ("in", paid_in, "cash_in", opened, opened),
            ("out", -paid_in, "cash_out", told_on, valued_on),
        ):
            booked = TransactionBooked(
                transaction_id=f"{name}-9{n}", amount_minor=amount, booked_on=on,
                value_on=value_on, kind=kind, initiated_by="customer", **account,  # type: ignore[arg-type]
            )  # fmt: skip
            events.append(((on - FIRST_DAY).days, event_of(booked, f"txn-{name}-9{n}", on)))
        if n >= len(PRODUCTS):
            ended = AccountClosed(customer_number="C1", account_number=f"9{n}", closed_on=valued_on)
            events.append(((told_on - FIRST_DAY).days, event_of(ended, f"closed-9{n}", valued_on)))
    return Bank(events, bank.rates, bank.days)


def _of_grades(rng: Random, days: int) -> list[Event[Any]]:
    """PD and LGD by grade, not all of them from the first day."""
    found: list[Event[Any]] = []
    for kind, product, grade in GRADED:
        for offset in {rng.choice((0, rng.randrange(1, days))), rng.randrange(1, days)}:
            on = FIRST_DAY + timedelta(days=offset)
            fact = RateSet(kind=kind, product_code=product, from_on=on, grade_code=grade,  # type: ignore[arg-type]
                           value=rng.randrange(1, 900_000))  # fmt: skip
            found.append(event_of(fact, f"rate-{fact.entry}", FIRST_DAY))
    return found


def _grade(bank: Bank, rng: Random, n: int, loans: dict[str, str]) -> None:
    """What a credit bureau said of a customer or of his loan, some of it late."""
    offset, customer = rng.randrange(bank.days - 1), rng.choice(("C0", "C1", "C2"))
    slot = offset
    if rng.random() < 0.5:
        slot = min(offset + rng.randrange(1, LATE_DAYS), bank.days - 1)
    loan = loans.get(customer) if rng.random() < 0.4 else None
    day = FIRST_DAY + timedelta(days=offset)
    fact = CreditAnswerReceived(customer_number=customer, answer_id=f"{n}", what="bureau",
                                loan_number=loan, grade=rng.choice(GRADES))  # fmt: skip
    told = wrap(fact, id=f"answer-{n}", source=SOURCE, businessdate=day,
                time=instant(day) + timedelta(seconds=rng.sample(range(999), 8)[n]))  # fmt: skip
    bank.events.append((slot, told))


def _of_capital(rng: Random, days: int) -> list[Event[Any]]:
    """Risk weights, capital ratios and hurdle rates, in whole basis points."""
    found: list[Event[Any]] = []
    bounds = {"risk_weight": 15_000, "capital_ratio": 1_500, "hurdle_rate": 2_000}
    for kind, product in CHARGED:
        for offset in {0, *rng.sample(range(1, days), rng.randrange(2))}:
            on = FIRST_DAY + timedelta(days=offset)
            fact = RateSet(kind=kind, product_code=product, from_on=on,  # type: ignore[arg-type]
                           value=rng.randrange(1, bounds[kind]) * BASIS_POINT)  # fmt: skip
            found.append(event_of(fact, f"rate-{fact.entry}", FIRST_DAY))
    return found


def _transaction(
    bank: Bank, rng: Random, n: int, customer: str, account: str, product: str,
    loans: dict[str, str], *, late: bool,
) -> None:  # fmt: skip
    offset = rng.randrange(1, bank.days - 1)
    day = FIRST_DAY + timedelta(days=offset)
    value_on = day
    if rng.random() < 0.3:
        value_on = max(day - timedelta(days=rng.randrange(1, LATE_DAYS)), FIRST_DAY)
    amount = rng.choice((-1, 1)) * rng.randrange(1, 10 ** rng.randrange(2, 13))
    kind, loan = rng.choice(KINDS), None
    if customer in loans and rng.random() < 0.2:
        kind, loan = "loan_instalment", loans[customer]
        amount = -rng.randrange(1, 10**8)
    slot, room = offset, LATE_DAYS - (day - value_on).days
    if late and rng.random() < 0.3 and room > 1:
        slot = min(offset + rng.randrange(1, room), bank.days - 1)
    common = {"account_number": account, "customer_number": customer, "product_code": product,
              "currency": CURRENCY, "kind": kind, "initiated_by": "customer",
              "loan_number": loan}  # fmt: skip
    fact = TransactionBooked(transaction_id=f"{n}", amount_minor=amount, booked_on=day,
                             value_on=value_on, **common)  # type: ignore[arg-type]  # fmt: skip
    bank.events.append((slot, event_of(fact, f"txn-{n}", day)))
    if rng.random() < 0.15:
        taken_back = min(slot + rng.randrange(4), bank.days - 1)
        on = FIRST_DAY + timedelta(days=taken_back)
        if (on - value_on).days < LATE_DAYS:
            fact = TransactionBooked(transaction_id=f"{n}r", amount_minor=-amount, booked_on=on,
                                     value_on=value_on, reverses=f"{n}", **common)  # type: ignore[arg-type]  # fmt: skip
            bank.events.append((taken_back, event_of(fact, f"txn-{n}r", on)))


def _may_be_early(slot: int, event: Event[Any]) -> bool:
    """In time, and of no day that may be closed: else it is another fact at another place."""
    valued = getattr(event.data, "value_on", None) or event.businessdate
    in_time = FIRST_DAY + timedelta(days=slot) <= min(valued, event.businessdate)
    return in_time and not isinstance(event.data, LoanGranted)


def stream(bank: Bank, rng: Random, *, repeats: float = 0.1) -> list[Event[Any]]:
    """One order of publication: shuffled inside a slot, early by up to two days, some repeated."""
    by_slot: defaultdict[int, list[Event[Any]]] = defaultdict(list)
    for slot, event in bank.events:
        early = rng.randrange(3) if _may_be_early(slot, event) else 0
        at = max(slot - early, 0)
        by_slot[at].append(event)
        if rng.random() < repeats:
            by_slot[min(at + rng.randrange(40), bank.days - 1)].append(event)
    found: list[Event[Any]] = []
    for slot in range(bank.days):
        today = by_slot[slot]
        rng.shuffle(today)
        # An instalment names its loan: the bank publishes a customer's facts in that order.
        today.sort(key=lambda e: not isinstance(e.data, LoanGranted))
        found += [*today, closed(FIRST_DAY + timedelta(days=slot))]
    return found


def restatements(seed: int, bank: Bank, many: int = 5) -> list[tuple[int, Event[Any]]]:
    """Rates that come after their days, each with the slot in which it is published."""
    rng, found = Random(seed), {}
    while len(found) < many:
        slot = rng.randrange(2, bank.days - 1)
        on = FIRST_DAY + timedelta(days=max(0, slot - rng.randrange(1, HISTORY_DAYS + 1)))
        of_all = ((kind, product, None) for kind, product in (*PRICED, *CHARGED))
        kind, product, grade = rng.choice((*of_all, *GRADED, ("cost_driver", None, None)))
        value = rng.randrange(1, 50_000)
        if kind in CAPITAL:
            value = rng.randrange(1, 2_500) * BASIS_POINT
        fact = RateSet(kind=kind, product_code=product, from_on=on, value=value,  # type: ignore[arg-type]
                       driver_code=None if product else "account_day", grade_code=grade,
                       currency=None if product else CURRENCY)  # fmt: skip
        found[fact.entry] = (slot, event_of(fact, f"rate-{fact.entry}-{slot}", FIRST_DAY))
    return list(found.values())


def with_rates(
    events: Sequence[Event[Any]], late: Sequence[tuple[int, Event[Any]]]
) -> list[Event[Any]]:
    """The stream with rates at the beginning of their slots, in the order that they are given."""
    found: list[Event[Any]] = []
    slot = -1
    for event in events:
        if slot < 0 or (found and isinstance(found[-1].data, DayClosed)):
            slot += 1
            found += [rate for at, rate in late if at == slot]
        found.append(event)
    return found


def plain(events: Sequence[Event[Any]]) -> list[dict[str, Any]]:
    """As the independent loop reads them."""
    return [json.loads(encode(event)) for event in events]
