"""The tail of a ledger: what it still needs of single days, as one run of entries in a pool.

HISTORY: balance changes and openings of days that are accrued: what a back-valued change is judged
by, and a restatement. PENDING: those of days that are not. CELLS: leaves that are not posted yet,
by period, origin and component.
A day's code is twice the day, plus one for an opening; a cell's has its period above bit 32. The
run of an account holds the three lists one after the other, each in the order of its codes, so a
day that is accrued moves a count and no entry. A full run moves to a longer place; the one that it
leaves is used again.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
HISTORY, PENDING, CELLS = range(3)
LISTS: Final = 3
BEGIN, STEP, COUNTS = range(3)  # of a span: where its run begins, how long it may get, its lists
SPAN_WORDS: Final = COUNTS + LISTS
CODE, AMOUNT = range(2)
WORDS: Final = 2
CELL_MIN: Final = 1 << 32  # no day's code comes so far
_STEPS: Final = 36
USED_WORDS: Final = 1 + _STEPS  # the places taken so far; of each step the first free run, -1: none
MOST_MOVES: Final = 6  # so many places take all runs on the way to an entry, for each entry


def _rooms() -> Ints:
    """Entries that fit into a run, by step: half as many again each time."""
    rooms = [0, 4]
    while len(rooms) < _STEPS:
        rooms.append(rooms[-1] + max(rooms[-1] // 8, 1) * 4)
    return np.array(rooms, np.int64)


_ROOMS: Final = _rooms()


class Tail(NamedTuple):
    """The spans of the accounts, the pool of their entries, and how far it is used."""

    spans: Ints
    pool: Ints
    used: Ints


def used_from_none() -> Ints:
    """Of a pool that is free."""
    return np.array([0, *[-1] * _STEPS], np.int64)


@compiled
def cell_code(period: int, origin: int, component: int) -> int:
    return (period << 32) | (origin << 8) | component


@inlined
def length(tail: Tail, account: int) -> int:
    """Entries of all three lists."""
    spans = tail.spans
    return (  # type: ignore[no-any-return]
        spans[account, COUNTS + HISTORY] + spans[account, COUNTS + PENDING]
        + spans[account, COUNTS + CELLS]
    )  # fmt: skip


@inlined
def span(tail: Tail, account: int, which: int) -> tuple[int, int]:
    """Where a list begins and ends in the pool, until something is added."""
    begin = tail.spans[account, BEGIN]
    for before in range(which):
        begin += tail.spans[account, COUNTS + before]
    return begin, begin + tail.spans[account, COUNTS + which]


@compiled
def _move(tail: Tail, account: int) -> int:
    """To a longer run; by how many places it moved."""
    one, pool, used = tail.spans[account], tail.pool, tail.used
    step, begin = one[STEP] + 1, used[1 + one[STEP] + 1]
    if begin >= 0:
        used[1 + step] = pool[begin, CODE]
    else:
        begin = used[0]
        used[0] += _ROOMS[step]
    moved = begin - one[BEGIN]
    for place in range(begin, begin + length(tail, account)):
        pool[place, CODE] = pool[place - moved, CODE]
        pool[place, AMOUNT] = pool[place - moved, AMOUNT]
    if one[STEP] > 0:
        pool[one[BEGIN], CODE] = used[1 + one[STEP]]
        used[1 + one[STEP]] = one[BEGIN]
    one[BEGIN], one[STEP] = begin, step
    return moved  # type: ignore[no-any-return]


@compiled
def _insert(tail: Tail, account: int, which: int, place: int, code: int, amount: int) -> int:
    count = length(tail, account)
    if count == _ROOMS[tail.spans[account, STEP]]:
        place += _move(tail, account)
    pool = tail.pool
    for at in range(tail.spans[account, BEGIN] + count, place, -1):
        pool[at, CODE], pool[at, AMOUNT] = pool[at - 1, CODE], pool[at - 1, AMOUNT]
    pool[place, CODE], pool[place, AMOUNT] = code, amount
    tail.spans[account, COUNTS + which] += 1
    return place


@inlined
def add(tail: Tail, account: int, which: int, code: int, amount: int) -> int:
    """Adds to the entry of this code, a new one in its order if there is none; its place. The
    caller has seen to it that the pool has MOST_MOVES places for each entry of the account."""
    begin, place = span(tail, account, which)
    end = place
    while place > begin and tail.pool[place - 1, CODE] >= code:
        place -= 1
    if place < end and tail.pool[place, CODE] == code:
        tail.pool[place, AMOUNT] += amount
        return place
    return _insert(tail, account, which, place, code, amount)


@compiled
def drop(tail: Tail, account: int, which: int, count: int) -> None:
    """Takes the first of a list out."""
    begin, _ = span(tail, account, which)
    pool = tail.pool
    for at in range(begin, tail.spans[account, BEGIN] + length(tail, account) - count):
        pool[at, CODE], pool[at, AMOUNT] = pool[at + count, CODE], pool[at + count, AMOUNT]
    tail.spans[account, COUNTS + which] -= count


@inlined
def accrued(tail: Tail, account: int) -> None:
    """The first pending entry becomes the last of the history."""
    begin, _ = span(tail, account, PENDING)
    first, code = tail.spans[account, BEGIN], tail.pool[begin, CODE]
    if begin == first or tail.pool[begin - 1, CODE] < code:
        tail.spans[account, COUNTS + HISTORY] += 1
        tail.spans[account, COUNTS + PENDING] -= 1
    else:
        amount = tail.pool[begin, AMOUNT]
        drop(tail, account, PENDING, 1)
        add(tail, account, HISTORY, code, amount)


@inlined
def past(tail: Tail, account: int, n: int) -> int:
    """The place of the n-th entry of the history: whoever adds meanwhile may move the run."""
    return tail.spans[account, BEGIN] + n  # type: ignore[no-any-return]


@inlined
def moved(tail: Tail, place: int) -> int:
    """What an entry of a day moves the balance by: an opening does not."""
    return 0 if tail.pool[place, CODE] & 1 else tail.pool[place, AMOUNT]


@compiled
def restore(tail: Tail, account: int, settled_on: int, words: Ints) -> None:
    """Puts the entries of a record (code and amount by turns) where they belong."""
    tail.spans[account, COUNTS:] = 0
    for at in range(0, words.shape[0], 2):
        code = words[at]
        if code >= CELL_MIN:
            which = CELLS
        elif code >> 1 >= settled_on:
            which = PENDING
        else:
            which = HISTORY
        add(tail, account, which, code, words[at + 1])
