"""The columns of one partition: customer and account rows, ids of the open window, timers.

Numbers and texts are looked up here; everything that happens to a row happens in the kernel.
"""

import heapq
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from services.scoring import account_rows, applied_ids, kernel, packing, state, unpacking, watermark
from services.scoring.account_rows import AccountKeys, AccountRows
from services.scoring.beginning import Customers, Watches
from services.scoring.books import AccountKey, Books
from services.scoring.growing import with_room
from services.scoring.interned import Interned
from services.scoring.live_sets import LiveSet
from services.scoring.records import Packed, StateRows
from services.scoring.rows import ACCOUNT, ACCOUNT_WORDS, CUSTOMER, CUSTOMER_WORDS, HASHES_MAX
from services.scoring.scanning import Known
from services.scoring.scores import looking
from services.scoring.scores.contribution.entries import Tail
from services.scoring.watched import Watched

Ints = NDArray[np.int64]
Record = tuple[bytes, bytes | None]  # key and value; None removes
_START = 1024
LAST_OFFSET = (1 << 63) - 1
if TYPE_CHECKING:
    Rows = array[int]  # Python 3.11 cannot say so when it runs
else:
    Rows = array


@dataclass(slots=True)
class Timers:
    """One timer per customer in buckets of days; a late one is put on when it is looked at."""

    buckets: dict[int, Rows] = field(default_factory=dict)
    days: list[int] = field(default_factory=list)

    def arm(self, rows: Ints, days: Ints) -> None:
        """Each row for its day; those of one day in the order they have here."""
        order = np.argsort(days, kind="stable")
        rows, days = rows[order].astype(np.int32), days[order]
        begins = np.flatnonzero(np.diff(days, prepend=0)).tolist()  # no day is 0
        for begin, end in pairwise([*begins, len(rows)]):
            self._bucket(int(days[begin])).frombytes(rows[begin:end].tobytes())

    def _bucket(self, day: int) -> Rows:
        found = self.buckets.get(day)
        if found is None:
            found = self.buckets[day] = array("i")
            heapq.heappush(self.days, day)
        return found

    def due(self, day: int, armed: Ints) -> Ints:
        """Takes out the rows armed for this day or before it, in the order of memory: a close goes
        through most of it."""
        found: list[Ints] = [np.zeros(0, np.int64)]
        while self.days and self.days[0] <= day:
            bucket_day = heapq.heappop(self.days)
            rows = np.frombuffer(self.buckets.pop(bucket_day), np.int32).astype(np.int64)
            found.append(rows[armed[rows] == bucket_day])
        due: Ints = np.unique(np.concatenate(found))  # a row may be put on one day twice
        return due


