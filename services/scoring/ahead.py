"""What the loops of the state path will read of a customer, asked for while others are in hand.

First what lies at the row itself, some rounds later what lies where that points to. A customer's
accounts are walked by what was asked for before.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import inlined
from services.scoring.scores.contribution.entries import BEGIN, Tail
from services.scoring.scores.contribution.ledger import Book
from services.scoring.scores.prefetching import AHEAD, ask_for
from services.scoring.scores.watching import Watch

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured
# Lines of a row: of a customer, of a ledger's part that events move, of all of it, of features;
# and of the entries behind a ledger
_CUSTOMER, _MOVED, _LEDGER, _FEATURES, _ENTRIES = 3, 2, 4, 7, 2


@inlined
def of_event(
    i: int, end: int, rows: Ints, accounts_of: Ints, customers: Rows, accounts: Rows, armed: Ints,
    stamps: Ints, heads: Ints, book: Book, watch: Watch,
) -> None:  # fmt: skip
    """Of the events behind this one: what a booking moves."""
    if i + 2 * AHEAD >= end:
        return
    row, account = rows[i + 2 * AHEAD], accounts_of[i + 2 * AHEAD]
    ask_for(customers, row, _CUSTOMER)
    ask_for(armed, row, 1)
    ask_for(stamps, row, 1)
    ask_for(heads, row, 1)
    ask_for(watch.looks, row, 1)
    if account >= 0:
        ask_for(accounts, account, 1)
        ask_for(book.ledgers, account, _MOVED)
        ask_for(book.owners, account, 1)
        ask_for(book.tail.spans, account, 1)
        ask_for(watch.places, account, 1)
        ask_for(watch.waiting.heads, account, 1)
    account = accounts_of[i + AHEAD]
    if account >= 0:
        ask_for(book.tail.pool, book.tail.spans[account, BEGIN], _ENTRIES)
        ask_for(watch.pool, max(watch.places[account, 0], 0), 1)
        ask_for(watch.waiting.pool, max(watch.waiting.heads[account], 0), 1)


@inlined
def of_timer(
    k: int, due_rows: Ints, customers: Rows, armed: Ints, first_account: Ints,
    next_account: Ints, watch: Watch,
) -> None:  # fmt: skip
    """Of the customers behind this one: what a look reads."""
    if k + 3 * AHEAD >= due_rows.shape[0]:  # of the last ones nothing is left to be asked for
        return
    row = due_rows[k + 3 * AHEAD]
    ask_for(customers, row, _CUSTOMER)
    ask_for(armed, row, 1)
    ask_for(first_account, row, 1)
    ask_for(watch.looks, row, 1)
    account = first_account[due_rows[k + 2 * AHEAD]]
    if account >= 0:  # the others mostly lie beside it, for they began together
        ask_for(next_account, account, 1)
        ask_for(watch.places, account, 1)
        ask_for(watch.waiting.heads, account, 1)
    account = first_account[due_rows[k + AHEAD]]
    while account >= 0:
        ask_for(watch.pool, max(watch.places[account, 0], 0), _FEATURES)
        ask_for(watch.waiting.pool, max(watch.waiting.heads[account], 0), 1)
        account = next_account[account]


@inlined
def of_size(
    k: int, n: int, touched: Ints, first_account: Ints, next_account: Ints, texts: Ints,
    heads: Ints, ledgers: Ints, tail: Tail, graded: Ints, watch: Watch,
) -> None:  # fmt: skip
    """Of the customers behind this one: what the size of a record follows from."""
    if k + 2 * AHEAD >= n:
        return
    row = touched[k + 2 * AHEAD]
    ask_for(first_account, row, 1)
    ask_for(heads, row, 1)
    ask_for(graded, row, 1)
    account = first_account[touched[k + AHEAD]]
    while account >= 0:
        ask_for(texts, account, 1)
        ask_for(ledgers, account, 1)
        ask_for(tail.spans, account, 1)
        ask_for(watch.places, account, 1)
        ask_for(watch.waiting.heads, account, 1)
        account = next_account[account]


@inlined
def of_record(
    k: int, n: int, touched: Ints, customer_words: Ints, account_words: Ints, first_account: Ints,
    next_account: Ints, texts: Ints, text_words: Ints, ledgers: Ints, tail: Tail, watch: Watch,
) -> None:  # fmt: skip
    """Of the customers behind this one: all that a record has. Their sizes were taken before."""
    if k + AHEAD >= n:
        return
    row = touched[k + AHEAD]
    ask_for(customer_words, row, _CUSTOMER)
    account = first_account[row]
    while account >= 0:
        ask_for(account_words, account, 1)
        ask_for(text_words, texts[account, 0], 1)
        ask_for(ledgers, account, _LEDGER)
        ask_for(tail.pool, tail.spans[account, BEGIN], _ENTRIES)
        ask_for(watch.pool, max(watch.places[account, 0], 0), _FEATURES)
        ask_for(watch.waiting.pool, max(watch.waiting.heads[account], 0), 1)
        account = next_account[account]
