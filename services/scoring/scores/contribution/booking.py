"""One event into the ledgers it concerns: in place while its day is open, as a correction after.

A correction changes the sums of the days between its value day and the settled one; what falls on
a closed month becomes a leaf of the open month with that month as its origin. Only the sign of a
balance makes accrual other than linear, so the balances of a month behind are kept; a change
valued before them is booked if no sign can turn, and refused otherwise.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

import numpy as np
from numpy.typing import NDArray

from services.scoring import rows as r
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import entries
from services.scoring.scores.contribution import ledger as books
from services.scoring.scores.contribution.entries import CELLS, HISTORY, MOST_MOVES, PENDING
from services.scoring.scores.contribution.ledger import L_COUNT, Book
from services.scoring.scores.contribution.months import first_day, month_of
from services.scoring.scores.contribution.rates import on_day

Ints = NDArray[np.int64]
BALANCE_MAX = 1 << 55  # times a century at twice 100 % it still has 63 bits
TURNOVER_MAX = 1 << 61
_LEAVES_OF_MONTH = 5  # the sums and the upkeep


@inlined
def room(book: Book, account: int, until: int, day: int) -> int:
    """No more leaves and entries than this come of settling and booking one event."""
    settled = book.ledgers[account, books.SETTLED_ON]
    months = 2
    if settled > 0:
        months += (max(until - settled, 0) + max(until - day, 0)) // 28 + 1
    return months * 2 * _LEAVES_OF_MONTH + entries.length(book.tail, account) + 8


@inlined
def has_places(book: Book, needed: int) -> bool:
    """Are there places for so many leaves and entries?"""
    return bool(
        book.written[L_COUNT] + needed <= book.leaves.shape[0]
        and book.tail.used[0] + MOST_MOVES * needed <= book.tail.pool.shape[0]
    )


@inlined
def has_room(book: Book, account: int, second: int, until: int, day: int) -> bool:
    needed = room(book, account, until, day)
    if second >= 0:
        needed += room(book, second, until, day)
    return has_places(book, needed)


@inlined
def ready(book: Book, account: int, until: int, first: int, event: int) -> None:
    """Settles the closed days; a new ledger begins with the first open day that it knows of: what
    an event costs is posted with the month of its day, though its money counts from a later one."""
    ledger, begin = book.ledgers[account], max(first, until)
    if ledger[books.SETTLED_ON] == 0:
        ledger[books.SETTLED_ON] = begin
    books.settle(book, account, until, event)
    # Settled ahead of the closed days is only a ledger that has no balance yet.
    ledger[books.SETTLED_ON] = min(ledger[books.SETTLED_ON], begin)


@inlined
def fits(book: Book, account: int, amount: int) -> bool:
    """Do all figures of the ledger stay exact?"""
    ledger = book.ledgers[account]
    total = ledger[books.TOTAL] + amount
    return bool(
        -BALANCE_MAX < total < BALANCE_MAX and ledger[books.TURNOVER] + abs(amount) < TURNOVER_MAX
    )


@inlined
def is_known(book: Book, account: int, day: int, amount: int) -> bool:
    """Is it certain what a change valued on this day does?"""
    ledger = book.ledgers[account]
    if day >= ledger[books.KEPT_FROM]:
        return True
    low, high = ledger[books.OLD_MIN], ledger[books.OLD_MAX]
    return bool((low >= 0 and low + amount >= 0) or (high <= 0 and high + amount <= 0))


@inlined
def change(book: Book, account: int, day: int, amount: int, until: int) -> None:
    """A balance change on its value day."""
    ledger = book.ledgers[account]
    ledger[books.TOTAL] += amount
    ledger[books.TURNOVER] += abs(amount)
    if day >= ledger[books.SETTLED_ON]:
        entries.add(book.tail, account, PENDING, 2 * day, amount)
        return
    _shift_all(book, account, day, amount, month_of(until))
    ledger[books.BALANCE] += amount
    if day >= ledger[books.KEPT_FROM]:
        entries.add(book.tail, account, HISTORY, 2 * day, amount)
    else:
        ledger[books.OLD_MIN] = min(ledger[books.OLD_MIN], ledger[books.OLD_MIN] + amount)
        ledger[books.OLD_MAX] = max(ledger[books.OLD_MAX], ledger[books.OLD_MAX] + amount)


@compiled
def _shift_all(book: Book, account: int, day: int, amount: int, period: int) -> None:
    """Walks the balances back from the settled day to the value day."""
    ledger, pool = book.ledgers[account], book.tail.pool
    end, balance = ledger[books.SETTLED_ON], ledger[books.BALANCE]
    n = book.tail.spans[account, entries.COUNTS + HISTORY]
    while end > day and n > 0:
        n -= 1
        begin = max(day, pool[entries.past(book.tail, account, n), entries.CODE] >> 1)
        _shift(book, account, balance, amount, begin, end, period)
        balance -= entries.moved(book.tail, entries.past(book.tail, account, n))
        end = begin
    if end <= day:
        return
    kept_from = ledger[books.KEPT_FROM]
    if day < kept_from:
        if end > kept_from:
            _shift(book, account, balance, amount, kept_from, end, period)
        # Before it only the sign is known, and that it does not turn: any such balance will do.
        low = ledger[books.OLD_MIN]
        balance = low if low >= 0 and low + amount >= 0 else ledger[books.OLD_MAX]
        end = min(end, kept_from)
    _shift(book, account, balance, amount, day, end, period)


@compiled
def _shift(
    book: Book, account: int, balance: int, amount: int, begin: int, end: int, period: int
) -> None:  # fmt: skip
    """A balance was another one over these days: month by month, for each is an origin."""
    while begin < end:
        origin = month_of(begin)
        until = min(end, first_day(origin + 1))
        books.accrue(book, account, balance, -1, begin, until, origin, period)
        books.accrue(book, account, balance + amount, 1, begin, until, origin, period)
        begin = until


@compiled
def put_leaf(
    book: Book, account: int, component: int, day: int, amount: int, until: int
) -> None:  # fmt: skip
    """Adds minor units to the leaf of a day: of its month, or of the open one after its close."""
    origin = month_of(day)
    code = entries.cell_code(max(origin, month_of(until)), origin, component)
    entries.add(book.tail, account, CELLS, code, amount)


@inlined
def _last_turn(book: Book, account: int) -> int:
    """`books.OPEN` as all that was told makes it, whatever day is settled."""
    tail, last = book.tail, book.ledgers[account, books.OPEN]
    for place in range(*entries.span(tail, account, PENDING)):
        code = tail.pool[place, entries.CODE]
        if code & 1:
            last = books.turned(last, code >> 1, tail.pool[place, entries.AMOUNT])
    return last  # type: ignore[no-any-return]


@inlined
def _out_of_turn(last: int, action: int, day: int) -> int:
    """Openings and closings take turns in the order of their days; what goes before the last would
    cost an account for days on which it was not open, or twice, or for too few or too many. What
    only says again how it is may come in any order."""
    is_open, since = last > 0, books.turned_on(last)
    says_again = is_open == (action == r.OPENED)
    if day >= (since if says_again else books.told_on(last)):
        return r.APPLIED
    if not is_open:
        return r.CLOSED_LATER
    return r.NOT_OPEN if action == r.CLOSED and day < since else r.OPENED_LATER


@compiled
def open_or_close(book: Book, account: int, day: int, step: int, until: int) -> None:
    """An account is open from a day on, or no longer. One of which no opening was told has cost
    nothing: of its closing only the day is kept, as of what says again how it is."""
    ledger, tail, last = book.ledgers[account], book.tail, _last_turn(book, account)
    if last == 0 and step < 0:
        ledger[books.OPEN] = -day
        return
    if (last > 0) == (step > 0):
        ledger[books.OPEN] = books.told_again(ledger[books.OPEN], day)
        return
    if day >= ledger[books.SETTLED_ON]:
        entries.add(tail, account, PENDING, 2 * day + 1, step)
        return
    ledger[books.OPEN] = books.turned(last, day, step)
    entries.add(tail, account, HISTORY, 2 * day + 1, step)
    begin, end = day, ledger[books.SETTLED_ON]
    while begin < end:
        upto = min(end, first_day(month_of(begin) + 1))
        charge(book, account, step, begin, upto, until)
        begin = upto


@compiled
def charge(book: Book, account: int, step: int, begin: int, end: int, until: int) -> None:
    """The upkeep of these days of one month, `step` times."""
    cost = step * books.upkeep(book, account, begin, end)
    if month_of(begin) >= month_of(until):
        book.ledgers[account, books.UPKEEP_SUM] -= cost
    else:
        put_leaf(book, account, r.UPKEEP, begin, -cost, until)


@inlined
def refusal(
    book: Book, action: int, account: int, second: int, amount: int, value_day: int, day: int,
    until: int, event: int,
) -> int:  # fmt: skip
    """Settles what the event touches; says why it cannot be booked, or r.APPLIED."""
    first = min(value_day, day)
    ready(book, account, until, first, event)
    if second >= 0:
        ready(book, second, until, first, event)
    if action in (r.OPENED, r.CLOSED):
        return _out_of_turn(_last_turn(book, account), action, day)
    moves_loan = action == r.INSTALMENT and second >= 0
    if not fits(book, account, amount) or (moves_loan and not fits(book, second, -amount)):
        return r.BEYOND_RANGE
    if not is_known(book, account, value_day, amount) or (
        moves_loan and not is_known(book, second, value_day, -amount)
    ):
        return r.BEYOND_HISTORY
    return r.APPLIED


@inlined
def book_event(
    book: Book, action: int, account: int, second: int, driver: int, amount: int, value_day: int,
    day: int, until: int,
) -> None:  # fmt: skip
    """Books one event; `second` is the loan it is about. To be asked after `refusal`."""
    if action in (r.OPENED, r.CLOSED):
        open_or_close(book, account, day, 1 if action == r.OPENED else -1, until)
        return
    change(book, account, value_day, amount, until)
    if action == r.GRANTED:
        return
    worker = account  # whose product the work was for
    if action == r.FEE:
        put_leaf(book, account, r.FEES, value_day, -amount, until)
    elif action == r.PAID:
        put_leaf(book, account, r.INTEREST_PAID, value_day, -amount, until)
    elif action == r.RECEIVED:
        of = second if second >= 0 else account
        put_leaf(book, of, r.INTEREST_RECEIVED, value_day, -amount, until)
    elif action == r.INSTALMENT and second >= 0:
        change(book, second, value_day, -amount, until)
        worker = second
    if driver >= 0:
        cost = on_day(book.rates.drivers, book.rates.steps, driver, day)
        put_leaf(book, worker, r.USES, day, -cost, until)


@inlined
def _has_month(book: Book, account: int, until: int) -> bool:
    """Is there anything that the months before `until` would post?"""
    ledger = book.ledgers[account]
    if ledger[books.SETTLED_ON] == 0 or ledger[books.SETTLED_ON] >= until:
        return False
    if ledger[books.BALANCE] != 0 or ledger[books.OPEN] > 0:
        return True
    spans = book.tail.spans
    if spans[account, entries.COUNTS + PENDING] > 0 or spans[account, entries.COUNTS + CELLS] > 0:
        return True
    return books.owes(book, account)


@compiled
def post_months(
    book: Book, first_account: Ints, next_account: Ints, begin: int, end: int, until: int,
    touched: Ints, count: Ints,
) -> int:  # fmt: skip
    """Posts the months before `until` of the customers begin..end whom no event has settled since.
    `touched` gets the rows that changed, so many as `count` says. Returns where room ran out."""
    for row in range(begin, end):
        account = first_account[row]
        while account >= 0:
            if _has_month(book, account, until):
                if not has_places(book, room(book, account, until, until)):
                    return row
                books.settle(book, account, until, -1)
                if count[0] == 0 or touched[count[0] - 1] != row:
                    touched[count[0]] = row
                    count[0] += 1
            account = next_account[account]
    return end


@compiled
def post_all(book: Book, begin: int, end: int, until: int) -> int:
    """Settles the accounts begin..end and posts all that is open; says where room ran out."""
    for account in range(begin, end):
        if not has_places(book, room(book, account, until, until)):
            return account
        books.settle(book, account, until, -1)
        books.post(book, account, month_of(until - 1), entries.CELL_MIN, -1)
    return end