class Partition:
    """All state of one partition of `bank.events`.

    Of a column only what belongs to rows is ever written or read: the rest takes no memory.
    """

    def __init__(self, number: int, first: LiveSet, currency: str) -> None:
        self.number = number
        self.live = first  # the set of rules that judges from the last closed day on
        self.home_currency = currency
        self.closes = watermark.fresh(number)
        self.numbers = Interned()  # of the customers, by row
        self.account_keys = AccountKeys()
        self.currencies: dict[str, int] = {}  # code -> its number below
        self.currency_of: Ints = np.zeros(_START, np.int64)  # of each account row
        self.sources: dict[str, None] = {}  # heard of, and channels: the scanner knows no others
        self.channels: dict[str, None] = {}
        self._words, self._words_of = Known((), (), (), ()), [0, 0, 0, 0]
        self.customers = np.zeros(_START, CUSTOMER)
        self.accounts = np.zeros(_START, ACCOUNT)
        self.armed: Ints = np.zeros(_START, np.int64)
        self.stamps: Ints = np.zeros(_START, np.int64)
        self.heads: Ints = np.zeros((_START, 2), np.int64)
        self.first_account: Ints = np.zeros(_START, np.int64)
        self.next_account: Ints = np.zeros(_START, np.int64)
        # Of each account row, the offset of its first event; 0: it was recovered. A batch that is
        # read twice has begun what stands behind an event in it.
        self.begun: Ints = np.zeros(_START, np.int64)
        self.ids: Ints = np.zeros((_START, 4), np.int64)
        self.slots: Ints = np.full(4 * _START, -1, np.int64)
        self.counters: Ints = np.zeros(kernel.COUNTERS, np.int64)
        self.books = Books()
        self.watched = Watched(first.plan)
        self.latest_on = 0  # the last business day of an event that figures rest on; 0: none came
        self.timers = Timers()
        self.recovered_to = -1  # the greatest offset of a recovered row
        self.position = -1  # the last offset of `bank.events` stepped
        self.inputs = 0  # applied since the start
        self.spills: dict[int, list[tuple[int, int]]] = {}  # row -> (number, its latest day)

    # Look-ups -------------------------------------------------------------------------------

    def row(self, customer_number: str) -> int:
        """The row of a customer; a new one if there is none."""
        row = self.numbers.find(customer_number.encode())
        return self.new_row(customer_number) if row < 0 else row

    def new_row(self, customer_number: str) -> int:
        number = customer_number.encode()
        self.make_room_for_customers(1, len(number))
        return unpacking.begin_customer(
            self.numbers.texts, np.frombuffer(number, np.uint8), 0, len(number),
            self.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS), self.heads,
            self.first_account, self.books.grades.heads,
        )  # fmt: skip

    def customer_rows(self) -> Customers:
        """As the kernels take what is written when one begins."""
        words = self.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS)
        return Customers(self.numbers.texts, words, self.heads, self.books.grades.heads)

    def make_room_for_customers(self, more: int, letters: int) -> None:
        count = len(self.numbers)
        self.numbers.make_room(more, letters)
        if count + more < len(self.customers):
            return
        self.customers = with_room(self.customers, count, more)
        self.armed = with_room(self.armed, count, more)
        self.stamps = with_room(self.stamps, count, more)
        self.heads = with_room(self.heads, count, more)
        self.first_account = with_room(self.first_account, count, more)
        self.books.make_room_for_customers(count, more)
        self.watched.looks = with_room(self.watched.looks, count, more)

    def account_rows(self) -> AccountRows:
        """As the kernels take them."""
        keys, books, watched = self.account_keys, self.books, self.watched
        return AccountRows(
            keys.spans, keys.words, keys.words.view(np.uint8), keys.slots, keys.used,
            self.first_account, self.next_account, books.owners, self.currency_of, books.spans,
            watched.places, watched.heads,
        )  # fmt: skip

    def key_of(self, account: int) -> AccountKey:
        customer = self.numbers[int(self.books.owners[account, account_rows.ROW])]
        return (customer.decode(), *self.account_keys.texts(account))

    def accounts_of(
        self, customer_number: str, number: str, through: int = LAST_OFFSET
    ) -> list[AccountKey]:
        """The customer's accounts of a number that are no loans and began no later than at this
        offset: in whatever product and currency."""
        row, raw, found = self.numbers.find(customer_number.encode()), number.encode(), []
        known, text = self.account_rows(), np.frombuffer(raw or b"\0", np.uint8)
        account = -1 if row < 0 else account_rows.of_number(known, row, text, len(raw), -1)
        while account >= 0:
            if self.begun[account] <= through:
                found.append(self.key_of(account))
            account = account_rows.of_number(known, row, text, len(raw), account)
        return found

    def loan(self, customer_number: str, loan_number: str, through: int = LAST_OFFSET) -> int:
        """The account row of a customer's loan that began no later than at this offset, of several
        the last; -1: it is not known."""
        row, raw = self.numbers.find(customer_number.encode()), loan_number.encode()
        if row < 0 or not raw:
            return -1
        account = int(
            account_rows.of_loan(self.account_rows(), row, np.frombuffer(raw, np.uint8), len(raw))
        )
        if account < 0 or self.begun[account] <= through:
            return account
        while account >= 0 and not (
            self.begun[account] <= through and self.key_of(account)[-1] == loan_number
        ):
            account = int(self.next_account[account])
        return account

    def account(self, row: int, key: AccountKey, offset: int = 0) -> int:
        """The account row of a customer, product and currency; a new one if there is none, begun
        by the event at this offset."""
        _, number, product, currency, loan = key
        known = len(self.account_keys)
        text = state.account_text(number, product, currency, loan)
        self.make_room_for_accounts(1, len(text) // 8)
        of_set = -1 if loan else self.set_of(product, currency)
        account = account_rows.find_or_begin(
            self.account_rows(), row, np.frombuffer(text, np.int64), np.frombuffer(text, np.uint8),
            self.books.rates.index(product), self.currency(currency), of_set,
            self.watched.words_of(of_set),
        )  # fmt: skip
        if account >= known:
            self.begun[account] = offset
        return account

    def make_room_for_accounts(self, more: int, words: int) -> None:
        count = len(self.account_keys)
        self.account_keys.make_room(more, words)
        features_end = int(self.account_keys.used[account_rows.FEATURES_END])
        self.watched.make_room_for_accounts(count, more, features_end)
        if count + more < len(self.accounts):
            return
        self.accounts = with_room(self.accounts, count, more)
        self.next_account = with_room(self.next_account, count, more)
        self.begun = with_room(self.begun, count, more)
        self.currency_of = with_room(self.currency_of, count, more)
        self.books.make_room_for_accounts(count, more)

    def currency(self, code: str) -> int:
        """Its number; an unknown one gets one."""
        return self.currencies.setdefault(code, len(self.currencies))

    def set_of(self, product: str, currency: str) -> int:
        """The set of products that an account is watched by; -1: none. A loan is no account."""
        return self.watched.set_of(product, currency, self.home_currency)

    def watches(self, products: Sequence[str]) -> Watches:
        """Of each of these products how an account is watched that begins."""
        sets = [self.set_of(product, self.home_currency) for product in products]
        features = [self.watched.words_of(of_set) for of_set in sets]
        home = self.currencies.get(self.home_currency, -1)
        return Watches(np.array(sets, np.int64), np.array(features, np.int64), home)

    def words(self) -> Known:
        """What the scanner knows by now; they only become more."""
        lists = (self.sources, self.books.rates.products, self.currencies, self.channels)
        counts = [len(one) for one in lists]
        if counts != self._words_of:
            self._words, self._words_of = Known(*lists), counts
        return self._words

    def make_room(self, events: int) -> None:
        """So that the kernel never runs out of places for ids and for what waits."""
        self.watched.make_room(events)
        used = int(self.counters[kernel.IDS])
        if used + events <= len(self.ids):
            return
        used = self._forget()
        if 2 * used + events > len(self.ids):
            self.ids = with_room(self.ids, used, used + events)
            size = len(self.slots)
            while size < 2 * len(self.ids):
                size *= 2
            self.slots = np.full(size, -1, np.int64)
            self._forget()

    def _forget(self) -> int:
        kept = applied_ids.forget(
            self.slots,
            self.ids,
            self.heads[: len(self.numbers)],
            int(self.counters[kernel.IDS]),
            self.closes.watermark,
        )
        self.counters[kernel.IDS] = kept
        return kept

    # Records --------------------------------------------------------------------------------

    def records(self, touched: Ints) -> Packed:
        """The records of these customers, spilled ids before the row that counts on them."""
        n = len(touched)
        spilled = [record for row in touched[self.heads[touched, 1] > HASHES_MAX].tolist()
                   for record in self._spill(row)]  # fmt: skip
        if self.spills:
            for row in self.spills.keys() & set(touched.tolist()):
                spilled += self._unspill(row)
        begins: Ints = np.zeros(n + 1, np.int64)
        books, keys = self.books, self.account_keys
        tail, watch = Tail(books.spans, books.pool, books.used), self.watched.watch()
        words = packing.sizes(
            touched, n, self.first_account, self.next_account, keys.spans, self.heads,
            books.ledgers, tail, books.grades, watch, begins,
        )  # fmt: skip
        packed, lengths = np.empty(words, np.int64), np.empty(n, np.int64)
        packing.pack(
            touched, n, self.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS),
            self.accounts.view(np.int64).reshape(-1, ACCOUNT_WORDS), self.first_account,
            self.next_account, keys.spans, keys.words, books.ledgers, tail, books.grades,
            watch, self.heads, self.ids, self.closes.watermark, begins, lengths, packed,
        )  # fmt: skip
        known = self.numbers.texts
        rows = StateRows(touched, known.letters, known.ends, packed.view(np.uint8),
                         8 * begins[:-1], 8 * lengths)  # fmt: skip
        return Packed(spilled, rows)

    def _spill(self, row: int) -> list[Record]:
        taken = np.zeros((int(self.heads[row, 1]), 2), np.int64)
        n = applied_ids.spill(self.ids, self.heads, row, taken)
        known = self.spills.setdefault(row, [])
        records: list[Record] = []
        for begin in range(0, n, HASHES_MAX):
            part = [(int(h), int(d)) for h, d in taken[begin : begin + HASHES_MAX]]
            number = known[-1][0] + 1 if known else 1
            known.append((number, max(day for _, day in part)))
            key = self.numbers[row] + b"/%d" % number
            records.append((key, state.pack_spilled(part)))
        return records

    def _unspill(self, row: int) -> list[Record]:
        """Removes spilled records all of whose days are closed."""
        closed = self.closes.watermark
        gone = [number for number, day in self.spills[row] if day <= closed]
        kept = [(number, day) for number, day in self.spills[row] if day > closed]
        if kept:
            self.spills[row] = kept
        else:
            del self.spills[row]
        return [(self.numbers[row] + b"/%d" % number, None) for number in gone]

    # Recovery -------------------------------------------------------------------------------

    def recovered(self) -> None:
        """Builds the timers anew; to be called when the last record is in."""
        last_on = self.accounts["last_on"][: len(self.account_keys)]
        self.latest_on = max(int(last_on.max(initial=0)), self.closes.watermark)
        self.arm_anew(self.closes.watermark)
        armed = self.armed[: len(self.numbers)]
        unpacking.due_days(
            self.customers, self.accounts, self.first_account, self.next_account,
            self.watched.looks, self.closes.watermark, armed,
        )  # fmt: skip
        self.timers = Timers()
        due = np.flatnonzero(armed)
        self.timers.arm(due, armed[due])

    def arm_anew(self, through: int) -> None:
        watch = self.watched.watch()
        looking.arm_anew(watch, self.first_account, self.next_account, len(self.numbers), through)

    # Figures --------------------------------------------------------------------------------

    def totals(self) -> tuple[int, dict[str, int]]:
        """Count of transactions and exact sum by currency over all rows."""
        n = len(self.account_keys)
        sums: dict[str, int] = {}
        for currency, number in self.currencies.items():
            # Sums of up to 2**61 each: their halves are added apart.
            chosen = self.accounts["sum_minor"][:n][self.currency_of[:n] == number]
            high, low = chosen >> 32, chosen & 0xFFFFFFFF
            sums[currency] = (int(high.sum()) << 32) + int(low.sum())
        return int(self.accounts["count"][:n].sum()), sums
