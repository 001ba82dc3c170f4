"""The columns of one partition: customer and account rows, ids of the open window, timers.

Numbers and texts are looked up here; everything that happens to a row happens in the kernel.
"""

import heapq
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring import applied_ids, kernel, packing, state, watermark
from services.scoring.books import AccountKey, Books
from services.scoring.live_sets import LiveSet
from services.scoring.rate import Rate
from services.scoring.rows import (
    ACCOUNT,
    ACCOUNT_WORDS,
    CUSTOMER,
    CUSTOMER_WORDS,
    HASHES_MAX,
    KIND_CUSTOMER,
    KIND_RATE,
    KIND_SPILLED,
)
from services.scoring.scores import looking
from services.scoring.scores.contribution.entries import Tail
from services.scoring.watched import Watched

Ints = NDArray[np.int64]
Record = tuple[bytes, bytes | None]  # key and value; None removes
_START = 1024


def _grown(array: NDArray[Any], size: int, fill: int = 0) -> NDArray[Any]:
    new = np.zeros((size, *array.shape[1:]), array.dtype)
    if fill:
        new.view(np.int64)[...] = fill
    new[: len(array)] = array
    return new


@dataclass(slots=True)
class Timers:
    """One timer per customer in buckets of days; a late one is put on when it is looked at."""

    buckets: dict[int, list[int]] = field(default_factory=dict)
    days: list[int] = field(default_factory=list)

    def arm(self, arms: Iterable[Sequence[int]]) -> None:
        for row, day in arms:
            bucket = self.buckets.get(day)
            if bucket is None:
                self.buckets[day] = [row]
                heapq.heappush(self.days, day)
            else:
                bucket.append(row)

    def due(self, day: int, armed: Ints) -> Ints:
        """Takes out the rows armed for this day or before it, earliest first."""
        found: list[int] = []
        while self.days and self.days[0] <= day:
            bucket_day = heapq.heappop(self.days)
            rows = self.buckets.pop(bucket_day)
            found += [row for row in rows if armed[row] == bucket_day]
        return np.array(list(dict.fromkeys(found)), np.int64)


