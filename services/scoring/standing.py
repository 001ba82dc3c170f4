"""What the worker knows of each customer at the last closed day: his record, his ledgers settled
through it, and all that he has contributed, posted or not.

A restatement leaves closed months as they were posted, and a late event is posted in the month that
is open: so when a leaf was posted, and how it was rounded by then, depends on what came when. What
does not: the exact sums of a ledger over all origins, and whole minor units by their origin.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from services.scoring import state
from services.scoring.books import AccountKey
from services.scoring.leaves import Leaf
from services.scoring.partition import Partition
from services.scoring.rows import KIND_CUSTOMER, LEDGER_FIELDS
from services.scoring.scores.contribution.entries import CELL_MIN
from services.scoring.state import AccountState, CustomerState

_AT_ONCE = 10_000
# Accrued by the day and rounded at a close; all others are whole from the beginning.
ROUNDED: Final = frozenset({"ftp", "el", "capital"})
# How far a ledger is, what is kept of days behind, and what of it is posted
_OF_ITS_WAY: Final = frozenset({"settled_on", "kept_from", "old_min", "old_max", "restated"})
EXACT: Final = [n for n, name in enumerate(LEDGER_FIELDS)
                if name not in _OF_ITS_WAY and not name.endswith("_posted")]  # fmt: skip
# By account, loan or "", product, component, origin or "": of what is rounded, all origins together
Leaves = Counter[tuple[str, str, str, str, str]]


class Posted:
    """Leaves added up by customer number."""

    def __init__(self) -> None:
        self.of: dict[str, Leaves] = {}

    def add(self, leaves: Iterable[Leaf]) -> None:
        for leaf in leaves:
            origin = "" if leaf.component in ROUNDED else leaf.origin_period
            key = (leaf.account_number, leaf.loan_number, leaf.product_code, leaf.component, origin)
            self.of.setdefault(leaf.customer_number, Counter())[key] += leaf.amount_minor


@dataclass(frozen=True, slots=True)
class Standing:
    """One customer number at the last closed day."""

    customer: CustomerState
    ledgers: dict[AccountKey, list[int]]  # the words of `EXACT`, then entries of days to come
    leaves: Leaves  # posted and open


def standings(partition: Partition, posted: Posted) -> Iterator[Standing]:
    """Of all customers of a partition; `posted`: what was posted of them. Changes nothing."""
    until, accounts = partition.closes.watermark + 1, len(partition.account_keys)
    closed = partition.books.closed(accounts, until)
    of_now = Posted()
    of_now.add(closed.leaves_of(partition.key_of, closed.posted()))
    place = {partition.key_of(n): n for n in range(accounts)}
    for begin in range(0, len(partition.numbers), _AT_ONCE):
        rows = np.arange(begin, min(begin + _AT_ONCE, len(partition.numbers)), dtype=np.int64)
        for key, value in partition.records(rows):
            if value is None or state.kind_of(value) != KIND_CUSTOMER:
                continue
            customer = state.unpack(key, value)
            assert isinstance(customer, CustomerState)
            number = customer.customer_number
            ledgers = {
                account: [*closed.ledgers[place[account], EXACT].tolist(), *_to_come(one, until)]
                for one in customer.accounts
                if one.ledger
                for account in [key_of(number, one)]
            }
            leaves: Leaves = Counter()
            for part in (posted.of.get(number), of_now.of.get(number)):
                leaves.update(part or {})
            yield Standing(customer, ledgers, leaves)


def key_of(number: str, account: AccountState) -> AccountKey:
    a = account
    return number, a.account_number, a.product_code, a.currency, a.loan_number


def _to_come(account: AccountState, until: int) -> list[int]:
    words = account.entries
    pairs = sorted(zip(words[::2], words[1::2], strict=True))
    return [w for pair in pairs if until << 1 <= pair[0] < CELL_MIN for w in pair]
