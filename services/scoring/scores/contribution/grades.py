"""Grades of a customer and of his loans, each from a day on: which PD and LGD a day is charged by.

One list of each customer, latest first, of what was told of him (ALL) and of single loans, so that
a loan that is granted late finds the grades of its days; nothing of it is forgotten. A ledger asks
it only when its balance is negative. Of two grades of one day the one told later holds, by the
time of the event and never by its arrival; at one time that of the loan itself goes first.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.scores.compiling import compiled
from services.scoring.scores.contribution.rates import LOSSES, SERIES, Tables, between, loss_of

Ints = NDArray[np.int64]
ALL = -1  # in the place of a loan's account
ACCOUNT, CODE, GRADE, NEXT = range(4)
WORDS = 4
TOLD = 3  # words of one in a record
G_USED, G_FREE = range(2)
SECONDS_BITS = 36  # of a code: its day, then the second of the event's time


class Grades(NamedTuple):
    """Heads of the lists of each customer, the pool, and how far it is used."""

    heads: Ints  # customer -> place, -1: empty
    pool: Ints
    used: Ints  # places taken so far; the first free one, -1: none


@compiled
def code_of(day: int, second: int) -> int:
    return (day << SECONDS_BITS) | second


@compiled
def add(grades: Grades, row: int, account: int, code: int, grade: int) -> int:
    """Puts a grade where it belongs; its place, or -1: it is there already."""
    pool, before, place = grades.pool, -1, grades.heads[row]
    while place >= 0:
        known = (pool[place, CODE], pool[place, ACCOUNT], pool[place, GRADE])
        if known == (code, account, grade):
            return -1
        if known < (code, account, grade):
            break
        before, place = place, pool[place, NEXT]
    new = grades.used[G_FREE]
    if new >= 0:
        grades.used[G_FREE] = pool[new, NEXT]
    else:
        new = grades.used[G_USED]
        grades.used[G_USED] += 1
    pool[new, ACCOUNT] = account
    pool[new, CODE] = code
    pool[new, GRADE] = grade
    pool[new, NEXT] = place
    if before < 0:
        grades.heads[row] = new
    else:
        pool[before, NEXT] = new
    return new  # type: ignore[no-any-return]


@compiled
def length(grades: Grades, row: int) -> int:
    n, place = 0, grades.heads[row]
    while place >= 0:
        n += 1
        place = grades.pool[place, NEXT]
    return n


@compiled
def restore(grades: Grades, row: int, words: Ints) -> None:
    """Puts the grades of a record (account, code, grade by turns) in the place of those known."""
    while grades.heads[row] >= 0:
        place = grades.heads[row]
        grades.heads[row] = grades.pool[place, NEXT]
        grades.pool[place, NEXT] = grades.used[G_FREE]
        grades.used[G_FREE] = place
    for at in range(0, words.shape[0], TOLD):
        add(grades, row, words[at], words[at + 1], words[at + 2])


@compiled
def lost(
    grades: Grades, rates: Tables, row: int, account: int, product: int, begin: int, end: int,
    without: int,
) -> int:  # fmt: skip
    """The loss of a unit of balance over the days begin <= d < end, of each day by its grade;
    `without`: the place of one that is left out, -1: none."""
    total, place = 0, grades.heads[row]
    while place >= 0 and begin < end:
        of = grades.pool[place, ACCOUNT]
        day = max(grades.pool[place, CODE] >> SECONDS_BITS, begin)
        if of in (ALL, account) and place != without and day < end:
            series = loss_of(rates, product, grades.pool[place, GRADE])
            total += between(rates.spans, rates.steps, series, day, end)
            end = day
        place = grades.pool[place, NEXT]
    if begin < end:
        total += between(rates.spans, rates.steps, product * SERIES + LOSSES, begin, end)
    return total
