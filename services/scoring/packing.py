"""Compiled writing of the customers' records, many at once into one run of words."""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import (
    ACCOUNT_WORDS,
    CUSTOMER_WORDS,
    HEAD_WORDS,
    KIND_CUSTOMER,
    LEDGER_WORDS,
    RECORD_VERSION,
)
from services.scoring.scores.compiling import compiled
from services.scoring.scores.contribution import entries
from services.scoring.scores.contribution.entries import Tail
from services.scoring.scores.contribution.ledger import SETTLED_ON

Ints = NDArray[np.int64]


@compiled
def sizes(
    touched: Ints, n: int, first_account: Ints, next_account: Ints, texts: Ints, heads: Ints,
    ledgers: Ints, tail: Tail, out: Ints,
) -> int:  # fmt: skip
    """Words of each touched customer's record, as running begins. Returns the sum."""
    total = 0
    for k in range(n):
        row = touched[k]
        out[k] = total
        total += HEAD_WORDS + CUSTOMER_WORDS + heads[row, 1] + (heads[row, 1] + 1) // 2
        account = first_account[row]
        while account >= 0:
            total += ACCOUNT_WORDS + 1 + texts[account, 1]
            if ledgers[account, SETTLED_ON] != 0:
                total += LEDGER_WORDS + 2 * entries.length(tail, account)
            account = next_account[account]
    out[n] = total
    return total


@compiled
def _pack_account(
    account: int, account_words: Ints, texts: Ints, text_words: Ints, ledgers: Ints, tail: Tail,
    out: Ints, at: int,
) -> int:  # fmt: skip
    """Writes one account from a place on; returns the place after it."""
    for word in range(ACCOUNT_WORDS):
        out[at] = account_words[account, word]
        at += 1
    ledger_at = at
    at += 1
    for word in range(texts[account, 1]):
        out[at] = text_words[texts[account, 0] + word]
        at += 1
    out[ledger_at] = 0
    if ledgers[account, SETTLED_ON] == 0:
        return at
    for word in range(LEDGER_WORDS):
        out[at] = ledgers[account, word]
        at += 1
    count = 0
    for which in range(entries.LISTS):
        place = tail.heads[account, which]
        while place >= 0:
            out[at] = tail.pool[place, entries.CODE]
            out[at + 1] = tail.pool[place, entries.AMOUNT]
            at += 2
            count += 1
            place = tail.pool[place, entries.NEXT]
    out[ledger_at] = count | (LEDGER_WORDS << 32)
    return at


@compiled
def pack(
    touched: Ints, n: int, customer_words: Ints, account_words: Ints, first_account: Ints,
    next_account: Ints, texts: Ints, text_words: Ints, ledgers: Ints, tail: Tail, heads: Ints,
    ids: Ints, watermark: int, begins: Ints, lengths: Ints, out: Ints,
) -> None:  # fmt: skip
    """Writes the records of the touched customers; `lengths` says how many words each took."""
    for k in range(n):
        row = touched[k]
        begin = begins[k]
        at = begin + HEAD_WORDS
        for word in range(CUSTOMER_WORDS):
            out[at] = customer_words[row, word]
            at += 1
        count = 0
        account = first_account[row]
        while account >= 0:
            at = _pack_account(account, account_words, texts, text_words, ledgers, tail, out, at)
            count += 1
            account = next_account[account]
        open_ids = 0
        entry = heads[row, 0]
        while entry >= 0:
            if ids[entry, 1] > watermark:
                out[at] = ids[entry, 0]
                at += 1
                open_ids += 1
            entry = ids[entry, 3]
        entry = heads[row, 0]
        place = 0
        while entry >= 0:
            if ids[entry, 1] > watermark:
                if place % 2 == 0:
                    out[at] = ids[entry, 1]
                else:
                    out[at] |= ids[entry, 1] << 32
                    at += 1
                place += 1
            entry = ids[entry, 3]
        if place % 2 == 1:
            at += 1
        out[begin] = RECORD_VERSION | (KIND_CUSTOMER << 8) | (count << 32)
        out[begin + 1] = open_ids
        lengths[k] = at - begin
