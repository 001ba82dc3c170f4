"""One incoming payment with an order's reference, as the demo and the tests make it."""

import time
from datetime import datetime
from zoneinfo import ZoneInfo

from deploy.bank import numbers, places
from shared.clock import business_date
from shared.events import Event, wrap
from shared.events.bank import TransactionBooked


def payment(
    order_reference: str,
    amount_minor: int,
    customer_number: str,
    *,
    at: datetime,
    zone: ZoneInfo,
    currency: str = places.CURRENCY,
    source: str = places.SOURCE,
    account_number: str | None = None,
    transaction_id: str | None = None,
) -> Event[TransactionBooked]:
    """A transfer that arrives on the customer's current account, at the bank's instant `at`.

    Raises ValueError when nothing arrives (`amount_minor` in minor units must be positive).
    The same `transaction_id` again is the same payment again.
    """
    if amount_minor <= 0:
        raise ValueError("a payment is more than zero")
    simulated = len(customer_number) == 9 and customer_number[:1] == "C"
    if account_number is None:
        account_number = (
            numbers.account_number(customer_number, 1) if simulated else customer_number
        )
    firm = simulated and numbers.is_firm(customer_number)
    number = transaction_id or f"pay-{time.time_ns()}"
    day = business_date(at, zone)
    fact = TransactionBooked(
        transaction_id=number,
        account_number=account_number,
        customer_number=customer_number,
        product_code=places.CURRENT_FIRM if firm else places.CURRENT_PERSON,
        amount_minor=amount_minor,
        currency=currency,
        kind="transfer_in",
        initiated_by="customer",
        booked_on=day,
        value_on=day,
        channel_code="online",
        purpose_code="order_payment",
        payment_reference=order_reference,
    )
    return wrap(fact, id=f"txn-{number}", source=source, time=at, businessdate=day)
