"""Compiled writing of the customers' records, many at once into one run of words."""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

import numpy as np
from numpy.typing import NDArray

from services.scoring import ahead
from services.scoring.rows import (
    ACCOUNT_WORDS,
    CUSTOMER_WORDS,
    HEAD_WORDS,
    KIND_CUSTOMER,
    LEDGER_WORDS,
    RECORD_VERSION,
)
from services.scoring.scores import waiting
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import entries
from services.scoring.scores.contribution.entries import Tail
from services.scoring.scores.contribution.grades import ACCOUNT as OF
from services.scoring.scores.contribution.grades import (
    ALL,
    CODE,
    GRADE,
    NEXT,
    TOLD,
    Grades,
    length,
)
from services.scoring.scores.contribution.ledger import SETTLED_ON
from services.scoring.scores.watching import WORDS, Watch

Ints = NDArray[np.int64]


@compiled
def sizes(
    touched: Ints, n: int, first_account: Ints, next_account: Ints, texts: Ints, heads: Ints,
    ledgers: Ints, tail: Tail, grades: Grades, watch: Watch, out: Ints,
) -> int:  # fmt: skip
    """Words of each touched customer's record at most, as running begins. Returns the sum."""
    total = 0
    for k in range(n):
        ahead.of_size(k, n, touched, first_account, next_account, texts, heads, ledgers, tail,
                      grades.heads, watch)  # fmt: skip
        row = touched[k]
        out[k] = total
        total += HEAD_WORDS + CUSTOMER_WORDS + heads[row, 1] + (heads[row, 1] + 1) // 2
        total += TOLD * length(grades, row)
        account = first_account[row]
        while account >= 0:
            total += ACCOUNT_WORDS + 2 + texts[account, 1]
            if ledgers[account, SETTLED_ON] != 0:
                total += LEDGER_WORDS + 2 * entries.length(tail, account)
            total += _watch_words(watch, account)
            account = next_account[account]
    out[n] = total
    return total


@inlined
def _ledger_words(ledgers: Ints, account: int) -> int:
    """Of a ledger without the zeros at its end: most have no overdraft, and fewer a capital."""
    words = LEDGER_WORDS
    while words > 0 and ledgers[account, words - 1] == 0:
        words -= 1
    return words


@inlined
def _watch_words(watch: Watch, account: int) -> int:
    if watch.places[account, 0] < 0:
        return 0
    own = WORDS[watch.sets[watch.places[account, 1], 0]]
    return own + waiting.TOLD * waiting.length(watch.waiting, account)


@inlined
def _pack_watch(watch: Watch, account: int, out: Ints, at: int) -> int:
    """Writes the account's features and what waits; returns the place after them."""
    begin = watch.places[account, 0]
    if begin < 0:
        return at
    for word in range(WORDS[watch.sets[watch.places[account, 1], 0]]):
        out[at] = watch.pool[begin + word]
        at += 1
    place = watch.waiting.heads[account]
    while place >= 0:
        for word in range(waiting.TOLD):
            out[at] = watch.waiting.pool[place, word]
            at += 1
        place = watch.waiting.pool[place, waiting.NEXT]
    return at


@inlined
def _pack_account(
    account: int, account_words: Ints, texts: Ints, text_words: Ints, ledgers: Ints, tail: Tail,
    watch: Watch, out: Ints, at: int,
) -> int:  # fmt: skip
    """Writes one account from a place on; returns the place after it."""
    for word in range(ACCOUNT_WORDS):
        out[at] = account_words[account, word]
        at += 1
    counts_at = at
    at += 2
    for word in range(texts[account, 1]):
        out[at] = text_words[texts[account, 0] + word]
        at += 1
    out[counts_at] = 0
    out[counts_at + 1] = _watch_words(watch, account)
    if ledgers[account, SETTLED_ON] == 0:
        return _pack_watch(watch, account, out, at)
    ledger_words = _ledger_words(ledgers, account)
    for word in range(ledger_words):
        out[at] = ledgers[account, word]
        at += 1
    begin, count = tail.spans[account, entries.BEGIN], entries.length(tail, account)
    for place in range(begin, begin + count):
        out[at] = tail.pool[place, entries.CODE]
        out[at + 1] = tail.pool[place, entries.AMOUNT]
        at += 2
    out[counts_at] = count | (ledger_words << 32)
    return _pack_watch(watch, account, out, at)


@inlined
def _pack_grades(
    grades: Grades, row: int, first_account: Ints, next_account: Ints, out: Ints, at: int
) -> int:
    """Writes the customer's grades from a place on; returns how many."""
    told, place = 0, grades.heads[row]
    while place >= 0:
        of = 0
        if grades.pool[place, OF] != ALL:
            of, account = 1, first_account[row]
            while account != grades.pool[place, OF]:
                of += 1
                account = next_account[account]
        out[at] = of
        out[at + 1] = grades.pool[place, CODE]
        out[at + 2] = grades.pool[place, GRADE]
        at += TOLD
        told += 1
        place = grades.pool[place, NEXT]
    return told


@compiled
def pack(
    touched: Ints, n: int, customer_words: Ints, account_words: Ints, first_account: Ints,
    next_account: Ints, texts: Ints, text_words: Ints, ledgers: Ints, tail: Tail, grades: Grades,
    watch: Watch, heads: Ints, ids: Ints, watermark: int, begins: Ints, lengths: Ints, out: Ints,
) -> None:  # fmt: skip
    """Writes the records of the touched customers; `lengths` says how many words each took."""
    for k in range(n):
        ahead.of_record(
            k, n, touched, customer_words, account_words, first_account, next_account, texts,
            text_words, ledgers, tail, watch,
        )  # fmt: skip
        row = touched[k]
        begin = begins[k]
        at = begin + HEAD_WORDS
        for word in range(CUSTOMER_WORDS):
            out[at] = customer_words[row, word]
            at += 1
        count = 0
        account = first_account[row]
        while account >= 0:
            at = _pack_account(
                account, account_words, texts, text_words, ledgers, tail, watch, out, at
            )
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
        told = _pack_grades(grades, row, first_account, next_account, out, at)
        at += TOLD * told
        out[begin] = RECORD_VERSION | (KIND_CUSTOMER << 8) | (count << 32)
        out[begin + 1] = open_ids | (told << 32)
        lengths[k] = at - begin
