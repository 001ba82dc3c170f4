"""Leaves: posted figures of one account, product, component and business period.

Written to `scoring.leaves` before the state they were taken from. A leaf is posted once, when its
period is closed and the account is touched; after a crash the same leaf comes again, equal. What
comes late is a leaf of the open period that names its `origin_period`.
"""

from collections.abc import Iterable

import msgspec

from services.scoring import rows as r
from services.scoring.partition import Partition
from services.scoring.scores.contribution.months import period_of

COMPONENTS = {
    r.NET: "ftp", r.DEBIT: "ftp", r.LOSS: "el", r.UPKEEP: "abc_maint",
    r.INTEREST_PAID: "interest_paid", r.INTEREST_RECEIVED: "interest_recv", r.FEES: "fee",
    r.USES: "abc_txn",
}  # fmt: skip
_OF_NEGATIVE = frozenset({r.DEBIT, r.LOSS, r.INTEREST_RECEIVED})  # the product is the overdraft's


class Leaf(msgspec.Struct, frozen=True, omit_defaults=True):
    """As on `scoring.leaves`, in the bank's currency; `loan_number` is that of a loan's leaf."""

    customer_number: str
    account_number: str
    product_code: str
    component: str
    period: str
    origin_period: str
    amount_minor: int
    loan_number: str = ""

    def identity(self) -> tuple[str, ...]:
        """What a leaf is posted once for."""
        return (self.account_number, self.loan_number, self.product_code, self.component,
                self.period, self.origin_period)  # fmt: skip


_encoder = msgspec.json.Encoder()


def encode(leaf: Leaf) -> bytes:
    return _encoder.encode(leaf)


def of_rows(partition: Partition, leaf_rows: Iterable[list[int]]) -> list[Leaf]:
    """The kernel's rows as leaves."""
    keys, overdraft = partition.account_keys, partition.books.rates.overdraft
    found = []
    for _, account, component, period, origin, amount in leaf_rows:
        customer, number, product, _, loan = keys[account]
        if component in _OF_NEGATIVE and not loan:
            product = overdraft.get(product, product)
        found.append(
            Leaf(customer, number, product, COMPONENTS[component], period_of(period),
                 period_of(origin), amount, loan)
        )  # fmt: skip
    return found
