"""What the bank does by itself: interest, fees, standing orders, loan instalments, overdue."""

from datetime import date

from deploy.bank import places
from deploy.bank.bookings import Day
from deploy.bank.people import Account, Customer, Loan, StandingOrder
from deploy.bank.truth import Truth
from shared.events.bank import Counterparty, LoanOverdue, LoanStatusChanged

_CUSTOMER_RATE_PPM = {
    places.CURRENT_PERSON: 1_000, places.CURRENT_FIRM: 1_500,
    places.TERM_PERSON: 14_500, places.TERM_FIRM: 14_000,
}  # fmt: skip
_PENALTY_RATE_PPM = 180_000
_QUARTER_DAYS = 91
_SMS_FEE_MINOR, _KEEPING_FEE_MINOR = 200, 1_000
MISSED_UNTIL_IN_DEBT = 3


def is_interest_day(day: date) -> bool:
    """Settled on the 20th of each quarter's last month, booked on the 21st."""
    return day.day == 21 and day.month % 3 == 0


def pay_interest(day: Day, customer: Customer) -> None:
    """A quarter's interest on today's balance; what is below one minor unit is not booked."""
    for account in (customer.current, customer.term):
        if account is None:
            continue
        if account.balance_minor >= 0:
            interest = _quarter(account, _CUSTOMER_RATE_PPM[account.product_code])
            day.book(customer, account, interest, "interest_paid", "bank", purpose="interest")
        else:
            penalty = max(_quarter(account, _PENALTY_RATE_PPM), 1)
            day.book(
                customer, account, -penalty, "interest_received", "bank",
                purpose="penalty_interest",
            )  # fmt: skip


def _quarter(account: Account, rate_ppm: int) -> int:
    return abs(account.balance_minor) * rate_ppm * _QUARTER_DAYS // 365_000_000


def monthly_fee_minor(customer: Customer) -> int:
    if not customer.sms_fee:
        return 0
    return _KEEPING_FEE_MINOR if customer.firm else _SMS_FEE_MINOR


def charge_fee(day: Day, customer: Customer) -> None:
    amount = monthly_fee_minor(customer)
    purpose = "account_keeping" if customer.firm else "message_service"
    if customer.current.balance_minor >= amount:
        day.book(customer, customer.current, -amount, "fee", "bank", purpose=purpose)


def fill_wallet(day: Day, customer: Customer) -> None:
    """To a month of purchases, if the current account covers it; nothing is lent."""
    current, wallet = customer.current, customer.wallet
    if wallet is None:
        return
    amount = customer.income_minor // 2 - wallet.balance_minor
    if amount <= 0 or current.balance_minor < amount:
        return
    for account, signed, kind in (
        (current, -amount, "transfer_out"), (wallet, amount, "transfer_in")
    ):  # fmt: skip
        day.book(
            customer, account, signed, kind, "bank",  # type: ignore[arg-type]
            channel="standing_order", purpose="wallet",
        )  # fmt: skip


def run_order(day: Day, customer: Customer, order: StandingOrder) -> None:
    """A standing order that the balance does not cover is not executed."""
    if customer.current.balance_minor < order.amount_minor:
        return
    day.book(
        customer, customer.current, -order.amount_minor, "transfer_out", "bank",
        channel="standing_order", purpose=order.purpose_code,
        counterparty=Counterparty(bank_code="102", account_number=order.to_account),
    )  # fmt: skip


def collect_instalment(day: Day, customer: Customer, loan: Loan, truth: Truth) -> None:
    """What is due and what is behind, if the balance covers it; else the loan is overdue."""
    due = loan.instalment_minor if loan.months_left > 0 else 0
    asked = due + loan.overdue_minor
    if asked == 0:
        return
    if customer.current.balance_minor >= asked:
        day.book(
            customer, customer.current, -asked, "loan_instalment", "bank",
            purpose="loan", loan_number=loan.number,
        )  # fmt: skip
        loan.months_left = max(loan.months_left - 1, 0)
        if loan.overdue_minor:
            _caught_up(day, customer, loan)
        if loan.months_left == 0:
            _status(day, customer, loan, "repaid")
        return
    loan.overdue_minor = asked
    loan.missed += 1
    loan.months_left = max(loan.months_left - 1, 0)
    loan.overdue_since = loan.overdue_since or day.on
    _say_overdue(day, customer, loan)
    if customer.overdraft_minor:
        _draw_overdraft(day, customer, truth)
    if loan.missed == MISSED_UNTIL_IN_DEBT:
        _status(day, customer, loan, "in_debt")


def _draw_overdraft(day: Day, customer: Customer, truth: Truth) -> None:
    """Penalty interest on what is behind is charged even into the overdraft."""
    loan = customer.loan
    assert loan is not None
    penalty = max(loan.overdue_minor * _PENALTY_RATE_PPM // 12_000_000, 100)
    if customer.current.balance_minor - penalty < -customer.overdraft_minor:
        return
    day.book(
        customer, customer.current, -penalty, "interest_received", "bank",
        purpose="penalty_interest", loan_number=loan.number,
    )  # fmt: skip
    if customer.current.balance_minor < 0:
        truth.overdrawn(customer, day.on)


def _caught_up(day: Day, customer: Customer, loan: Loan) -> None:
    in_debt = loan.missed >= MISSED_UNTIL_IN_DEBT
    loan.overdue_minor, loan.missed = 0, 0
    _say_overdue(day, customer, loan)
    loan.overdue_since = None
    if in_debt:
        _status(day, customer, loan, "running")


def _say_overdue(day: Day, customer: Customer, loan: Loan) -> None:
    fact = LoanOverdue(
        loan_number=loan.number,
        customer_number=customer.number,
        account_number=customer.current.number,
        product_code=loan.product_code,
        overdue_minor=loan.overdue_minor,
        currency=places.CURRENCY,
        since_on=loan.overdue_since or day.on,
    )
    day.say(fact, day.next_id("overdue"))


def _status(day: Day, customer: Customer, loan: Loan, status: str) -> None:
    fact = LoanStatusChanged(
        loan_number=loan.number,
        customer_number=customer.number,
        account_number=customer.current.number,
        product_code=loan.product_code,
        status=status,
    )
    day.say(fact, day.next_id("loanstatus"))
