"""A hash of what the worker knows, whatever the partitions, batches and crashes it came by.

Over every customer's row, his accounts' rows and the features of watched accounts, settled through
the last closed day; without places in topics, ids of the open window, and the day of the next look.
Ledgers are left out: a restatement leaves closed months as they were posted, so a state that is
built anew by the rates of now has other ones; leaves are compared by themselves.
The hash of a whole is the sum of its customers' hashes: it can be added up over partitions.
"""

import hashlib
from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np

from services.scoring import state
from services.scoring.engine import Engine
from services.scoring.partition import Partition
from services.scoring.risk_plan import Plan
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.scores import watching
from services.scoring.state import AccountState, CustomerState
from services.scoring.watched import settled

WIDTH = 256
_AT_ONCE = 10_000
_LEFT_OUT = {"offset", "input_sequence", "ids", "accounts"}
_NAMES = [name for name in CustomerState.__dataclass_fields__ if name not in _LEFT_OUT]
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Digest:
    """What is in a state: how many customers and accounts, and the hash of all of it."""

    customers: int = 0
    accounts: int = 0
    hash: int = 0

    def plus(self, other: "Digest") -> "Digest":
        return Digest(
            self.customers + other.customers,
            self.accounts + other.accounts,
            (self.hash + other.hash) % (1 << WIDTH),
        )

    @property
    def text(self) -> str:
        return f"{self.hash:0{WIDTH // 4}x}"


def digest(engine: Engine, partition: Partition) -> Digest:
    """Of all that a partition holds. Changes nothing."""
    plan, found = engine.sets.first.plan, Digest()
    on = date.fromordinal(max(partition.closes.watermark, 1))
    for begin in range(0, len(partition.numbers), _AT_ONCE):
        rows = np.arange(begin, min(begin + _AT_ONCE, len(partition.numbers)), dtype=np.int64)
        for key, value in partition.records(rows):
            if value is None or state.kind_of(value) != KIND_CUSTOMER:
                continue
            customer = state.unpack(key, value)
            assert isinstance(customer, CustomerState)
            found = found.plus(
                Digest(1, len(customer.accounts), _hash(plan, customer, on))
            )
    return found


def _hash(plan: Plan, customer: CustomerState, on: date) -> int:
    said = [
        [getattr(customer, name) for name in _NAMES],
        [_account(plan, account, on) for account in customer.accounts],
    ]
    return int.from_bytes(hashlib.sha256(_encoder.encode(said)).digest())


def _account(plan: Plan, account: AccountState, on: date) -> list[object]:
    a = account
    known = [a.account_number, a.product_code, a.currency, a.loan_number, a.sum_minor, a.count,
             a.last_on]  # fmt: skip
    of_set = plan.products.get(a.product_code, -1)
    if not a.watch or of_set < 0:
        return known
    row = settled(plan, of_set, a.watch, on).tolist()
    return [*known, *row[watching.DUE + 1 : watching.MOVED], *row[watching.HEAD :]]
