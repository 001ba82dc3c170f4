"""The loop of the state path, compiled: one step per event in partition order. `firing`: closes.

Nothing here allocates per event. Arrays of one partition come in as they stand; `counters` returns
how far each output was filled.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.scoring import ahead, leaving
from services.scoring.applied_ids import find, remember
from services.scoring.arming import arm
from services.scoring.rows import (
    APPLIED,
    BEYOND_RANGE,
    BY_CUSTOMER,
    CLEARED,
    CLOSED,
    DUPLICATE,
    GRADED,
    HOME_CURRENCY,
    IN_LEDGER,
    INPUT,
    OPENED,
    OUTFLOW,
    RAISED,
    REDELIVERED,
    SEEN_BEFORE,
    SILENCE,
)
from services.scoring.scores import activity, balance, outflow, silence, transactions, turns
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.scores.contribution import booking, grading
from services.scoring.scores.contribution.ledger import Book
from services.scoring.scores.waiting import fits
from services.scoring.scores.watching import Watch, follow, on_booking
from services.scoring.signal_rows import signal

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured

# Order of the model's thresholds
T_OUTFLOW, T_CLEAR, T_MEAN_MIN, T_GAPS, T_DAYS_MIN, T_DAYS_MAX, T_COUNT_MIN, T_TENURE_MIN = range(8)
# Order of `counters`
TOUCHED, SIGNALS, ARMED, IDS, GENERATION = range(5)
COUNTERS: Final = 5


@inlined
def touch(stamps: Ints, touched: Ints, counters: Ints, row: int) -> None:
    if stamps[row] != counters[GENERATION]:
        stamps[row] = counters[GENERATION]
        touched[counters[TOUCHED]] = row
        counters[TOUCHED] += 1


@inlined
def _move_balance(customers: Rows, factors: Ints, row: int, amount_minor: int, day: int) -> None:
    c = customers[row]
    if c.mean_on == 0:
        c.mean_on = day
        c.mean_minor = 0
    if day >= c.mean_on:
        c.mean_minor = balance.mean_on(factors, c.mean_minor, c.mean_on, c.sum_minor, day)
        c.mean_on = day
    else:
        c.mean_minor = balance.corrected(factors, c.mean_minor, c.mean_on, amount_minor, day)
    c.sum_minor += amount_minor


@inlined
def _outflow_rule(
    customers: Rows, factors: Ints, limits: Ints, row: int, event: int, offset: int,
    signals: Ints, n: int,
) -> int:  # fmt: skip
    c = customers[row]
    if c.outflow == 0:
        if not outflow.holds(c.sum_minor, c.mean_minor, limits[T_OUTFLOW], limits[T_MEAN_MIN]):
            return n
        c.outflow = 1
        c.outflow_episode += 1
        n = signal(
            signals, n, event, row, OUTFLOW, RAISED, c.outflow_episode, c.mean_on,
            c.sum_minor, c.mean_minor, c.last_on, 0, offset,
        )  # fmt: skip
    elif not outflow.holds(c.sum_minor, c.mean_minor, limits[T_CLEAR], limits[T_MEAN_MIN]):
        c.outflow = 0
        c.recovers_on = 0
        return signal(
            signals, n, event, row, OUTFLOW, CLEARED, c.outflow_episode, c.mean_on,
            c.sum_minor, c.mean_minor, c.last_on, 0, offset,
        )  # fmt: skip
    c.recovers_on = outflow.recovers_on(
        factors, c.sum_minor, c.mean_minor, c.mean_on, limits[T_CLEAR], limits[T_MEAN_MIN]
    )
    return n


@inlined
def _silence_rule(
    customers: Rows, factors: Ints, mass: Ints, limits: Ints, row: int, event: int, day: int,
    watermark: int, offset: int, signals: Ints, n: int,
) -> int:  # fmt: skip
    c = customers[row]
    c.customer_count += 1
    c.activity = activity.after_event(factors, c.activity, c.activity_on, day)
    c.activity_on = max(c.activity_on, day)
    c.first_on = day if c.first_on == 0 else min(c.first_on, day)
    is_next, c.last_on = day > c.last_on, max(c.last_on, day)
    tenure = c.last_on - c.first_on
    gap = 0
    if c.customer_count >= limits[T_COUNT_MIN] and tenure >= limits[T_TENURE_MIN]:
        gap = activity.mean_gap_milli(mass, c.activity, tenure)
        c.silent_on = silence.silent_on(
            c.last_on, gap, limits[T_GAPS], limits[T_DAYS_MIN], limits[T_DAYS_MAX]
        )
    elif c.silence == 1 and is_next:  # it began by limits that asked for less
        c.silent_on = 0
    if c.silence == 1 and not 0 < c.silent_on <= watermark:
        c.silence = 0
        return signal(
            signals, n, event, row, SILENCE, CLEARED, c.silence_episode, day,
            c.sum_minor, c.mean_minor, c.last_on, gap, offset,
        )  # fmt: skip
    return n


@inlined
def _first_scores(
    customers: Rows, accounts: Rows, row: int, account: int, event: int, amount: int, day: int,
    offset: int, flags: int, watermark: int,
    first_account: Ints, next_account: Ints, activity_factors: Ints, mass: Ints,
    balance_factors: Ints, limits: Ints, signals: Ints, counters: Ints,
) -> None:  # fmt: skip
    """Sums, pace and balance of the customer, and the rules on them."""
    a, c = accounts[account], customers[row]
    a.sum_minor += amount
    a.count += 1
    a.booked_on = turns.booked_after(a.booked_on, a.last_on, day)
    a.last_on = max(a.last_on, day)
    closed_on = turns.after_booking(a.closed_on, day)
    if closed_on != a.closed_on:
        a.closed_on = closed_on
        leaving.come_back(customers, accounts, first_account, next_account, row,
                          max(day, watermark), mass, limits[T_GAPS:])  # fmt: skip
    c.count += 1
    if flags & BY_CUSTOMER:
        counters[SIGNALS] = _silence_rule(
            customers, activity_factors, mass, limits, row, event, day, watermark, offset,
            signals, counters[SIGNALS],
        )  # fmt: skip
    if flags & HOME_CURRENCY:
        _move_balance(customers, balance_factors, row, amount, day)
        counters[SIGNALS] = _outflow_rule(
            customers, balance_factors, limits, row, event, offset, signals, counters[SIGNALS]
        )


@inlined
def _small_rules(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    account: int, action: int, event: int, amount: int, day: int, offset: int, flags: int,
    watermark: int, activity_factors: Ints, mass: Ints, balance_factors: Ints, limits: Ints,
    signals: Ints, counters: Ints,
) -> None:  # fmt: skip
    """What an event is to them: a transaction, or an account that is opened or closed."""
    if action < OPENED:
        _first_scores(
            customers, accounts, row, account, event, amount, day, offset, flags, watermark,
            first_account, next_account, activity_factors, mass, balance_factors, limits, signals,
            counters,
        )  # fmt: skip
    elif action <= CLOSED:
        counters[SIGNALS] = leaving.turn(
            customers, accounts, first_account, next_account, row, account, action, event, day,
            watermark, offset, mass, limits[T_GAPS:], signals, counters[SIGNALS],
        )  # fmt: skip


@inlined
def _met_before(
    customers: Rows, row: int, flags: int, sequence: int, offset: int, day: int, id_hash: int,
    watermark: int, slots: Ints, ids: Ints,
) -> int:  # fmt: skip
    """Whether the event, or another copy of it, was met; APPLIED: it was not.

    The row's place moves whatever the verdict: met again after a crash it must be the same one,
    and the ids that led to it may be closed by then.
    """
    c = customers[row]
    if flags & INPUT:
        if sequence <= c.input_sequence:
            return REDELIVERED
        c.input_sequence = sequence
    else:
        if offset <= c.offset:
            return REDELIVERED
        c.offset = offset
    if day > watermark:
        at = find(slots, ids, row, id_hash)
        if slots[at] >= 0 and ids[slots[at], 1] > watermark:
            return DUPLICATE
    elif flags & SEEN_BEFORE:
        return DUPLICATE
    return APPLIED


@inlined
def _verdict(
    customers: Rows, accounts: Rows, row: int, account: int, second: int, event: int, amount: int,
    day: int, value_day: int, action: int, flags: int, kind: int, until: int, book: Book,
    watch: Watch,
) -> int:  # fmt: skip
    """What a new event comes to, before anything of it is applied."""
    if action == GRADED:
        return grading.refusal(value_day, until)
    if action < OPENED and not (
        transactions.fits(accounts[account].sum_minor, amount)
        and transactions.fits(customers[row].sum_minor, amount)
    ):
        return BEYOND_RANGE
    if watch.places[account, 0] >= 0 and not fits(watch.waiting, account, day, kind, amount):
        return BEYOND_RANGE
    if flags & IN_LEDGER:
        return booking.refusal(book, action, account, second, amount, value_day, day, until, event)
    return APPLIED


@inlined
def _armed_after(
    action: int, customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints,
    looks: Ints, armed: Ints, arms: Ints, n: int, row: int, watermark: int,
) -> int:  # fmt: skip
    """`arm` after an event; a closing may be that of one who is silent."""
    closing = 0
    if action == CLOSED:
        closing = leaving.closing_ahead(
            customers, accounts, first_account, next_account, row, watermark
        )
    return arm(customers, looks, armed, arms, n, row, closing)


@compiled
def step(
    begin: int, end: int,
    rows: Ints, accounts_of: Ints, amounts: Ints, days: Ints, offsets: Ints, flags: Ints,
    hashes: Ints, sequences: Ints, uses: Ints, kinds: Ints, watermark: int,
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, armed: Ints,
    stamps: Ints, heads: Ints, ids: Ints, slots: Ints, book: Book, watch: Watch,
    activity_factors: Ints, mass: Ints, balance_factors: Ints, limits: Ints,
    verdicts: Ints, touched: Ints, signals: Ints, arms: Ints, counters: Ints,
) -> int:  # fmt: skip
    """Applies the events begin..end of one partition, all after the same closed day.

    `sequences` is read for inputs only; they never move a row's offset of `bank.events`. Returns
    where it stopped: before `end` when the leaves or the entries need more room.
    """
    for i in range(begin, end):
        ahead.of_event(i, end, rows, accounts_of, customers, accounts, armed, stamps, heads, book,
                       watch)  # fmt: skip
        row, account, amount, day = rows[i], accounts_of[i], amounts[i], days[i]
        action, value_day, driver, second = uses[i, 0], uses[i, 1], uses[i, 2], uses[i, 3]
        if action == GRADED:
            has_room = grading.has_room(
                book, row, account, first_account, next_account, watermark + 1, value_day
            )
        else:
            has_room = not flags[i] & IN_LEDGER or booking.has_room(
                book, account, second, watermark + 1, min(day, value_day)
            )
        if not has_room:
            return i
        verdicts[i] = _met_before(
            customers, row, flags[i], sequences[i] if flags[i] & INPUT else 0, offsets[i], day,
            hashes[i], watermark, slots, ids,
        )  # fmt: skip
        if verdicts[i] == REDELIVERED:
            continue
        touch(stamps, touched, counters, row)
        if verdicts[i] == DUPLICATE:
            continue
        verdicts[i] = _verdict(
            customers, accounts, row, account, second, i, amount, day, value_day, action, flags[i],
            kinds[i], watermark + 1, book, watch,
        )  # fmt: skip
        if verdicts[i] != APPLIED:
            continue
        if day > watermark:
            counters[IDS] = remember(slots, ids, heads, row, hashes[i], day, counters[IDS])
        if action == GRADED:
            grading.take(book, row, account, value_day, driver, amount, first_account,
                         next_account, watermark + 1, i)  # fmt: skip
        elif flags[i] & IN_LEDGER:
            booking.book_event(
                book, action, account, second, driver, amount, value_day, day, watermark + 1
            )
        _small_rules(
            customers, accounts, first_account, next_account, row, account, action, i, amount, day,
            offsets[i], flags[i], watermark, activity_factors, mass, balance_factors, limits,
            signals, counters,
        )  # fmt: skip
        if account >= 0 and watch.places[account, 0] >= 0:
            follow(watch, account, accounts[account].closed_on)
            on_booking(watch, row, account, day, amount, kinds[i], offsets[i], watermark)
        counters[ARMED] = _armed_after(
            action, customers, accounts, first_account, next_account, watch.looks, armed, arms,
            counters[ARMED], row, watermark,
        )  # fmt: skip
    return end
