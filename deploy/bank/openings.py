"""How a customer begins: place, manager, accounts, card, standing orders, loan, first money."""

from deploy.bank import bank_side, places
from deploy.bank.bookings import Day, outside_account
from deploy.bank.people import Account, Customer, Loan
from deploy.bank.relations import Group
from deploy.bank.truth import Truth
from shared.events.bank import (
    AccountOpened,
    CardIssued,
    CustomerPlaced,
    CustomerRecorded,
    Holder,
    LoanGranted,
    ManagerAssigned,
    StandingOrderSet,
)


def record_customer(day: Day, fact: CustomerRecorded) -> None:
    day.say(fact, f"cust-{fact.customer_number}")


def open_customer(
    day: Day, customer: Customer, holders: tuple[Holder, ...], truth: Truth, old: bool
) -> None:
    """`old`: the customer was there before the first day; his balances are brought forward."""
    place(day, customer.number, customer.branch, customer.manager_code, _segment(customer))
    truth.managers[customer.number] = customer.manager_code
    for account in (customer.current, customer.term, customer.wallet):
        if account is not None:
            _open_account(day, customer, account, holders, truth, old)
    bank_side.fill_wallet(day, customer)
    if not customer.firm:
        day.say(
            CardIssued(
                customer_number=customer.number,
                card_id=customer.current.number[-12:],
                account_number=customer.current.number,
                issued_on=customer.joined_on,
                product_code=places.DEBIT_CARD,
            ),
            f"card-{customer.current.number[-12:]}",
        )
    for order in customer.orders:
        day.say(
            StandingOrderSet(
                customer_number=customer.number,
                standing_order_id=order.id,
                account_number=customer.current.number,
                amount_minor=order.amount_minor,
                currency=places.CURRENCY,
                purpose_code=order.purpose_code,
                frequency_code="monthly",
                from_on=day.on,
            ),
            f"order-{order.id}",
        )
    if customer.loan is not None:
        _grant(day, customer, customer.loan, old)


def place(
    day: Day, number: str, branch: places.Branch, manager_code: str, segment_code: str
) -> None:
    day.say(
        CustomerPlaced(
            customer_number=number,
            region_code=branch.city.region_code,
            district_code=branch.city.district_code,
            home_branch_code=branch.code,
            segment_code=segment_code,
        ),
        f"placed-{number}",
    )
    day.say(
        ManagerAssigned(
            customer_number=number,
            manager_code=manager_code,
            effective_on=day.on,
            branch_code=branch.code,
            reason_code="first_assignment",
        ),
        f"manager-{number}",
    )


def open_group(day: Day, group: Group, truth: Truth) -> None:
    place(day, group.number, group.branch, group.manager_code, "group")
    truth.managers[group.number] = group.manager_code


def _segment(customer: Customer) -> str:
    if customer.firm:
        return "corporate" if customer.income_minor > 100_000_000 else "small_business"
    return "private" if customer.buffer_minor > 30_000_000 else "retail"


def _open_account(  # noqa: PLR0917  the day's action takes them in this order
    day: Day,
    customer: Customer,
    account: Account,
    holders: tuple[Holder, ...],
    truth: Truth,
    old: bool,
) -> None:
    first_minor, account.balance_minor = account.balance_minor, 0
    truth.owners[account.number] = customer.number
    day.say(
        AccountOpened(
            customer_number=customer.number,
            account_number=account.number,
            product_code=account.product_code,
            currency=places.CURRENCY,
            opened_on=customer.joined_on,
            branch_code=customer.branch.code,
            channel_code="branch" if account is customer.current or customer.firm else "mobile",
            statement_frequency="monthly",
            holders=holders if account is customer.current else (),
        ),
        f"acct-{account.number}",
    )
    if old:
        day.book(customer, account, first_minor, "transfer_in", "bank", purpose="brought_forward")
    else:
        day.book(
            customer, account, first_minor, "transfer_in", "customer", channel="counter",
            purpose="first_deposit", counterparty=outside_account(day.rng),
        )  # fmt: skip


def _grant(day: Day, customer: Customer, loan: Loan, old: bool) -> None:
    day.say(
        LoanGranted(
            customer_number=customer.number,
            loan_number=loan.number,
            account_number=customer.current.number,
            product_code=loan.product_code,
            principal_minor=loan.principal_minor,
            currency=places.CURRENCY,
            months=loan.months,
            instalment_minor=loan.instalment_minor,
            granted_on=loan.granted_on,
        ),
        f"loan-{loan.number}",
    )
    if old:
        return
    for amount, kind, by in (
        (loan.principal_minor, "transfer_in", "bank"),
        (-loan.principal_minor, "transfer_out", "customer"),
    ):
        day.book(
            customer, customer.current, amount, kind, by,  # type: ignore[arg-type]
            channel="counter", purpose="loan_payout", loan_number=loan.number,
        )  # fmt: skip
