"""A restatement of rates: what the days behind would have made with them, booked as a correction.

A ledger is settled by the rates of before, so a month that is closed is posted as it was. Then its
balances are walked back, as for a back-valued change, and accrued with the difference of the rates
over the days that differ. What falls on a closed month is a leaf of the open one with that month
as its origin. The number of the restatement stays in the ledger: met again it changes nothing.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring.scores.compiling import compiled
from services.scoring.scores.contribution import booking, entries
from services.scoring.scores.contribution import ledger as books
from services.scoring.scores.contribution.entries import CELLS, HISTORY
from services.scoring.scores.contribution.ledger import Book
from services.scoring.scores.contribution.limbs import negated, plus
from services.scoring.scores.contribution.months import first_day, month_of
from services.scoring.scores.contribution.rates import NEVER

Ints = NDArray[np.int64]
C_ROWS, C_ACCOUNTS, C_CHANGED = range(3)  # of `counts`; from C_CHANGED on two limbs a component
_SUMS = r.UPKEEP // 2  # margin, margin of negative balances, loss, capital; then the upkeep
COUNTS = C_CHANGED + 2 * (_SUMS + 1)


@compiled
def restate(
    before: Book, difference: Book, from_days: Ints, first_account: Ints, next_account: Ints,
    begin: int, end: int, until: int, number: int, touched: Ints, counts: Ints,
) -> int:  # fmt: skip
    """Corrects the ledgers of the customers begin..end; returns where room ran out, or `end`.

    `before` and `difference` are one book, by the rates of before and by what they differ.
    """
    for row in range(begin, end):
        account = first_account[row]
        while account >= 0:
            from_day = _from_day(before, account, from_days, number)
            ledger = before.ledgers[account]
            settles = max(until, ledger[books.SETTLED_ON])
            if from_day < settles:
                if not booking.has_room(before, account, -1, settles, from_day):
                    return row
                books.settle(before, account, until, -1)
                _add_held(before, account, counts, -1)
                _correct(difference, account, from_day, settles)
                _add_held(before, account, counts, 1)
                ledger[books.RESTATED] = number
                counts[C_ACCOUNTS] += 1
                if counts[C_ROWS] == 0 or touched[counts[C_ROWS] - 1] != row:
                    touched[counts[C_ROWS]] = row
                    counts[C_ROWS] += 1
            account = next_account[account]
    return end


@compiled
def _from_day(book: Book, account: int, from_days: Ints, number: int) -> int:
    """The first day on which the rates of a ledger differ; NEVER if it is corrected already."""
    if book.ledgers[account, books.SETTLED_ON] == 0:
        return NEVER
    if book.ledgers[account, books.RESTATED] >= number:
        return NEVER
    own = book.owners[account, 0]
    return min(from_days[own], from_days[books.below(book, account)])  # type: ignore[no-any-return]


@compiled
def _correct(difference: Book, account: int, from_day: int, until: int) -> None:
    """Walks the balances and the openings back from the settled day, month by month."""
    ledger, pool = difference.ledgers[account], difference.tail.pool
    end, balance = ledger[books.SETTLED_ON], ledger[books.BALANCE]
    is_open = 1 if ledger[books.OPEN] > 0 else 0
    n = difference.tail.spans[account, entries.COUNTS + HISTORY]
    while end > from_day:
        begin, n = from_day, n - 1
        if n >= 0:
            begin = max(begin, pool[entries.past(difference.tail, account, n), entries.CODE] >> 1)
        at = begin
        while at < end:
            origin = month_of(at)
            upto = min(end, first_day(origin + 1))
            books.accrue(difference, account, balance, 1, at, upto, origin, month_of(until))
            if is_open != 0 and books.upkeep(difference, account, at, upto) != 0:
                booking.charge(difference, account, is_open, at, upto, until)
            at = upto
        end = begin
        if n >= 0:
            place = entries.past(difference.tail, account, n)
            if pool[place, entries.CODE] & 1:
                is_open -= pool[place, entries.AMOUNT]
            balance -= entries.moved(difference.tail, place)


@compiled
def _add_held(book: Book, account: int, counts: Ints, sign: int) -> None:
    """Adds what a ledger has in all, posted or not, to what a restatement changes."""
    ledger, tail = book.ledgers[account], book.tail
    for n in range(_SUMS):
        at = books.sum_of(2 * n)
        _add(counts, n, ledger[at], ledger[at + 1], sign)
    _add(counts, _SUMS, 0, ledger[books.UPKEEP_SUM], sign)
    place, end = entries.span(tail, account, CELLS)
    while place < end:
        component = tail.pool[place, entries.CODE] & 0xFF
        amount = tail.pool[place, entries.AMOUNT]
        place += 1
        if component < r.UPKEEP:  # its low limb follows
            _add(counts, component // 2, amount, tail.pool[place, entries.AMOUNT], sign)
            place += 1
        elif component == r.UPKEEP:
            _add(counts, _SUMS, 0, amount, sign)


@compiled
def _add(counts: Ints, n: int, high: int, low: int, sign: int) -> None:
    if sign < 0:
        high, low = negated(high, low)
    at = C_CHANGED + 2 * n
    counts[at], counts[at + 1] = plus(counts[at], counts[at + 1], high, low)
