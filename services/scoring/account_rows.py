"""Which account row is whose: of each its texts, and a hash table by the account number.

Numbers are those of the source: a loan may have that of its account, and one account may be kept in
two currencies. What is one account is told by the customer's row and all four texts together.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Final, NamedTuple

import numpy as np

from services.scoring.growing import with_room
from services.scoring.interned import HASH_SHIFT, NUMBER, hash_of, likely, put, slots_for
from services.scoring.json_text import Bytes, Ints, equal
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import entries
from services.scoring.scores.prefetching import AHEAD, ask_for

ACCOUNTS, WORDS_END, FEATURES_END = range(3)  # of `used`
PRODUCT, IS_LOAN, ROW = range(3)  # of `owners`
_START: Final = 1024
TEXTS: Final = 4  # account number, product, currency, loan number; their lengths are one word
_LENGTH: Final = 0xFFFF


class AccountRows(NamedTuple):
    """What is written when an account row begins, as kernels take it."""

    spans: Ints  # of each account: its begin in `words`, and how many: as its record has them
    words: Ints
    letters: Bytes  # the same memory
    slots: Ints
    used: Ints
    first: Ints  # of each customer, the account that began last; -1: none
    following: Ints  # of each account, the one of its customer before it
    owners: Ints
    currencies: Ints
    entries: Ints  # where those of its ledger lie
    places: Ints  # as the watched accounts have them
    waiting: Ints


@inlined
def number_letters(words: Ints, at: int) -> int:
    """How long the account number is; the four texts begin a word further."""
    return words[at] & _LENGTH  # type: ignore[no-any-return]


@inlined
def loan_letters(words: Ints, at: int) -> int:
    return words[at] >> 48 & _LENGTH  # type: ignore[no-any-return]


@inlined
def find(known: AccountRows, row: int, words: Ints, letters: Bytes, at: int, n: int) -> int:
    """The account of a customer's row whose texts are the n words from `at` on; -1: none."""
    begin = 8 * (at + 1)
    mixed = hash_of(letters, begin, begin + number_letters(words, at))
    slots, mask = known.slots, known.slots.shape[0] - 1
    slot = mixed & mask
    while slots[slot] != 0:
        if slots[slot] >> HASH_SHIFT == mixed:
            account = (slots[slot] & NUMBER) - 1
            same = known.owners[account, ROW] == row and known.spans[account, 1] == n
            word, place = 0, known.spans[account, 0]
            while same and word < n:
                same = known.words[place + word] == words[at + word]
                word += 1
            if same:
                return account  # type: ignore[no-any-return]
        slot = (slot + 1) & mask
    return -1


@inlined
def _of_hashed(known: AccountRows, text: Bytes, begin: int, end: int, mixed: int) -> int:
    slots, mask = known.slots, known.slots.shape[0] - 1
    slot = mixed & mask
    while slots[slot] != 0:
        if slots[slot] >> HASH_SHIFT == mixed:
            account = (slots[slot] & NUMBER) - 1
            at = known.spans[account, 0]
            own, own_end = 8 * (at + 1), 8 * (at + 1) + number_letters(known.words, at)
            if loan_letters(known.words, at) == 0 and equal(
                text, begin, end, known.letters, own, own_end
            ):
                return account  # type: ignore[no-any-return]
        slot = (slot + 1) & mask
    return -1


@compiled
def of_number(known: AccountRows, row: int, text: Bytes, letters: int, behind: int) -> int:
    """The account of a customer's number that is no loan and began last, or last before `behind`,
    one that was found; -1: none."""
    account = known.first[row] if behind < 0 else known.following[behind]
    while account >= 0:
        at = known.spans[account, 0]
        begin = 8 * (at + 1)
        end = begin + number_letters(known.words, at)
        if loan_letters(known.words, at) == 0 and equal(
            text, 0, letters, known.letters, begin, end
        ):
            return account  # type: ignore[no-any-return]
        account = known.following[account]
    return -1


@compiled
def of_numbers(known: AccountRows, text: Bytes, places: Ints, column: int, out: Ints) -> None:
    """The first account of each number that is no loan; -1: none. A column of places says where
    each number begins, the next one its end."""
    n, mask = places.shape[0], known.slots.shape[0] - 1
    for k in range(n + 3 * AHEAD):
        if k < n:  # what each look-up reads is asked for in turn
            out[k] = hash_of(text, places[k, column], places[k, column + 1])
            ask_for(known.slots, out[k] & mask, 1)
        if AHEAD <= k < n + AHEAD:
            account = likely(known.slots, out[k - AHEAD])
            ask_for(known.spans, account, 1)
            ask_for(known.owners, account, 1)
            ask_for(known.currencies, account, 1)
        if 2 * AHEAD <= k < n + 2 * AHEAD:
            account = likely(known.slots, out[k - 2 * AHEAD])
            ask_for(known.words, known.spans[account, 0], 1)
        at = k - 3 * AHEAD
        if at >= 0:
            out[at] = _of_hashed(known, text, places[at, column], places[at, column + 1], out[at])


