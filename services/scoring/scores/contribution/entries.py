"""The tail of a ledger: three lists of entries in one pool, freed places used again.

PENDING: balance changes and openings of days that are not accrued yet, earliest first.
HISTORY: those behind them, latest first: what a back-valued change is judged by, and a restatement.
CELLS: leaves that are not posted yet, by period, origin and component.
A day's code is twice the day, plus one for an opening; a cell's has its period above bit 32.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
PENDING, HISTORY, CELLS = range(3)
LISTS = 3
CODE, AMOUNT, NEXT = range(3)
WORDS = 3
E_USED, E_FREE = range(2)
CELL_MIN = 1 << 32  # no day's code comes so far


class Tail(NamedTuple):
    """Heads of the lists of each account, the pool, and how far it is used."""

    heads: Ints  # (account, list) -> place, -1: empty
    pool: Ints
    used: Ints  # places taken so far; the first free one, -1: none


@compiled
def cell_code(period: int, origin: int, component: int) -> int:
    return (period << 32) | (origin << 8) | component


@inlined
def _new(tail: Tail, code: int, amount: int, following: int) -> int:
    place = tail.used[E_FREE]
    if place >= 0:
        tail.used[E_FREE] = tail.pool[place, NEXT]
    else:
        place = tail.used[E_USED]
        tail.used[E_USED] += 1
    tail.pool[place, CODE] = code
    tail.pool[place, AMOUNT] = amount
    tail.pool[place, NEXT] = following
    return place  # type: ignore[no-any-return]


@inlined
def free(tail: Tail, place: int) -> None:
    tail.pool[place, NEXT] = tail.used[E_FREE]
    tail.used[E_FREE] = place


@inlined
def add(tail: Tail, account: int, which: int, code: int, amount: int) -> int:
    """Adds to the entry of this code, a new one in its order if there is none; its place."""
    before, place = -1, tail.heads[account, which]
    latest_first = which == HISTORY
    while place >= 0:
        known = tail.pool[place, CODE]
        if known == code:
            tail.pool[place, AMOUNT] += amount
            return place  # type: ignore[no-any-return]
        if (known < code) == latest_first:
            break
        before, place = place, tail.pool[place, NEXT]
    new = _new(tail, code, amount, place)
    if before < 0:
        tail.heads[account, which] = new
    else:
        tail.pool[before, NEXT] = new
    return new


@inlined
def moved(tail: Tail, place: int) -> int:
    """What an entry of a day moves the balance by: an opening does not."""
    return 0 if tail.pool[place, CODE] & 1 else tail.pool[place, AMOUNT]


@inlined
def pop(tail: Tail, account: int, which: int) -> None:
    """Takes the first entry off a list."""
    place = tail.heads[account, which]
    tail.heads[account, which] = tail.pool[place, NEXT]
    free(tail, place)


@compiled
def clear(tail: Tail, account: int) -> None:
    for which in range(LISTS):
        while tail.heads[account, which] >= 0:
            pop(tail, account, which)


@inlined
def length(tail: Tail, account: int) -> int:
    """Entries of all three lists."""
    n = 0
    for which in range(LISTS):
        place = tail.heads[account, which]
        while place >= 0:
            n += 1
            place = tail.pool[place, NEXT]
    return n


@compiled
def restore(tail: Tail, account: int, settled_on: int, words: Ints) -> None:
    """Puts the entries of a record (code and amount by turns) where they belong. From the last on:
    each then comes before those that are there."""
    clear(tail, account)
    for at in range(words.shape[0] - 2, -1, -2):
        code = words[at]
        if code >= CELL_MIN:
            which = CELLS
        elif code >> 1 >= settled_on:
            which = PENDING
        else:
            which = HISTORY
        add(tail, account, which, code, words[at + 1])
