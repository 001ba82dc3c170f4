"""Bookings of days that are still open, by account: sums by day and kind, earliest day first.

Inputs: bookings. State: a list of entries per account in one pool, freed places used again.
Terms: none. What stands in one entry is told apart by nothing that a feature asks.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled, inlined

Ints = NDArray[np.int64]
CODE, COUNT, AMOUNT, OFFSET, NEXT = range(5)
WORDS: Final = 5
TOLD: Final = 4  # of them stand in a record: all but the place of the next
E_USED, E_FREE = range(2)
AMOUNT_MAX: Final = 1 << 58
FLAGS: Final = 8  # bits
OUT: Final = 1 << (FLAGS - 1)  # money goes out: the two ways are two sums


class Waiting(NamedTuple):
    """First entries of the accounts, the pool, and how far it is used."""

    heads: Ints  # -1: none
    pool: Ints
    used: Ints  # places taken so far; the first free one, -1: none


@compiled
def code_of(day: int, flags: int, amount: int) -> int:
    return (day << FLAGS) | flags | (0 if amount > 0 else OUT)


@compiled
def day_of(waiting: Waiting, place: int) -> int:
    return waiting.pool[place, CODE] >> FLAGS  # type: ignore[no-any-return]


@compiled
def flags_of(waiting: Waiting, place: int) -> int:
    return waiting.pool[place, CODE] & (OUT - 1)  # type: ignore[no-any-return]


@inlined
def _found(waiting: Waiting, account: int, code: int) -> tuple[int, int]:
    """The place of a code, -1: none; and the place before it."""
    before, place = -1, waiting.heads[account]
    while place >= 0 and waiting.pool[place, CODE] < code:
        before, place = place, waiting.pool[place, NEXT]
    if place >= 0 and waiting.pool[place, CODE] == code:
        return place, before
    return -1, before


@inlined
def fits(waiting: Waiting, account: int, day: int, flags: int, amount: int) -> bool:
    """Does the sum that it would be added to stay exact?"""
    place, _ = _found(waiting, account, code_of(day, flags, amount))
    known = waiting.pool[place, AMOUNT] if place >= 0 else 0
    return bool(-AMOUNT_MAX < known + amount < AMOUNT_MAX)


@inlined
def add(waiting: Waiting, account: int, day: int, flags: int, amount: int, offset: int) -> None:
    """The caller has seen to it that there is room for one."""
    code = code_of(day, flags, amount)
    place, before = _found(waiting, account, code)
    if place < 0:
        place = put(waiting, account, before, code)
    entry = waiting.pool[place]
    entry[COUNT] += 1
    entry[AMOUNT] += amount
    entry[OFFSET] = max(entry[OFFSET], offset)


@inlined
def put(waiting: Waiting, account: int, before: int, code: int) -> int:
    """A new entry behind another, or first of its account."""
    place = waiting.used[E_FREE]
    if place >= 0:
        waiting.used[E_FREE] = waiting.pool[place, NEXT]
    else:
        place = waiting.used[E_USED]
        waiting.used[E_USED] += 1
    entry = waiting.pool[place]
    entry[CODE], entry[COUNT], entry[AMOUNT], entry[OFFSET] = code, 0, 0, -1
    if before < 0:
        entry[NEXT] = waiting.heads[account]
        waiting.heads[account] = place
    else:
        entry[NEXT] = waiting.pool[before, NEXT]
        waiting.pool[before, NEXT] = place
    return place  # type: ignore[no-any-return]


@inlined
def pop(waiting: Waiting, account: int) -> None:
    """Takes the first entry off."""
    place = waiting.heads[account]
    waiting.heads[account] = waiting.pool[place, NEXT]
    waiting.pool[place, NEXT] = waiting.used[E_FREE]
    waiting.used[E_FREE] = place


@inlined
def length(waiting: Waiting, account: int) -> int:
    n, place = 0, waiting.heads[account]
    while place >= 0:
        n += 1
        place = waiting.pool[place, NEXT]
    return n
