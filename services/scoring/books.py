"""The ledgers of one partition, the rates it has taken, and the leaves of the batch in hand."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring import state
from services.scoring.growing import with_room
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
        self.spans: Ints = np.zeros((_START, entries.SPAN_WORDS), np.int64)
        self.pool: Ints = np.zeros((_START, entries.WORDS), np.int64)
        self.used: Ints = entries.used_from_none()
        self.grades = Grades(
            np.zeros(_START, np.int64), np.zeros((_START, grades.WORDS), np.int64),
            np.array([0, -1], np.int64),
        )  # fmt: skip
        self.leaves: Ints = np.zeros((_START, LEAF_WORDS), np.int64)
        self.written: Ints = np.zeros(1, np.int64)
        self.posted_until = 0  # the months before this day are posted of so many customers
        self.posted_rows = 0
        self._looked_at = 0  # of the rates that the engine knows
        self._untold: list[Rate] = []
        self._restating: dict[str, Rate] = {}  # wait for `restatement`, by key
        self._alarms: list[str] = []

    def make_room_for_accounts(self, known: int, more: int) -> None:
        self.ledgers = with_room(self.ledgers, known, more)
        self.owners = with_room(self.owners, known, more)
        self.spans = with_room(self.spans, known, more)

    def make_room_for_customers(self, known: int, more: int) -> None:
        heads = with_room(self.grades.heads, known, more)
        self.grades = self.grades._replace(heads=heads)

    def book(self, rates: Tables | None = None) -> Book:
        """All of it as the kernel takes it; by other rates than those of now when given."""
        tail = entries.Tail(self.spans, self.pool, self.used)
        tables = self.rates.tables() if rates is None else rates
        return Book(self.ledgers, self.owners, tail, self.grades, tables, self.leaves, self.written)

    def closed(self, accounts: int, until: int) -> "Books":
        """A copy in which each account is settled before `until` and has posted all: the leaves
        are those of now."""
        copy = Books()
        for name in ("ledgers", "owners", "spans", "pool", "used"):
            setattr(copy, name, getattr(self, name).copy())
        copy.rates, copy.grades = self.rates, self.grades
        account = 0
        while (account := post_all(copy.book(), account, accounts, until)) < accounts:
            copy.make_room()
        return copy

    def open_leaves(self, accounts: int, until: int) -> Ints:
        """The leaves that a close before `until` would post of each account. Changes nothing."""
        copy = self.closed(accounts, until)
        return copy.leaves[: int(copy.written[0])]

    def leaves_of(
        self, key_of: Callable[[int], AccountKey], leaf_rows: Iterable[list[int]]
    ) -> list[Leaf]:
        """The kernel's rows as leaves. Those of one account mostly follow each other."""
        found, of_key = [], -1
        for _, account, component, period, origin, amount in leaf_rows:
            if account != of_key:
                of_key, key = account, key_of(account)
            customer, number, own, _, loan = key
            product = own
            if component in _OF_NEGATIVE and not loan:
                product = self.rates.overdraft.get(own, own)
            found.append(
                Leaf(customer, number, product, COMPONENTS[component], period_of(period),
                     period_of(origin), amount, loan, "" if product == own else own)
            )  # fmt: skip
        return found

    def posted(self) -> list[list[int]]:
        """The kernel's rows of leaves since they were last counted from none."""
        found: list[list[int]] = self.leaves[: int(self.written[0])].tolist()
        return found

    def make_room(self) -> None:
        """Twice the leaves, the entries or the grades: of which half is used; of all, where no
        half is and a single account needs more than there are."""
        held = self.grades.pool
        used = int(self.written[0]), int(self.used[0]), int(self.grades.used[grades.G_USED])
        columns = self.leaves, self.pool, held
        full = [2 * n >= len(column) for n, column in zip(used, columns, strict=True)]
        self.leaves, self.pool, held = (
            with_room(column, n, len(column)) if is_full or not any(full) else column
            for n, column, is_full in zip(used, columns, full, strict=True)
        )
        self.grades = self.grades._replace(pool=held)

    def make_room_for(self, more_entries: int, more_grades: int) -> None:
        """Beside those there are."""
        places = entries.MOST_MOVES * more_entries
        self.pool = with_room(self.pool, int(self.used[0]), places)
        used = int(self.grades.used[grades.G_USED])
        self.grades = self.grades._replace(pool=with_room(self.grades.pool, used, more_grades))

    # Rates ----------------------------------------------------------------------------------

    def look_at(self, known: Sequence[Rate], watermark: int, latest_on: int) -> None:
        """Takes the rates that are new. `latest_on` is the last day of an event; 0: none came.

        One that changes what was booked already is a restatement: it waits until the ledgers are
        walked, or is refused, with an alarm, when they no longer hold what it takes.
        """
        newest: dict[str, Rate] = {}  # as compaction would have it, in the order of the last words
        faults: dict[str, str] = {}  # of words that are no rates, and were not corrected since
        for rate in known[self._looked_at :]:
            if fault := rate.fault():  # it takes nothing back
                faults[rate.key] = fault
                continue
            faults.pop(rate.key, None)
            newest.pop(rate.key, None)
            newest[rate.key] = rate
        self._looked_at = len(known)
        self._alarms += [f"restatement of {key}: {fault}" for key, fault in faults.items()]
        if not newest:
            return
        booked, kept = self._bounds(watermark)
        last = {rate.dated: rate.key for rate in newest.values()}
        for rate in newest.values():
            self._restating.pop(rate.key, None)
            before = self.rates.taken.get(rate.key)
            is_known = before is not None and before.says() == rate.says()
            if is_known and (last[rate.dated] != rate.key or self._holds(rate)):
                continue
            reason = self._refusal(rate, latest_on, kept)
            if reason:
                self._alarms.append(f"restatement of {rate.key}: {reason}")
            elif latest_on and self._restates(rate, booked):
                self._restating[rate.key] = rate
            else:
                taken = rate if before is None else before.corrected(rate)
                self.rates.take(taken)
                self._untold.append(taken)

    def _holds(self, rate: Rate) -> bool:
        """Is it what holds, and will when all that waits is taken? Another source may have spoken
        since."""
        for one in reversed(self._restating.values()):
            if one.dated == rate.dated:
                return one.says() == rate.says()
        if rate.kind == "overdraft":
            return self.rates.overdraft.get(rate.product) == rate.overdraft
        return self.rates.value_of(rate) == rate.value

    def _bounds(self, watermark: int) -> tuple[int, int]:
        """The last day that a ledger has accrued, and the first whose balances all of them keep.

        After a crash ledgers may be ahead of the watermark.
        """
        settled, dropped = self.ledgers[:, [SETTLED_ON, KEPT_FROM]].max(axis=0).tolist()
        return max(watermark, settled - 1), max(watermark + 1 - HISTORY_DAYS, dropped)

    def _restates(self, rate: Rate, booked: int) -> bool:
        """Does it change what is accrued?"""
        return rate.from_day <= booked and not self._is_new_ground(rate)

    def _is_new_ground(self, rate: Rate) -> bool:
        """Was nothing booked that the rate could change? An overdraft's product may be described
        after its prices, as long as no account of the product has a ledger."""
        if rate.kind != "overdraft":
            return self.rates.is_new_ground(rate)
        product = self.rates.products.get(rate.product, -1)
        of_product = (self.owners[:, 0] == product) & (self.owners[:, 1] == 0)
        return not bool((of_product & (self.ledgers[:, SETTLED_ON] > 0)).any())

    def _refusal(self, rate: Rate, latest_on: int, kept: int) -> str | None:
        """Why it cannot be taken, nor be a restatement that is exact."""
        if not latest_on:
            return None
        if rate.kind in PRICES and not self.rates.active:
            return "the first price came after the first event"
        if self._is_new_ground(rate):
            return None
        if rate.kind == "overdraft":
            return f"its accounts have figures already; {REBUILD}"
        if rate.kind == "cost_driver" and rate.driver != ACCOUNT_DAY:
            if rate.from_day > latest_on:
                return None
            return f"uses are booked, and their count by day is not kept; {REBUILD}"
        if rate.from_day < kept:
            return f"balances are kept from {date.fromordinal(kept)} only; {REBUILD}"
        return None

    def restatement(self, done: int, watermark: int, latest_on: int) -> Restatement | None:
        """What the ledgers are to be corrected by, when there is anything; `done` is the number of
        the last one that all of them had. The rates that wait are taken."""
        last = max(self.rates.last_restatement(), done)
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