@compiled
def of_loan(known: AccountRows, row: int, text: Bytes, letters: int) -> int:
    """The account of a customer's loan that began last; -1: none."""
    account = known.first[row]
    while account >= 0:
        at = known.spans[account, 0]
        end = 8 * (at + 1)
        for n in range(TEXTS):
            end += known.words[at] >> (16 * n) & _LENGTH
        if equal(text, 0, letters, known.letters, end - loan_letters(known.words, at), end):
            return account  # type: ignore[no-any-return]
        account = known.following[account]
    return -1


@inlined
def begin(
    known: AccountRows, row: int, words: Ints, letters: Bytes, at: int, n: int, product: int,
    currency: int, of_set: int, features: int,
) -> int:  # fmt: skip
    """A new account row; the caller has seen to it that there is room. `of_set` -1: not watched,
    else it has so many words of features."""
    account = known.used[ACCOUNTS]
    known.used[ACCOUNTS] = account + 1
    place = known.used[WORDS_END]
    known.used[WORDS_END] = place + n
    known.spans[account, 0], known.spans[account, 1] = place, n
    for word in range(n):
        known.words[place + word] = words[at + word]
    first = 8 * (at + 1)
    put(known.slots, hash_of(letters, first, first + number_letters(words, at)), account)
    known.following[account] = known.first[row]
    known.first[row] = account
    known.owners[account, PRODUCT] = product
    known.owners[account, IS_LOAN] = 1 if loan_letters(words, at) > 0 else 0
    known.owners[account, ROW] = row
    known.currencies[account] = currency
    for word in range(entries.SPAN_WORDS):
        known.entries[account, word] = 0
    known.waiting[account] = -1
    known.places[account, 0], known.places[account, 1], known.places[account, 2] = -1, -1, 0
    if of_set >= 0:
        known.places[account, 0], known.places[account, 1] = known.used[FEATURES_END], of_set
        known.used[FEATURES_END] += features
    return account  # type: ignore[no-any-return]


@compiled
def find_or_begin(
    known: AccountRows, row: int, words: Ints, letters: Bytes, product: int, currency: int,
    of_set: int, features: int,
) -> int:  # fmt: skip
    """The account whose texts these are; a new one if there is none."""
    n = words.shape[0]
    account = find(known, row, words, letters, 0, n)
    if account >= 0:
        return account
    return begin(known, row, words, letters, 0, n, product, currency, of_set, features)


@compiled
def _put_all(spans: Ints, words: Ints, letters: Bytes, slots: Ints, accounts: int) -> None:
    for account in range(accounts):
        at = spans[account, 0]
        first = 8 * (at + 1)
        mixed = hash_of(letters, first, first + number_letters(words, at))
        put(slots, mixed, account)


class AccountKeys:
    """The texts of the account rows of a partition."""

    def __init__(self) -> None:
        self.used: Ints = np.zeros(3, np.int64)
        self.spans: Ints = np.zeros((_START, 2), np.int64)
        self.words: Ints = np.zeros(8 * _START, np.int64)
        self.slots: Ints = np.zeros(2 * _START, np.int64)

    def __len__(self) -> int:
        return int(self.used[ACCOUNTS])

    def texts(self, account: int) -> tuple[str, str, str, str]:
        """Account number, product, currency, and the loan number or nothing."""
        begin, n = self.spans[account].tolist()
        raw = self.words[begin : begin + n].tobytes()
        number, product, currency, loan = np.frombuffer(raw, "<u2", 4).tolist()
        a = 8 + number
        b = a + product
        c = b + currency
        return raw[8:a].decode(), raw[a:b].decode(), raw[b:c].decode(), raw[c : c + loan].decode()

    def make_room(self, accounts: int, words: int) -> None:
        """For so many more, of so many words together."""
        count, end = self.used[:2].tolist()
        self.spans = with_room(self.spans, count, accounts)
        self.words = with_room(self.words, end, words)
        slots = slots_for(self.slots, count + accounts)
        if slots is not self.slots:
            self.slots = slots
            _put_all(self.spans, self.words, self.words.view(np.uint8), slots, count)
