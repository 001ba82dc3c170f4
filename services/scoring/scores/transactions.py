"""Exact sum and count of transactions, per account and product, and of the customer.

Inputs: every booked transaction, signed from the customer's side, in minor units.
State: `sum_minor`, `count` of the account row; `sum_minor`, `count`, `customer_count` of the
customer row (its sum takes the bank's own currency only: it is the customer's balance).
Terms: the sums themselves.
"""

from services.scoring.scores.compiling import compiled
from services.scoring.scores.decay import VALUE_MAX


@compiled
def fits(sum_minor: int, amount_minor: int) -> bool:
    """Does the sum stay where all figures are exact? One that does not is refused, not wrapped."""
    total = sum_minor + amount_minor
    return -VALUE_MAX < total < VALUE_MAX
