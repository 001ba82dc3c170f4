"""The ledgers of one partition, the rates it has taken, and the leaves of the batch in hand."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring import state
from services.scoring.leaves import Leaf
from services.scoring.rate import PRICES, Rate
from services.scoring.rows import LEAF_WORDS, LEDGER_WORDS
from services.scoring.scores.contribution import entries, grades
from services.scoring.scores.contribution.booking import post_all
from services.scoring.scores.contribution.grades import Grades
from services.scoring.scores.contribution.ledger import (
    HISTORY_DAYS,
    KEPT_FROM,
    SETTLED_ON,
    Book,
)
from services.scoring.scores.contribution.months import period_of
from services.scoring.scores.contribution.rates import ACCOUNT_DAY, Rates, Restatement, Tables

Ints = NDArray[np.int64]
AccountKey = tuple[str, str, str, str, str]  # customer, account, product, currency, loan or ""
COMPONENTS = {
    r.NET: "ftp", r.DEBIT: "ftp", r.LOSS: "el", r.CAPITAL: "capital", r.UPKEEP: "abc_maint",
    r.INTEREST_PAID: "interest_paid", r.INTEREST_RECEIVED: "interest_recv", r.FEES: "fee",
    r.USES: "abc_txn",
}  # fmt: skip
# Whose product is that of the overdraft
_OF_NEGATIVE = frozenset({r.DEBIT, r.LOSS, r.CAPITAL, r.INTEREST_RECEIVED})
_START = 1024
REBUILD = "needs a rebuild: replay from bank.events"


class Books:
    """Rows of `ledgers` are those of the partition's accounts; most banks' use few columns."""

    def __init__(self) -> None:
        self.rates = Rates()
        self.ledgers: Ints = np.zeros((_START, LEDGER_WORDS), np.int64)
        self.owners: Ints = np.zeros((_START, 3), np.int64)
        self.heads: Ints = np.full((_START, entries.LISTS), -1, np.int64)
        self.pool: Ints = np.zeros((_START, entries.WORDS), np.int64)
        self.used: Ints = np.array([0, -1], np.int64)
        self.grades = Grades(
            np.full(_START, -1, np.int64), np.zeros((_START, grades.WORDS), np.int64),
            np.array([0, -1], np.int64),
        )  # fmt: skip
        self.leaves: Ints = np.zeros((_START, LEAF_WORDS), np.int64)
        self.written: Ints = np.zeros(1, np.int64)
        self.loans: dict[tuple[str, str], int] = {}  # (customer, loan) -> account row
        self._looked_at = 0  # of the rates that the engine knows
        self._untold: list[Rate] = []
        self._restating: dict[str, Rate] = {}  # wait for `restatement`, by key
        self._alarms: list[str] = []

    def own(self, account: int, key: AccountKey, row: int) -> None:
        """A new account row: whose product and whose account it is."""
        if account >= len(self.ledgers):
            size = 2 * account
            self.ledgers = _grown(self.ledgers, size)
            self.owners = _grown(self.owners, size)
            self.heads = _grown(self.heads, size, -1)
        customer, _, product, _, loan = key
        self.owners[account] = self.rates.index(product), int(bool(loan)), row
        if loan:
            self.loans[customer, loan] = account

    def book(self, rates: Tables | None = None) -> Book:
        """All of it as the kernel takes it; by other rates than those of now when given."""
        tail = entries.Tail(self.heads, self.pool, self.used)
        tables = self.rates.tables() if rates is None else rates
        return Book(self.ledgers, self.owners, tail, self.grades, tables, self.leaves, self.written)

    def open_leaves(self, accounts: int, until: int) -> Ints:
        """The leaves that a close before `until` would post of each account. Changes nothing."""
        copy = Books()
        for name in ("ledgers", "owners", "heads", "pool", "used"):
            setattr(copy, name, getattr(self, name).copy())
        copy.rates, copy.grades = self.rates, self.grades
        account = 0
        while (account := post_all(copy.book(), account, accounts, until)) < accounts:
            copy.make_room()
        return copy.leaves[: int(copy.written[0])]

    def leaves_of(self, keys: Sequence[AccountKey], leaf_rows: Iterable[list[int]]) -> list[Leaf]:
        """The kernel's rows as leaves; `keys` are those of the account rows."""
        found = []
        for _, account, component, period, origin, amount in leaf_rows:
            customer, number, product, _, loan = keys[account]
            if component in _OF_NEGATIVE and not loan:
                product = self.rates.overdraft.get(product, product)
            found.append(
                Leaf(customer, number, product, COMPONENTS[component], period_of(period),
                     period_of(origin), amount, loan)
            )  # fmt: skip
        return found

    def posted(self) -> list[list[int]]:
        """The kernel's rows of leaves since they were last counted from none."""
        found: list[list[int]] = self.leaves[: int(self.written[0])].tolist()
        return found

    def make_room(self) -> None:
        """Twice the leaves, the entries and the grades."""
        self.leaves = _grown(self.leaves, 2 * len(self.leaves))
        self.pool = _grown(self.pool, 2 * len(self.pool))
        pool = _grown(self.grades.pool, 2 * len(self.grades.pool))
        self.grades = self.grades._replace(pool=pool)

    def know_customers(self, size: int) -> None:
        """Makes place for the grades of so many."""
        self.grades = self.grades._replace(heads=_grown(self.grades.heads, size, -1))

    def restore(self, account: int, ledger: Sequence[int], words: Sequence[int]) -> None:
        """An account's ledger and entries as a record has them."""
        if not ledger:
            return
        self.ledgers[account] = ledger
        while int(self.used[entries.E_USED]) + len(words) > len(self.pool):
            self.make_room()
        tail = entries.Tail(self.heads, self.pool, self.used)
        entries.restore(tail, account, int(ledger[0]), np.array(words, np.int64))

    def restore_grades(
        self, row: int, told: Sequence[tuple[int, int, int]], accounts: Sequence[int]
    ) -> None:
        """A customer's grades as his record has them; `accounts` are its rows, in its order."""
        if not told and self.grades.heads[row] < 0:
            return
        while int(self.grades.used[grades.G_USED]) + len(told) > len(self.grades.pool):
            self.make_room()
        words = [(accounts[of - 1] if of else grades.ALL, code, grade) for of, code, grade in told]
        grades.restore(self.grades, row, np.array(words, np.int64).reshape(-1))

    # Rates ----------------------------------------------------------------------------------

    def look_at(self, known: Sequence[Rate], watermark: int, latest_on: int) -> None:
        """Takes the rates that are new. `latest_on` is the last day of an event; 0: none came.

        One that changes what was booked already is a restatement: it waits until the ledgers are
        walked, or is refused, with an alarm, when they no longer hold what it takes.
        """
        newest = {
            rate.key: rate for rate in known[self._looked_at :]
        }  # as compaction would have it
        self._looked_at = len(known)
        if not newest:
            return
        booked, kept = self._bounds(watermark)
        for rate in newest.values():
            self._restating.pop(rate.key, None)
            before = self.rates.taken.get(rate.key)
            if before is not None and before.says() == rate.says():
                continue
            reason = self._refusal(rate, latest_on, kept)
            if reason:
                self._alarms.append(f"restatement of {rate.key}: {reason}")
            elif latest_on and self._restates(rate, booked):
                self._restating[rate.key] = rate
            else:
                self.rates.take(rate)
                self._untold.append(rate)

    def _bounds(self, watermark: int) -> tuple[int, int]:
        """The last day that a ledger has accrued, and the first whose balances all of them keep.

        After a crash ledgers may be ahead of the watermark.
        """
        settled, dropped = self.ledgers[:, [SETTLED_ON, KEPT_FROM]].max(axis=0).tolist()
        return max(watermark, settled - 1), max(watermark + 1 - HISTORY_DAYS, dropped)

    def _restates(self, rate: Rate, booked: int) -> bool:
        """Does it change what is accrued?"""
        return self.rates.changes_from(rate) <= booked and not self.rates.is_new_ground(rate)

    def _refusal(self, rate: Rate, latest_on: int, kept: int) -> str | None:
        """Why it cannot be taken, nor be a restatement that is exact."""
        fault = rate.fault()
        if fault or not latest_on:
            return fault
        if rate.kind in PRICES and not self.rates.active:
            return "the first price came after the first event"
        if self.rates.is_new_ground(rate):
            return None
        if rate.kind == "overdraft":
            return f"its accounts have figures already; {REBUILD}"
        if rate.kind == "cost_driver" and rate.driver != ACCOUNT_DAY:
            if rate.from_day > latest_on:
                return None
            return f"uses are booked, and their count by day is not kept; {REBUILD}"
        if self.rates.changes_from(rate) < kept:
            return f"balances are kept from {date.fromordinal(kept)} only; {REBUILD}"
        return None

    def restatement(self, done: int, watermark: int, latest_on: int) -> Restatement | None:
        """What the ledgers are to be corrected by, when there is anything; `done` is the number of
        the last one that all of them had. The rates that wait are taken."""
        last = self.rates.last_restatement()
        if last == done and self._restating:
            _, kept = self._bounds(watermark)  # days may have closed since they were looked at
            waiting, self._restating = self._restating, {}
            places = set()
            for key, rate in waiting.items():
                place = (*rate.place, rate.from_day)
                reason = self._refusal(rate, latest_on, kept)
                if reason:
                    self._alarms.append(f"restatement of {key}: {reason}")
                elif place in places:  # of another source: one restatement has one value before
                    self._restating[key] = rate
                else:
                    places.add(place)
                    before = self.rates.value_of(rate)
                    taken = msgspec.structs.replace(rate, restatement=done + 1, before=before)
                    self.rates.take(taken)
                    self._untold.append(taken)
                    last = done + 1
        return self.rates.restatement(last) if last > done else None

    def told(self, partition: int) -> tuple[list[tuple[bytes, bytes | None]], list[str]]:
        """Records of the rates just taken, and alarms; each is handed out once."""
        records = [state.rate_record(partition, rate) for rate in self._untold]
        alarms, self._untold, self._alarms = self._alarms, [], []
        return list(records), alarms


def _grown(array: NDArray[Any], size: int, fill: int = 0) -> NDArray[Any]:
    new = np.full((size, *array.shape[1:]), fill, array.dtype)
    new[: len(array)] = array
    return new
