"""Compiled reading of the customers' records, many at once: `packing` the other way round.

First all are checked, then all are taken: what the second loop reads lies within its record. What
the check cannot vouch for (letters beyond ASCII) or refuses is read again by `state`, which says
why in words.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring import account_rows, arming, interned, kernel, leaving
from services.scoring.account_rows import TEXTS, AccountRows
from services.scoring.applied_ids import remember
from services.scoring.interned import Texts
from services.scoring.json_text import Bytes, Ints
from services.scoring.rows import ACCOUNT_WORDS, CUSTOMER_WORDS, HEAD_WORDS, LEDGER_WORDS
from services.scoring.scores import waiting
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import entries, grades
from services.scoring.scores.contribution.entries import Tail
from services.scoring.scores.contribution.grades import Grades
from services.scoring.scores.watching import QUIET_ON, WORDS, Watch, sooner

ACCOUNTS_AT: Final = HEAD_WORDS + CUSTOMER_WORDS
TEXTS_AT: Final = ACCOUNT_WORDS + 2  # of an account: behind its figures and counts
ACCOUNT_WORDS_MIN: Final = TEXTS_AT + 1
_HALF: Final = 0xFFFFFFFF
_BEYOND_ASCII: Final = np.int64(-9187201950435737472)  # the upper bit of all eight bytes

# What was found of each record
GOOD, ODD, BAD = range(3)
# And of all together
ACCOUNTS, TEXT_WORDS, ENTRIES, WAITING, IDS, GRADES, RECOVERED_TO = range(7)
TOTALS: Final = 7
# Columns of an account found
AT, PRODUCT, CURRENCY, ROW = range(4)  # its first word; numbers of this batch; its account row
FOUND_WORDS: Final = 4


class Found(NamedTuple):
    """The records of a batch, as the check left them."""

    words: Ints
    letters: Bytes  # the same memory
    ends: Ints  # word behind each record
    accounts: Ints
    accounts_ends: Ints  # behind those of each record


class Kinds(NamedTuple):
    """What the texts of a batch are here, by their numbers in it."""

    products: Ints
    currencies: Ints
    sets: Ints  # by product and currency: the set it is watched by, -1: none


@inlined
def _texts_words(words: Ints, at: int) -> int:
    """Words of an account's four texts, with that of their lengths."""
    letters = 0
    for n in range(TEXTS):
        letters += words[at] >> (16 * n) & 0xFFFF
    return 1 + (letters + 7) // 8


@inlined
def _verdict_on_texts(words: Ints, at: int, n: int) -> int:
    """Only zeros may fill the last word: texts are compared by the word."""
    verdict, letters = GOOD, 0
    for word in range(1, n):
        if words[at + word] & _BEYOND_ASCII != 0:
            verdict = ODD
    for n_text in range(TEXTS):
        letters += words[at] >> (16 * n_text) & 0xFFFF
    if letters % 8 > 0 and words[at + n - 1] >> (8 * (letters % 8)) != 0:
        return BAD
    return verdict


@inlined
def _number_of(letters: Bytes, begin: int, n: int, known: Texts) -> int:
    number = interned.find(letters, begin, begin + n, known)
    return number if number >= 0 else interned.add(letters, begin, begin + n, known)


@inlined
def _check_account(
    found: Found, at: int, end: int, products: Texts, currencies: Texts, totals: Ints
) -> tuple[int, int]:
    """The place behind an account, -1: it is cut short or no account; and what its texts are."""
    words = found.words
    if end - at < ACCOUNT_WORDS_MIN:
        return -1, BAD
    count, ledger = words[at + ACCOUNT_WORDS] & _HALF, words[at + ACCOUNT_WORDS] >> 32 & _HALF
    watch = words[at + ACCOUNT_WORDS + 1]
    n = _texts_words(words, at + TEXTS_AT)
    if ledger > LEDGER_WORDS or (ledger == 0 and count > 0) or not 0 <= watch <= end - at:
        return -1, BAD
    following = at + TEXTS_AT + n + ledger + 2 * count + watch
    if following > end:
        return -1, BAD
    one = found.accounts[totals[ACCOUNTS]]
    number, product = words[at + TEXTS_AT] & 0xFFFF, words[at + TEXTS_AT] >> 16 & 0xFFFF
    begin = 8 * (at + TEXTS_AT + 1) + number
    one[AT] = at
    one[PRODUCT] = _number_of(found.letters, begin, product, products)
    one[CURRENCY] = _number_of(
        found.letters, begin + product, words[at + TEXTS_AT] >> 32 & 0xFFFF, currencies
    )
    totals[ACCOUNTS] += 1
    totals[TEXT_WORDS] += n
    totals[ENTRIES] += count
    totals[WAITING] += watch // waiting.TOLD
    return following, _verdict_on_texts(words, at + TEXTS_AT, n)