class Partition:
    """All state of one partition of `bank.events`."""

    def __init__(self, number: int, first: LiveSet, currency: str) -> None:
        self.number = number
        self.live = first  # the set of rules that judges from the last closed day on
        self.home_currency = currency
        self.closes = watermark.fresh(number)
        self.rows: dict[bytes, int] = {}  # by customer number
        self.keys: list[bytes] = []
        self.accounts_of: dict[AccountKey, int] = {}
        self.account_keys: list[AccountKey] = []
        self.accounts_by_number: dict[bytes, int] = {}  # the first of its number; no loan
        self.currencies: dict[str, int] = {}  # code -> its number below
        self.currency_of: Ints = np.zeros(_START, np.int64)  # of each account row
        self.owner_of: Ints = np.zeros(_START, np.int64)  # the customer's row
        self.sources: dict[str, None] = {}  # heard of, and channels: the scanner knows no others
        self.channels: dict[str, None] = {}
        self.customers = np.zeros(_START, CUSTOMER)
        self.customers["offset"] = -1
        self.accounts = np.zeros(_START, ACCOUNT)
        self.armed: Ints = np.zeros(_START, np.int64)
        self.stamps: Ints = np.zeros(_START, np.int64)
        self.heads: Ints = np.zeros((_START, 2), np.int64)
        self.heads[:, 0] = -1
        self.first_account: Ints = np.full(_START, -1, np.int64)
        self.next_account: Ints = np.full(_START, -1, np.int64)
        self.texts: Ints = np.zeros((_START, 2), np.int64)
        self.text_words: Ints = np.zeros(8 * _START, np.int64)
        self.text_end = 0
        self.ids: Ints = np.zeros((_START, 4), np.int64)
        self.slots: Ints = np.full(4 * _START, -1, np.int64)
        self.counters: Ints = np.zeros(kernel.COUNTERS, np.int64)
        self.books = Books()
        self.watched = Watched(first.plan)
        self.latest_on = 0  # the last business day of an event stepped
        self.timers = Timers()
        self.recovered_to = -1  # the greatest offset of a recovered row
        self.position = -1  # the last offset of `bank.events` stepped
        self.inputs = 0  # applied since the start
        self._packed: Ints = np.empty(0, np.int64)  # where records are put together
        self.spills: dict[int, list[tuple[int, int]]] = {}  # row -> (number, its latest day)

    # Look-ups -------------------------------------------------------------------------------

    def new_row(self, customer_number: str) -> int:
        row = len(self.keys)
        if row >= len(self.customers):
            size = 2 * row
            begun = len(self.customers)
            self.customers = _grown(self.customers, size)
            self.customers["offset"][begun:] = -1
            self.armed = _grown(self.armed, size)
            self.stamps = _grown(self.stamps, size)
            self.heads = _grown(self.heads, size)
            self.heads[begun:, 0] = -1
            self.first_account = _grown(self.first_account, size, -1)
            self.books.know_customers(size)
            self.watched.looks = _grown(self.watched.looks, size)
        key = customer_number.encode()
        self.rows[key] = row
        self.keys.append(key)
        return row

    def account_of(self, number: str) -> AccountKey | None:
        """Whose account of which product it is."""
        account = self.accounts_by_number.get(number.encode())
        return None if account is None else self.account_keys[account]

    def account(self, row: int, key: AccountKey) -> int:
        """The account row of a customer, product and currency; a new one if there is none."""
        account = self.accounts_of.get(key, -1)
        return self.new_account(row, key) if account < 0 else account

    def new_account(self, row: int, key: AccountKey) -> int:
        account = len(self.accounts_of)
        if account >= len(self.accounts):
            size = 2 * account
            self.accounts = _grown(self.accounts, size)
            self.next_account = _grown(self.next_account, size, -1)
            self.texts = _grown(self.texts, size)
            self.currency_of = _grown(self.currency_of, size)
            self.owner_of = _grown(self.owner_of, size)
        text = np.frombuffer(state.account_text(*key[1:]), "<i8")
        end = self.text_end + len(text)
        if end > len(self.text_words):
            self.text_words = _grown(self.text_words, max(end, 2 * len(self.text_words)))
        self.text_words[self.text_end : end] = text
        self.texts[account] = self.text_end, len(text)
        self.text_end = end
        self.next_account[account] = self.first_account[row]
        self.first_account[row] = account
        self.accounts_of[key] = account
        self.account_keys.append(key)
        if not key[4]:
            self.accounts_by_number.setdefault(key[1].encode(), account)
        self.books.own(account, key, row)
        self.watched.own(account, self.set_of(key))
        self.owner_of[account] = row
        self.currency_of[account] = self.currencies.setdefault(key[3], len(self.currencies))
        return account

    def set_of(self, key: AccountKey) -> int:
        """The set of products that the account is watched by; -1: none. A loan is no account."""
        _, _, product, currency, loan = key
        return -1 if loan else self.watched.set_of(product, currency, self.home_currency)

    def make_room(self, events: int) -> None:
        """So that the kernel never runs out of places for ids and for what waits."""
        self.watched.make_room(events)
        used = int(self.counters[kernel.IDS])
        if used + events <= len(self.ids):
            return
        used = self._forget()
        if 2 * used + events > len(self.ids):
            self.ids = _grown(self.ids, max(2 * used + events, 2 * len(self.ids)))
            size = len(self.slots)
            while size < 2 * len(self.ids):
                size *= 2
            self.slots = np.full(size, -1, np.int64)
            self._forget()

    def _forget(self) -> int:
        kept = applied_ids.forget(
            self.slots,
            self.ids,
            self.heads,
            int(self.counters[kernel.IDS]),
            self.closes.watermark,
        )
        self.counters[kernel.IDS] = kept
        return kept

    # Records --------------------------------------------------------------------------------

    def records(self, touched: Ints) -> list[Record]:
        """The records of these customers, spilled ids before the row that counts on them."""
        n = len(touched)
        if not n:
            return []
        spilled = [record for row in touched[self.heads[touched, 1] > HASHES_MAX].tolist()
                   for record in self._spill(row)]  # fmt: skip
        for row in self.spills.keys() & set(touched.tolist()):
            spilled += self._unspill(row)
        begins = np.zeros(n + 1, np.int64)
        books = self.books
        tail, watch = Tail(books.heads, books.pool, books.used), self.watched.watch()
        words = packing.sizes(
            touched, n, self.first_account, self.next_account, self.texts, self.heads,
            books.ledgers, tail, books.grades, watch, begins,
        )  # fmt: skip
        if words > len(self._packed):
            self._packed = np.empty(2 * words, np.int64)
        lengths = np.empty(n, np.int64)
        packing.pack(
            touched, n, self.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS),
            self.accounts.view(np.int64).reshape(-1, ACCOUNT_WORDS), self.first_account,
            self.next_account, self.texts, self.text_words, books.ledgers, tail, books.grades,
            watch, self.heads, self.ids, self.closes.watermark, begins, lengths,
            self._packed,
        )  # fmt: skip
        raw, keys = self._packed.data.cast("B"), self.keys
        ends = (begins[:-1] + lengths).tolist()
        return spilled + [
            (keys[row], bytes(raw[8 * begin : 8 * end]))
            for row, begin, end in zip(touched.tolist(), begins[:-1].tolist(), ends, strict=True)
        ]

    def _spill(self, row: int) -> list[Record]:
        taken = np.zeros((int(self.heads[row, 1]), 2), np.int64)
        n = applied_ids.spill(self.ids, self.heads, row, taken)
        known = self.spills.setdefault(row, [])
        records: list[Record] = []
        for begin in range(0, n, HASHES_MAX):
            part = [(int(h), int(d)) for h, d in taken[begin : begin + HASHES_MAX]]
            number = known[-1][0] + 1 if known else 1
            known.append((number, max(day for _, day in part)))
            key = self.keys[row] + b"/%d" % number
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
        return [(self.keys[row] + b"/%d" % number, None) for number in gone]

    # Recovery -------------------------------------------------------------------------------

    def restore(self, records: Iterable[tuple[bytes, bytes | None]]) -> None:
        """Takes records in the order of the log; of one key the greatest place stays.

        Raises UnreadableState: half a recovery would be silent loss.
        """
        newest: dict[bytes, bytes] = {}
        for key, value in records:
            if value is None:
                continue  # a spilled record whose days are closed
            kind = state.kind_of(value)
            if kind == KIND_CUSTOMER:
                known = newest.get(key)
                if known is None or state.place_of(value) >= state.place_of(known):
                    newest[key] = value
            elif kind == KIND_SPILLED:
                self._restore_spilled(key, value)
            elif kind == KIND_RATE:
                rate = state.unpack(key, value)
                assert isinstance(rate, Rate)
                self.books.rates.take(rate)
            else:
                self._restore_closes(key, value)
        self._restore_customers(newest)

    def _restore_closes(self, key: bytes, value: bytes) -> None:
        found = state.unpack(key, value)
        assert isinstance(found, state.PartitionState)
        if found.partition != self.number:
            raise state.UnreadableState(f"{key!r} in partition {self.number}")
        if found.offset >= self.closes.offset:
            self.closes = found

    def _restore_customers(self, newest: dict[bytes, bytes]) -> None:
        rows, kept = [], []
        for key, value in newest.items():
            number = key.decode()
            row = self.rows.get(key)
            if row is None:
                row = self.new_row(number)
            known = self.customers[row]
            if state.place_of(value) >= (known["offset"], known["input_sequence"]):
                rows.append(row)
                kept.append((number, value))
        if not rows:
            return
        words = np.frombuffer(
            b"".join(v[state.OFFSET_AT : state.OFFSET_AT + 8 * CUSTOMER_WORDS] for _, v in kept),
            "<i8",
        ).reshape(-1, CUSTOMER_WORDS)
        self.customers.view(np.int64).reshape(-1, CUSTOMER_WORDS)[rows] = words
        self.recovered_to = max(self.recovered_to, int(words[:, 0].max()))
        figures: list[tuple[int, ...]] = []
        accounts: list[int] = []
        for row, (number, value) in zip(rows, kept, strict=True):
            try:
                found, at = state.accounts_at(value)
                ids = state.ids_at(value, at, state.ids_count(value))
                grades = state.grades_at(value, at)
            except (ValueError, IndexError, struct.error) as error:
                raise state.UnreadableState(f"{number}: {error}") from error
            own = [self.account(row, (number, *one[1:5])) for one in found]
            for account, one in zip(own, found, strict=True):
                figures.append(one.figures)
                self.books.restore(account, one.ledger, one.entries)
                self._restore_watch(account, number, one)
            accounts += own
            self.books.restore_grades(row, grades, own)
            self._know(row, ids)
        if accounts:
            self.accounts.view(np.int64).reshape(-1, ACCOUNT_WORDS)[accounts] = figures

    def _restore_watch(self, account: int, number: str, record: state.AccountRecord) -> None:
        try:
            self.watched.restore(account, record.watch)
        except ValueError as error:
            raise state.UnreadableState(f"{number}, {record.account_number}: {error}") from error

    def _restore_spilled(self, key: bytes, value: bytes) -> None:
        found = state.unpack(key, value)
        assert isinstance(found, state.SpilledIds)
        row = self.rows.get(found.customer_number.encode())
        if row is None:
            row = self.new_row(found.customer_number)
        self._know(row, found.ids, spilled=True)
        latest = max((day for _, day in found.ids), default=0)
        known = [entry for entry in self.spills.get(row, []) if entry[0] != found.number]
        self.spills[row] = sorted([*known, (found.number, latest)])

    def _know(self, row: int, ids: tuple[tuple[int, int], ...], *, spilled: bool = False) -> None:
        if not ids:
            return
        self.make_room(len(ids))
        for id_hash, day in reversed(ids):
            known = int(self.counters[kernel.IDS])
            now = applied_ids.remember(self.slots, self.ids, self.heads, row, id_hash, day, known)
            self.counters[kernel.IDS] = now
            if spilled and now > known:
                applied_ids.unlink(self.ids, self.heads, known)

    def recovered(self) -> None:
        """Builds the timers anew; to be called when the last record is in."""
        self.timers = Timers()
        self.armed[:] = 0
        self.latest_on = max(int(self.accounts["last_on"].max()), self.closes.watermark)
        self.arm_anew(self.closes.watermark)
        for row in range(len(self.keys)):
            due = int(kernel.due_on(self.customers, self.watched.looks, row))
            if due > 0:
                self.armed[row] = due
                self.timers.arm([(row, due)])

    def arm_anew(self, through: int) -> None:
        watch = self.watched.watch()
        looking.arm_anew(watch, self.first_account, self.next_account, len(self.keys), through)

    # Figures --------------------------------------------------------------------------------

    def totals(self) -> tuple[int, dict[str, int]]:
        """Count of transactions and exact sum by currency over all rows."""
        n = len(self.accounts_of)
        sums: dict[str, int] = {}
        for currency, number in self.currencies.items():
            # Sums of up to 2**61 each: their halves are added apart.
            chosen = self.accounts["sum_minor"][:n][self.currency_of[:n] == number]
            high, low = chosen >> 32, chosen & 0xFFFFFFFF
            sums[currency] = (int(high.sum()) << 32) + int(low.sum())
        return int(self.accounts["count"][:n].sum()), sums
