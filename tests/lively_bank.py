"""A small random bank in which customers fall silent, come back, and take their money away."""

from datetime import timedelta
from random import Random

from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked
from tests.ledger_bank import CURRENCY, FIRST_DAY, Bank, event_of, rates

DAYS = 100
CUSTOMERS = 8
PRODUCT = "CA"


def lively_bank(seed: int, *, late: bool = True) -> Bank:
    """As `random_bank`, of customers with a pace of their own."""
    rng = Random(seed)
    bank = Bank(rates=rates(rng, DAYS), days=DAYS)
    for customer in range(CUSTOMERS):
        accounts = [f"{10 * customer + n}" for n in range(rng.randrange(1, 3))]
        for account in accounts:
            opened = AccountOpened(
                customer_number=f"C{customer}", account_number=account, product_code=PRODUCT,
                currency=CURRENCY, opened_on=FIRST_DAY - timedelta(days=400),
            )  # fmt: skip
            bank.events.append((0, event_of(opened, f"acct-{account}", FIRST_DAY)))
        _life(bank, rng, f"C{customer}", accounts)
    if not late:
        bank.events = [((event.businessdate - FIRST_DAY).days, event) for _, event in bank.events]
    return bank


def with_turns(bank: Bank, seed: int, most: int, early: int | None = None) -> Bank:
    """And its accounts are closed and opened again, so often at most; told up to two days early by
    the seed `early`. Between two turns of one account lie more days than that and than `stream`
    tells a fact early: a bank says them in their order."""
    rng, events = Random(seed), list(bank.events)
    ahead = Random(early)
    owners = {e.data.account_number: e.data.customer_number for _, e in events
              if isinstance(e.data, AccountOpened)}  # fmt: skip
    for account, customer in sorted(owners.items()):
        slot = rng.randrange(20, 90)
        for n in range(rng.randrange(1, most + 1)):
            on = FIRST_DAY + timedelta(days=slot)
            fact: AccountClosed | AccountOpened = AccountClosed(
                customer_number=customer, account_number=account, closed_on=on
            )
            if n % 2:
                fact = AccountOpened(customer_number=customer, account_number=account, opened_on=on,
                                     product_code=PRODUCT, currency=CURRENCY)  # fmt: skip
            told_in = slot if early is None else slot - ahead.randrange(3)
            events.append((told_in, event_of(fact, f"turn-{account}-{n}", on)))
            slot += rng.randrange(4, 14)
    return Bank(events, bank.rates, bank.days)


def _life(bank: Bank, rng: Random, customer: str, accounts: list[str]) -> None:
    pace = rng.uniform(0.5, 3)
    silent_from = rng.choice((DAYS, rng.randrange(30, 50)))
    silent_until = silent_from + rng.choice((DAYS, rng.randrange(32, 45)))
    runs_from = rng.choice((DAYS, rng.randrange(40, 80)))  # takes his money away
    size = 10 ** rng.randrange(5, 9)
    day = rng.uniform(0, 5)
    n = 0
    while day < DAYS - 1:
        offset = int(day)
        if not silent_from <= offset < silent_until:
            amount = rng.randrange(1, size) * (-1 if rng.random() < 0.3 else 1)
            if offset >= runs_from:
                amount = -4 * abs(amount)
            _books(bank, rng, f"{customer}-{n}", customer, rng.choice(accounts), offset, amount)
            n += 1
        day += rng.expovariate(1 / pace)


def _books(
    bank: Bank, rng: Random, name: str, customer: str, account: str, offset: int, amount: int
) -> None:  # fmt: skip
    """One booking, some of them back-valued, late, by the bank itself, or taken back later."""
    day = FIRST_DAY + timedelta(days=offset)
    common = {"customer_number": customer, "account_number": account, "product_code": PRODUCT,
              "currency": CURRENCY, "kind": rng.choice(("card", "transfer_in", "fee")),
              "value_on": max(FIRST_DAY, day - timedelta(days=rng.choice((0, 0, 0, 0, 4)))),
              "initiated_by": "customer" if rng.random() < 0.8 else "bank"}  # fmt: skip
    slot = min(offset + rng.choice((0, 0, 0, 0, 0, 0, 0, 2, 6)), DAYS - 1)
    fact = TransactionBooked(transaction_id=name, amount_minor=amount, booked_on=day, **common)  # type: ignore[arg-type]
    bank.events.append((slot, event_of(fact, f"txn-{name}", day)))
    if rng.random() < 0.06:
        back = min(slot + rng.randrange(1, 5), DAYS - 1)
        on = FIRST_DAY + timedelta(days=back)
        fact = TransactionBooked(transaction_id=f"{name}r", amount_minor=-amount, booked_on=on,
                                 reverses=name, **common)  # type: ignore[arg-type]  # fmt: skip
        bank.events.append((back, event_of(fact, f"txn-{name}r", on)))
