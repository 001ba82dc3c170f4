"""A hash of what the worker knows, whatever the partitions, batches and crashes it came by.

Over every customer's row, his accounts' rows, the features of watched accounts, his ledgers and his
leaves, settled through the last closed day; without places in topics, ids of the open window, and
the day of the next look. Of ledgers and leaves it knows what neither the date of a close nor the
order of restatements changes (`standing`), so a state that is built anew by the rates of now has
the same one.
The hash of a whole is the sum of its customers' hashes: it can be added up over partitions.
"""

import hashlib
from dataclasses import dataclass
from datetime import date

import msgspec

from services.scoring.engine import Engine
from services.scoring.partition import Partition
from services.scoring.risk_plan import Plan
from services.scoring.scores import watching
from services.scoring.scores.turns import is_closed
from services.scoring.standing import Leaves, Posted, Standing, key_of, standings
from services.scoring.state import AccountState, CustomerState
from services.scoring.watched import settled

WIDTH = 256
_LEFT_OUT = {"offset", "input_sequence", "ids", "accounts", "last_away"}
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


def digest(engine: Engine, partition: Partition, posted: Posted) -> Digest:
    """Of all that a partition holds and has posted. Changes nothing."""
    plan, found, known = engine.sets.first.plan, Digest(), set()
    on = date.fromordinal(max(partition.closes.watermark, 1))
    for one in standings(partition, posted):
        known.add(one.customer.customer_number)
        found = found.plus(Digest(1, len(one.customer.accounts), _hash(_said(plan, one, on))))
    for number in posted.of.keys() - known:  # leaves of nobody
        found = found.plus(Digest(0, 0, _hash([number, _leaves(posted.of[number])])))
    return found


def _hash(said: list[object]) -> int:
    return int.from_bytes(hashlib.sha256(_encoder.encode(said)).digest())


def _said(plan: Plan, one: Standing, on: date) -> list[object]:
    customer, number = one.customer, one.customer.customer_number
    return [
        [getattr(customer, name) for name in _NAMES],
        [[*_account(plan, account, on), one.ledgers.get(key_of(number, account))]
         for account in customer.accounts],
        _leaves(one.leaves),
    ]  # fmt: skip


def _leaves(leaves: Leaves) -> object:
    return sorted((key, amount) for key, amount in leaves.items() if amount)


def _account(plan: Plan, account: AccountState, on: date) -> list[object]:
    a = account
    known = [a.account_number, a.product_code, a.currency, a.loan_number, a.sum_minor, a.count,
             a.last_on, is_closed(a.closed_on, on.toordinal())]  # fmt: skip
    of_set = plan.products.get(a.product_code, -1)
    if not a.watch or of_set < 0:
        return known
    row = settled(plan, of_set, a.watch, on).tolist()
    return [*known, *row[watching.DUE + 1 : watching.MOVED], *row[watching.HEAD :]]