@inlined
def _check(
    found: Found, begin: int, end: int, products: Texts, currencies: Texts, totals: Ints
) -> int:
    words = found.words
    if end - begin < ACCOUNTS_AT:
        return BAD
    accounts, ids, told = words[begin] >> 32 & _HALF, words[begin + 1] & _HALF, (
        words[begin + 1] >> 32 & _HALF)  # fmt: skip
    if accounts > (end - begin) // ACCOUNT_WORDS_MIN:
        return BAD
    at, verdict = begin + ACCOUNTS_AT, GOOD
    for _ in range(accounts):
        at, of_texts = _check_account(found, at, end, products, currencies, totals)
        verdict = max(verdict, of_texts)
        if at < 0:
            return BAD
    at += ids + (ids + 1) // 2
    if at + grades.TOLD * told != end:
        return BAD
    for _ in range(told):
        if not 0 <= words[at] <= accounts:
            return BAD
        at += grades.TOLD
    totals[IDS] += ids
    totals[GRADES] += told
    return verdict


@compiled
def check(
    first: int, found: Found, products: Texts, currencies: Texts, verdicts: Ints, totals: Ints
) -> int:
    """Looks through the records; gives the texts of their accounts numbers. Returns where it
    stopped: before the end when those texts may need more room."""
    for i in range(first, found.ends.shape[0]):
        begin, end = found.ends[i - 1] if i > 0 else 0, found.ends[i]
        accounts, letters = (end - begin) // ACCOUNT_WORDS_MIN, 8 * (end - begin)
        if not (
            interned.has_room(products, accounts, letters)
            and interned.has_room(currencies, accounts, letters)
        ):
            return i
        verdicts[i] = _check(found, begin, end, products, currencies, totals)
        found.accounts_ends[i] = totals[ACCOUNTS]
    return found.ends.shape[0]  # type: ignore[no-any-return]


@compiled
def begin_customer(
    known: Texts, number: Bytes, begin: int, end: int, customers: Ints, heads: Ints,
    first_account: Ints, graded: Ints,
) -> int:  # fmt: skip
    """The row of a new customer. The caller has seen to it that there is room."""
    row = interned.add(number, begin, end, known)
    customers[row, 0] = heads[row, 0] = first_account[row] = graded[row] = -1
    return row


@inlined
def _take_watch(watch: Watch, account: int, words: Ints, at: int, n: int) -> bool:
    """An account's features and what waits; False: its past is not in the record."""
    begin = watch.places[account, 0]
    if begin < 0:
        return True  # no longer watched
    watch.places[account, QUIET_ON] = 0
    own = WORDS[watch.sets[watch.places[account, 1], 0]]
    if n < own or (n - own) % waiting.TOLD != 0:
        return False
    for word in range(own):
        watch.pool[begin + word] = words[at + word]
    while watch.waiting.heads[account] >= 0:
        waiting.pop(watch.waiting, account)
    told = at + n
    while told > at + own:
        told -= waiting.TOLD
        place = waiting.put(watch.waiting, account, -1, words[told + waiting.CODE])
        for word in range(waiting.TOLD):
            watch.waiting.pool[place, word] = words[told + word]
    return True


