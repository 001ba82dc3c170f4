"""Leaves: posted figures of one account, product, component and business period.

Written to `scoring.leaves` before the state they were taken from. A leaf is posted once, when its
period is closed and the account is touched; after a crash the same leaf comes again, equal. What
comes late is a leaf of the open period that names its `origin_period`.
"""

import msgspec


class Leaf(msgspec.Struct, frozen=True, omit_defaults=True):
    """As on `scoring.leaves`, in the bank's currency; `loan_number` is that of a loan's leaf.

    What an overdraft costs is of the overdraft's product: `account_product_code` is then that of
    the account. Several accounts of one number may have one product for their overdrafts.
    """

    customer_number: str
    account_number: str
    product_code: str
    component: str
    period: str
    origin_period: str
    amount_minor: int
    loan_number: str = ""
    account_product_code: str = ""  # empty: it is `product_code`

    def identity(self) -> tuple[str, ...]:
        """What a leaf is posted once for."""
        return (self.customer_number, self.account_number, self.loan_number, self.product_code,
                self.component, self.period, self.origin_period,
                self.account_product_code)  # fmt: skip


_encoder = msgspec.json.Encoder()


def encode(leaf: Leaf) -> bytes:
    return _encoder.encode(leaf)
