"""A grade that was told: from its day on the loss of the ledgers it is about goes by its rates.

What is settled already is corrected as a back-valued change is: the ledgers are settled by the
grades of before, so that a closed month is posted as it was, then their balances are walked back.
How far is a bound of dates, as for a restatement, so it does not depend on an account.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring.scores.compiling import compiled
from services.scoring.scores.contribution import booking, entries, grades
from services.scoring.scores.contribution import ledger as books
from services.scoring.scores.contribution.entries import HISTORY
from services.scoring.scores.contribution.ledger import HISTORY_DAYS, Book
from services.scoring.scores.contribution.limbs import product
from services.scoring.scores.contribution.months import first_day, month_of

Ints = NDArray[np.int64]


@compiled
def refusal(day: int, until: int) -> int:
    """Why a grade cannot be taken, or r.APPLIED."""
    return r.APPLIED if day >= until - HISTORY_DAYS else r.BEYOND_HISTORY


@compiled
def has_room(
    book: Book, row: int, account: int, first_account: Ints, next_account: Ints, until: int,
    day: int,
) -> bool:  # fmt: skip
    if book.grades.used[grades.G_USED] >= book.grades.pool.shape[0]:
        return False
    needed, one = 0, first_account[row] if account == grades.ALL else account
    while one >= 0:
        needed += booking.room(book, one, until, day)
        one = next_account[one] if account == grades.ALL else -1
    return booking.has_places(book, needed)


@compiled
def take(
    book: Book, row: int, account: int, day: int, second: int, grade: int, first_account: Ints,
    next_account: Ints, until: int, event: int,
) -> None:  # fmt: skip
    """The grade of all that a customer has, or of one loan. To be asked after `refusal`."""
    begin = first_account[row] if account == grades.ALL else account
    one = begin
    while one >= 0 and day < until:
        books.settle(book, one, until, event)
        one = next_account[one] if account == grades.ALL else -1
    place = grades.add(book.grades, row, account, grades.code_of(day, second), grade)
    one = begin
    while one >= 0 and day < until and place >= 0:
        _correct(book, row, one, day, place, until)
        one = next_account[one] if account == grades.ALL else -1


@compiled
def _correct(book: Book, row: int, account: int, from_day: int, place: int, until: int) -> None:
    """Walks the balances back from the settled day; a negative one has another loss now."""
    ledger, pool = book.ledgers[account], book.tail.pool
    of = books.below(book, account)
    end, balance = ledger[books.SETTLED_ON], ledger[books.BALANCE]
    n = book.tail.spans[account, entries.COUNTS + HISTORY]
    while end > from_day:
        n -= 1
        begin = from_day
        if n >= 0:
            begin = max(begin, pool[entries.past(book.tail, account, n), entries.CODE] >> 1)
        at = begin
        while at < end and balance < 0:
            origin = month_of(at)
            upto = min(end, first_day(origin + 1))
            moved = grades.lost(book.grades, book.rates, row, account, of, at, upto, -1)
            moved -= grades.lost(book.grades, book.rates, row, account, of, at, upto, place)
            if moved != 0:
                high, low = product(balance, moved)
                books.put(book, account, r.LOSS, high, low, origin, month_of(until))
            at = upto
        end = begin
        if n >= 0:
            balance -= entries.moved(book.tail, entries.past(book.tail, account, n))