@inlined
def _take_account(
    found: Found, one: Ints, row: int, known: AccountRows, kinds: Kinds, account_words: Ints,
    ledgers: Ints, tail: Tail, watch: Watch,
) -> bool:  # fmt: skip
    words, at = found.words, one[AT]
    count, ledger = words[at + ACCOUNT_WORDS] & _HALF, words[at + ACCOUNT_WORDS] >> 32 & _HALF
    texts = at + TEXTS_AT
    n = _texts_words(words, texts)
    account = account_rows.find(known, row, words, found.letters, texts, n)
    if account < 0:
        is_loan = account_rows.loan_letters(words, texts) > 0
        of_set = -1 if is_loan else kinds.sets[one[PRODUCT], one[CURRENCY]]
        account = account_rows.begin(
            known, row, words, found.letters, texts, n, kinds.products[one[PRODUCT]],
            kinds.currencies[one[CURRENCY]], of_set, WORDS[watch.sets[of_set, 0]] if of_set >= 0
            else 0,
        )  # fmt: skip
    one[ROW] = account
    for word in range(ACCOUNT_WORDS):
        account_words[account, word] = words[at + word]
    at = texts + n
    if ledger > 0:
        for word in range(ledger):
            ledgers[account, word] = words[at + word]
        for word in range(ledger, LEDGER_WORDS):
            ledgers[account, word] = 0
        at += ledger
        entries.restore(tail, account, ledgers[account, 0], words[at : at + 2 * count])
        at += 2 * count
    return _take_watch(watch, account, words, at, words[one[AT] + ACCOUNT_WORDS + 1])


@inlined
def _take_ids(
    words: Ints, at: int, n: int, row: int, slots: Ints, ids: Ints, heads: Ints, counters: Ints
) -> None:
    for k in range(n - 1, -1, -1):  # the list is the other way round
        day = words[at + n + k // 2] >> (32 * (k % 2)) & _HALF
        known = counters[kernel.IDS]
        counters[kernel.IDS] = remember(slots, ids, heads, row, words[at + k], day, known)


@inlined
def _take_grades(
    found: Found, at: int, told: int, row: int, first: int, graded: Grades
) -> None:
    """`first`: the record's first account."""
    for k in range(told):
        place = at + grades.TOLD * k
        of = found.words[place]
        found.words[place] = found.accounts[first + of - 1, ROW] if of > 0 else grades.ALL
    grades.restore(graded, row, found.words[at : at + grades.TOLD * told])


@compiled
def take(
    found: Found, numbers: Bytes, number_ends: Ints, kinds: Kinds, rows: Texts,
    known: AccountRows, customer_words: Ints, account_words: Ints, ledgers: Ints, tail: Tail,
    graded: Grades, watch: Watch, heads: Ints, slots: Ints, ids: Ints, counters: Ints,
    totals: Ints,
) -> int:  # fmt: skip
    """Puts checked records in the place of what is known, where they are not before it. Returns
    how many it took: it stops at one whose features are not those that the model asks for."""
    words, begin, number, account = found.words, 0, 0, 0
    for i in range(found.ends.shape[0]):
        at, end = begin, found.ends[i]
        first, account = account, found.accounts_ends[i]
        row = interned.find(numbers, number, number_ends[i], rows)
        if row < 0:
            row = begin_customer(rows, numbers, number, number_ends[i], customer_words, heads,
                                 known.first, graded.heads)  # fmt: skip
        begin, number = end, number_ends[i]
        offset, sequence = words[at + HEAD_WORDS], words[at + HEAD_WORDS + 1]
        if (offset, sequence) < (customer_words[row, 0], customer_words[row, 1]):
            continue
        totals[RECOVERED_TO] = max(totals[RECOVERED_TO], offset)
        for word in range(CUSTOMER_WORDS):
            customer_words[row, word] = words[at + HEAD_WORDS + word]
        for k in range(account - 1, first - 1, -1):  # the one that began last stands first
            if not _take_account(found, found.accounts[k], row, known, kinds, account_words,
                                 ledgers, tail, watch):  # fmt: skip
                return i
        open_ids, told = words[at + 1] & _HALF, words[at + 1] >> 32 & _HALF
        at = end - grades.TOLD * told - open_ids - (open_ids + 1) // 2
        _take_ids(words, at, open_ids, row, slots, ids, heads, counters)
        if told > 0 or graded.heads[row] >= 0:
            _take_grades(found, end - grades.TOLD * told, told, row, first, graded)
    return found.ends.shape[0]  # type: ignore[no-any-return]


@compiled
def due_days(
    customers: NDArray[Any], accounts: NDArray[Any], first_account: Ints, next_account: Ints,
    looks: Ints, watermark: int, out: Ints,
) -> None:  # fmt: skip
    """Of each row the day on which the watermark has something to do for it; 0: never."""
    for row in range(out.shape[0]):
        closing = leaving.closing_ahead(
            customers, accounts, first_account, next_account, row, watermark
        )  # fmt: skip
        out[row] = sooner(arming.due_on(customers, looks, row), closing)
