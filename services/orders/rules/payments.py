"""Payments against the receivable of an order.

What is settled is a function of the set of payments and reversals, never of the order in which
they were heard: a reversal may be heard before the payment that it takes back.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from shared.ids import order_references_in

_LOOKS_LIKE_OURS = re.compile(r"(?<![A-Z0-9])ORD\W?[0-9]{6,}")


class Settlement(StrEnum):
    """How far a receivable is paid."""

    OPEN = "open"
    PARTIAL = "partial"
    SETTLED = "settled"
    OVERPAID = "overpaid"


SETTLED = frozenset({Settlement.SETTLED, Settlement.OVERPAID})


@dataclass(frozen=True, slots=True)
class Paid:
    """One payment as the bank booked it; amount in minor units, above zero."""

    transaction_id: str
    amount_minor: int


def references_of(payment_reference: str | None) -> list[str]:
    """The order references in what the payer wrote, as they should be written."""
    return order_references_in(payment_reference) if payment_reference else []


def is_mistyped(payment_reference: str | None) -> bool:
    """Does it look like a reference of ours, though none in it has a right check digit?"""
    if not payment_reference or references_of(payment_reference):
        return False
    plain = unicodedata.normalize("NFKC", payment_reference).upper()
    return _LOOKS_LIKE_OURS.search(plain) is not None


def paid_minor(payments: Iterable[Paid], reversed_ids: Collection[str]) -> int:
    """What stays paid once the reversed payments are taken out. Each payment counts once."""
    standing = {p.transaction_id: p.amount_minor for p in payments}
    return sum(a for t, a in standing.items() if t not in reversed_ids)


def settlement(due_minor: int, paid: int) -> Settlement:
    """An order over nothing is settled as soon as it is due."""
    if paid > due_minor:
        return Settlement.OVERPAID
    if paid == due_minor:
        return Settlement.SETTLED
    return Settlement.PARTIAL if paid > 0 else Settlement.OPEN
