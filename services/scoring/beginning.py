"""Customers and accounts that come with the events of a batch, begun in compiled code.

They are numbered in the order of the events, as they would be one by one: what is published of a
customer names its accounts in that order.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Final, NamedTuple

import numpy as np

from services.scoring import account_rows, interned
from services.scoring.account_rows import AccountRows
from services.scoring.interned import Texts
from services.scoring.json_text import Bytes, Ints
from services.scoring.records import KEY, KEY_END
from services.scoring.scanning import (
    ACCOUNT,
    ACCOUNT_END,
    CURRENCY,
    PRODUCT,
    SOURCE,
    TEXT_MAX,
    Vocabulary,
)
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.unpacking import begin_customer

TEXT_WORDS_MAX: Final = 1 + (3 * TEXT_MAX + 7) // 8  # of an account: its lengths, then its texts
_SEED: Final = 0x9747B28C
_M: Final = 0x5BD1E995
_MASK: Final = 0xFFFFFFFF


class Customers(NamedTuple):
    """What is written when a customer begins."""

    numbers: Texts
    words: Ints
    heads: Ints
    graded: Ints


class Watches(NamedTuple):
    """How an account is watched when it begins. A foreign currency never is."""

    sets: Ints  # of each product; -1: not at all
    features: Ints  # and the words of a row
    home: int  # the number of the bank's own currency


@inlined
def _murmur2(text: Bytes, begin: int, end: int) -> int:
    """As Kafka hashes a key (`ids.partition_of`)."""
    mixed = np.int64(_SEED) ^ np.int64(end - begin)
    at = begin
    while at + 4 <= end:
        word = np.int64(0)
        for k in range(4):
            word |= np.int64(text[at + k]) << (8 * k)
        word = (word * _M) & _MASK
        word = ((word ^ (word >> 24)) * _M) & _MASK
        mixed = ((mixed * _M) & _MASK) ^ word
        at += 4
    if at < end:
        word = np.int64(0)
        for k in range(end - at):
            word |= np.int64(text[at + k]) << (8 * k)
        mixed = ((mixed ^ word) * _M) & _MASK
    mixed = ((mixed ^ (mixed >> 13)) * _M) & _MASK
    return int((mixed ^ (mixed >> 15)) & 0x7FFFFFFF)


@compiled
def partitions_of(text: Bytes, places: Ints, chosen: Ints, partitions: int, out: Ints) -> None:
    """The partition of each chosen record by its key."""
    for k in range(chosen.shape[0]):
        i = chosen[k]
        out[k] = _murmur2(text, places[i, KEY], places[i, KEY_END]) % partitions


@inlined
def _lay_out(letters: Bytes, at: int, text: Bytes, begin: int, end: int) -> int:
    for k in range(end - begin):
        letters[at + k] = text[begin + k]
    return at + end - begin


@inlined
def _account_text(words: Ints, letters: Bytes, text: Bytes, one: Ints, known: Vocabulary) -> int:
    """The texts of an event's account as `state.account_text` writes them; returns the words."""
    product = known.spans[known.firsts[PRODUCT - SOURCE] + one[PRODUCT]]
    currency = known.spans[known.firsts[CURRENCY - SOURCE] + one[CURRENCY]]
    words[0] = (
        one[ACCOUNT_END] - one[ACCOUNT]
        | (product[1] - product[0]) << 16 | (currency[1] - currency[0]) << 32
    )  # fmt: skip
    at = _lay_out(letters, 8, text, one[ACCOUNT], one[ACCOUNT_END])
    at = _lay_out(letters, at, known.letters, product[0], product[1])
    at = _lay_out(letters, at, known.letters, currency[0], currency[1])
    while at % 8 > 0:
        letters[at] = 0
        at += 1
    return at // 8


@compiled
def begin_all(
    text: Bytes, places: Ints, found: Ints, chosen: Ints, known: Vocabulary, watches: Watches,
    customers: Customers, begun: AccountRows, words: Ints, letters: Bytes, rows: Ints,
    accounts: Ints,
) -> None:  # fmt: skip
    """Notes of each chosen event its customer's row and its account, and begins what is new. The
    caller has seen to it that there is room. `words` and `letters` are one memory, for a text."""
    for k in range(chosen.shape[0]):
        i = chosen[k]
        key, key_end, one = places[i, KEY], places[i, KEY_END], found[i]
        row = interned.find(text, key, key_end, customers.numbers)
        if row < 0:
            row = begin_customer(customers.numbers, text, key, key_end, customers.words,
                                 customers.heads, begun.first, customers.graded)  # fmt: skip
        n = _account_text(words, letters, text, one, known)
        account = account_rows.find(begun, row, words, letters, 0, n)
        if account < 0:
            product, currency = one[PRODUCT], one[CURRENCY]
            account = account_rows.begin(
                begun, row, words, letters, 0, n, product, currency,
                watches.sets[product] if currency == watches.home else -1,
                watches.features[product],
            )  # fmt: skip
        rows[i], accounts[i] = row, account
