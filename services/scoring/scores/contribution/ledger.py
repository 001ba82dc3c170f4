"""One ledger: accrual over whole days and posting at the end of a month.

A ledger is settled through closed days only, so the order of events within the open days cannot
matter. It is settled when something touches it: no sweep. Between two changes a balance stands
still, so n days are one multiplication. What is posted is the rounded sum of all time less what
was posted before: a rounding error is carried, never lost.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring.rows import LEDGER_FIELDS
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import entries
from services.scoring.scores.contribution.entries import CELLS, HISTORY, PENDING, Tail
from services.scoring.scores.contribution.grades import Grades, lost
from services.scoring.scores.contribution.limbs import plus, product, rounded
from services.scoring.scores.contribution.months import first_day, month_of
from services.scoring.scores.contribution.rates import (
    LOSSES,
    MARGINS,
    SERIES,
    UPKEEPS,
    Tables,
    between,
)

Ints = NDArray[np.int64]
(
    SETTLED_ON, BALANCE, OPEN, KEPT_FROM, OLD_MIN, OLD_MAX, TOTAL, TURNOVER, RESTATED, UPKEEP_SUM,
    UPKEEP_POSTED, SUMS,
) = range(LEDGER_FIELDS.index("net_high") + 1)  # fmt: skip
SUM_WORDS = 3  # of each component from SUMS on: high and low limb, and what of it is posted
POSTED = 2
UNIT = 365 * 10**6  # an exact sum of balance, ppm and days is minor units times this
LOSS_UNIT = 365 * 10**12  # of ppm of ppm: expected loss and the charge for capital
HISTORY_DAYS = 31  # kept behind the settled day
L_COUNT = 0  # of `Book.written`
_DAY_BITS = 24
_DAY = (1 << _DAY_BITS) - 1


class Book(NamedTuple):
    """All ledgers of a partition, the rates they run on, and the leaves they post."""

    ledgers: Ints
    owners: Ints  # account -> product, 1 for a loan, row of the customer
    tail: Tail
    grades: Grades
    rates: Tables
    leaves: Ints
    written: Ints  # how many leaves


@inlined
def post_leaf(
    book: Book, event: int, account: int, component: int, period: int, origin: int, amount: int
) -> None:  # fmt: skip
    if amount == 0:
        return
    n = book.written[L_COUNT]
    book.leaves[n, r.F_EVENT] = event
    book.leaves[n, r.F_ACCOUNT] = account
    book.leaves[n, r.F_COMPONENT] = component
    book.leaves[n, r.F_PERIOD] = period
    book.leaves[n, r.F_ORIGIN] = origin
    book.leaves[n, r.F_AMOUNT] = amount
    book.written[L_COUNT] = n + 1


@compiled
def sum_of(component: int) -> int:
    """Where a ledger has the exact sum of a component of two limbs."""
    return SUMS + component // 2 * SUM_WORDS


@inlined
def put(
    book: Book, account: int, component: int, high: int, low: int, origin: int, period: int
) -> None:  # fmt: skip
    """Adds an exact sum: to the ledger, or to the open leaf of a month that is closed."""
    if origin >= period:
        ledger = book.ledgers[account]
        at = sum_of(component)
        ledger[at], ledger[at + 1] = plus(ledger[at], ledger[at + 1], high, low)
        return
    tail = book.tail
    code = entries.cell_code(period, origin, component)
    entries.add(tail, account, CELLS, code + 1, 0)
    at = entries.add(tail, account, CELLS, code, 0)  # and its low limb follows
    high, low = plus(tail.pool[at, entries.AMOUNT], tail.pool[at + 1, entries.AMOUNT], high, low)
    tail.pool[at, entries.AMOUNT] = high
    tail.pool[at + 1, entries.AMOUNT] = low


@compiled
def below(book: Book, account: int) -> int:
    """The product of a negative balance."""
    own = book.owners[account, 0]
    return own if book.owners[account, 1] == 1 else book.rates.below[own]  # type: ignore[no-any-return]


@inlined
def accrue(
    book: Book, account: int, balance: int, sign: int, begin: int, end: int, origin: int,
    period: int,
) -> None:  # fmt: skip
    """What a balance makes over the days begin <= d < end; `sign` -1 takes it back."""
    own, rates = book.owners[account, 0], book.rates
    if balance == 0 or (balance > 0 and book.owners[account, 1] == 1):
        return  # a loan that is overpaid is no deposit
    of = own if balance > 0 else below(book, account)
    for n in range(MARGINS, LOSSES if balance > 0 else UPKEEPS):
        series, row = of * SERIES + n, book.owners[account, 2]
        if n == LOSSES and book.grades.heads[row] >= 0:
            total = lost(book.grades, rates, row, account, of, begin, end, -1)
        elif rates.spans[series, 0] != rates.spans[series, 1]:
            total = between(rates.spans, rates.steps, series, begin, end)
        else:
            continue  # few banks charge for capital
        if total != 0:
            high, low = product(balance, sign * total)
            # A product that is its own overdraft has one sum, and is rounded once.
            component = r.NET if n == MARGINS and of == own else r.DEBIT + 2 * n
            put(book, account, component, high, low, origin, period)


@inlined
def upkeep(book: Book, account: int, begin: int, end: int) -> int:
    """What an open account costs over these days."""
    series = book.owners[account, 0] * SERIES + UPKEEPS
    return between(book.rates.spans, book.rates.steps, series, begin, end)


@inlined
def turned_on(last: int) -> int:
    """Since which day an account is what this `OPEN` says; 0: always."""
    return abs(last) & _DAY


@inlined
def told_on(last: int) -> int:
    """The latest day of which an opening or a closing was told."""
    return max(turned_on(last), abs(last) >> _DAY_BITS)


@inlined
def _open(is_open: bool, since: int, told: int) -> int:
    """One `OPEN`: since when, above that what was told of a later day, a minus if closed."""
    both = since | (told << _DAY_BITS if told > since else 0)
    return both if is_open else -both


@compiled
def told_again(last: int, day: int) -> int:
    """`OPEN` after it was only said again, of this day, how it is then."""
    return _open(last > 0, turned_on(last), max(told_on(last), day))


@compiled
def turned(last: int, day: int, step: int) -> int:
    """`OPEN` after the openings and closings of a day; as many of both leave it as it was."""
    return _open(step > 0 or (step == 0 and last > 0), day, abs(last) >> _DAY_BITS)


@inlined
def settle(book: Book, account: int, until: int, event: int) -> None:
    """Accrues all days before `until` and posts the months that end there."""
    ledger = book.ledgers[account]
    if ledger[SETTLED_ON] == 0 or ledger[SETTLED_ON] >= until:
        return
    tail, at = book.tail, ledger[SETTLED_ON]
    while at < until:
        place, stop = entries.span(tail, account, PENDING)
        while place < stop and tail.pool[place, entries.CODE] >> 1 <= at:
            code, amount = tail.pool[place, entries.CODE], tail.pool[place, entries.AMOUNT]
            if code & 1:
                ledger[OPEN] = turned(ledger[OPEN], code >> 1, amount)
            else:
                ledger[BALANCE] += amount
            entries.accrued(tail, account)
            place, stop = entries.span(tail, account, PENDING)
        month = month_of(at)
        boundary = first_day(month + 1)
        end = min(until, boundary)
        if place < stop:
            end = min(end, tail.pool[place, entries.CODE] >> 1)
        accrue(book, account, ledger[BALANCE], 1, at, end, month, month)
        if ledger[OPEN] > 0:
            ledger[UPKEEP_SUM] -= upkeep(book, account, at, end)
        at = end
        if at == boundary:
            post(book, account, month, month, event)
    ledger[SETTLED_ON] = until
    _forget(book, account, until - HISTORY_DAYS)


@inlined
def _forget(book: Book, account: int, horizon: int) -> None:
    """Drops what is before the horizon; of the balances before it bounds remain."""
    ledger, tail = book.ledgers[account], book.tail
    begin, end = entries.span(tail, account, HISTORY)
    if begin == end or tail.pool[begin, entries.CODE] >> 1 >= horizon:
        return
    balance, dropped, place = ledger[BALANCE], False, end - 1
    while place >= begin and tail.pool[place, entries.CODE] >> 1 >= horizon:
        balance -= entries.moved(tail, place)
        place -= 1
    old = place + 1 - begin
    while place >= begin:
        if not tail.pool[place, entries.CODE] & 1:
            if not dropped:
                ledger[KEPT_FROM] = tail.pool[place, entries.CODE] >> 1
                dropped = True
            balance -= tail.pool[place, entries.AMOUNT]
            ledger[OLD_MIN] = min(ledger[OLD_MIN], balance)
            ledger[OLD_MAX] = max(ledger[OLD_MAX], balance)
        place -= 1
    entries.drop(tail, account, HISTORY, old)


@compiled
def post(book: Book, account: int, period: int, last: int, event: int) -> None:
    """Posts what was accrued in a period, and the open leaves of periods up to `last`."""
    ledger, tail = book.ledgers[account], book.tail
    for component in range(r.NET, r.UPKEEP, 2):
        _post_sum(book, account, component, period, period, event)
    due = ledger[UPKEEP_SUM] - ledger[UPKEEP_POSTED]
    post_leaf(book, event, account, r.UPKEEP, period, period, due)
    ledger[UPKEEP_POSTED] = ledger[UPKEEP_SUM]
    begin, end = entries.span(tail, account, CELLS)
    place = begin
    while place < end and tail.pool[place, entries.CODE] >> 32 <= last:
        code, amount = tail.pool[place, entries.CODE], tail.pool[place, entries.AMOUNT]
        component, origin, of = code & 0xFF, (code >> 8) & 0xFFFFFF, code >> 32
        place += 1
        if component < r.UPKEEP:
            low = tail.pool[place, entries.AMOUNT]
            place += 1
            at = sum_of(component)
            ledger[at], ledger[at + 1] = plus(ledger[at], ledger[at + 1], amount, low)
            _post_sum(book, account, component, of, origin, event)
        else:
            if component == r.UPKEEP:
                ledger[UPKEEP_SUM] += amount
                ledger[UPKEEP_POSTED] += amount
            post_leaf(book, event, account, component, of, origin, amount)
    entries.drop(tail, account, CELLS, place - begin)


@compiled
def owes(book: Book, account: int) -> bool:
    """Is there a sum that is not posted whole? A balance that a late event brought to nothing
    leaves what it has earned until then."""
    ledger = book.ledgers[account]
    found: bool = ledger[UPKEEP_SUM] != ledger[UPKEEP_POSTED]
    for component in range(r.NET, r.UPKEEP, 2):
        found = found or _unposted(ledger, component) != 0
    return found


@compiled
def _unposted(ledger: Ints, component: int) -> int:
    at = sum_of(component)
    due: int = -ledger[at + POSTED]
    if ledger[at] != 0 or ledger[at + 1] != 0:
        due += rounded(ledger[at], ledger[at + 1], LOSS_UNIT if component >= r.LOSS else UNIT)
    return due


@compiled
def _post_sum(
    book: Book, account: int, component: int, period: int, origin: int, event: int
) -> None:  # fmt: skip
    ledger = book.ledgers[account]
    due = _unposted(ledger, component)
    post_leaf(book, event, account, component, period, origin, due)
    ledger[sum_of(component) + POSTED] += due
