"""What the watermark does to the customers whose timers it has reached, compiled.

Arrays come in as they stand, `counters` as in `kernel`, whose small rules these are at a close.
"""

# ruff: noqa: PLR0917 - columns are passed one by one: numba unboxes no objects

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring import ahead, leaving
from services.scoring.arming import arm, due_on
from services.scoring.kernel import ARMED, SIGNALS, T_CLEAR, T_GAPS, T_MEAN_MIN, touch
from services.scoring.rows import CLEARED, LEFT, OUTFLOW, RAISED, SILENCE
from services.scoring.scores import activity, balance, outflow
from services.scoring.scores.compiling import compiled
from services.scoring.scores.looking import look, most_crossings
from services.scoring.scores.watching import Watch, sooner
from services.scoring.signal_rows import signal

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured


@compiled
def _ask_again(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    watermark: int, factors: Ints, mass: Ints, limits: Ints,
) -> bool:  # fmt: skip
    """By the limits of now: others may have set the timers. Says whether one lies elsewhere."""
    c = customers[row]
    recovers_on, silent_on = c.recovers_on, c.silent_on
    if 0 < recovers_on <= watermark:
        c.recovers_on = outflow.recovers_on(
            factors, c.sum_minor, c.mean_minor, c.mean_on, limits[T_CLEAR], limits[T_MEAN_MIN]
        )
    if c.silence == 0 and 0 < silent_on <= watermark:
        c.silent_on = leaving.silent_on(
            customers, accounts, first_account, next_account, row, watermark, mass,
            limits[T_GAPS:],
        )  # fmt: skip
    return bool(recovers_on != c.recovers_on or silent_on != c.silent_on)


@compiled
def _fire(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    watermark: int, offset: int, balance_factors: Ints, mass: Ints, limits: Ints, signals: Ints,
    counters: Ints,
) -> bool:  # fmt: skip
    """What a closed day does to one customer: says whether anything changed."""
    c = customers[row]
    changed = _ask_again(customers, accounts, first_account, next_account, row, watermark,
                         balance_factors, mass, limits)  # fmt: skip
    if 0 < c.recovers_on <= watermark:
        mean = balance.mean_on(balance_factors, c.mean_minor, c.mean_on, c.sum_minor, c.recovers_on)
        c.outflow = 0
        left = leaving.has_left_on(
            customers, accounts, first_account, next_account, row, c.recovers_on
        )
        kind = LEFT if left else CLEARED
        counters[SIGNALS] = signal(
            signals, counters[SIGNALS], -1, row, OUTFLOW, kind, c.outflow_episode,
            c.recovers_on, c.sum_minor, mean, c.last_on, 0, offset,
        )  # fmt: skip
        c.recovers_on = 0
        changed = True
    if c.silence == 1:
        counters[SIGNALS] = leaving.end_silence(
            customers, accounts, first_account, next_account, row, -1, watermark, offset, mass,
            limits[T_GAPS:], signals, counters[SIGNALS],
        )  # fmt: skip
        changed |= c.silence == 0
    elif 0 < c.silent_on <= watermark:
        c.silence = 1
        c.silence_episode += 1
        gap = activity.mean_gap_milli(mass, c.activity, c.last_on - c.first_on)
        counters[SIGNALS] = signal(
            signals, counters[SIGNALS], -1, row, SILENCE, RAISED, c.silence_episode,
            c.silent_on, c.sum_minor, c.mean_minor, c.last_on, gap, offset,
        )  # fmt: skip
        changed = True
    return changed


@compiled
def fire(
    begin: int, due_rows: Ints, watermark: int, offset: int, customers: Rows, accounts: Rows,
    armed: Ints, stamps: Ints, first_account: Ints, next_account: Ints, watch: Watch,
    balance_factors: Ints, mass: Ints, limits: Ints, touched: Ints, signals: Ints, arms: Ints,
    counters: Ints,
) -> int:  # fmt: skip
    """The timers that a closed day has reached. A row that is ahead of this close has seen it.

    Returns where it stopped: before the end when the crossings need more room.
    """
    n = due_rows.shape[0]
    for k in range(begin, n):
        ahead.of_timer(k, due_rows, customers, armed, first_account, next_account, watch)
        row = due_rows[k]
        c = customers[row]
        if c.offset < offset:
            looks = 0 < watch.looks[row] <= watermark
            if looks and watch.written[0] + most_crossings(
                watch, row, first_account, next_account, watermark
            ) > len(watch.crossings):
                return k
            armed[row] = 0
            changed = _fire(
                customers, accounts, first_account, next_account, row, watermark, offset,
                balance_factors, mass, limits, signals, counters,
            )  # fmt: skip
            if looks:
                changed |= look(watch, row, first_account, next_account, watermark, offset)
            if changed:
                c.offset = offset
                touch(stamps, touched, counters, row)
            closing = leaving.closing_ahead(
                customers, accounts, first_account, next_account, row, watermark
            )  # fmt: skip
            counters[ARMED] = arm(
                customers, watch.looks, armed, arms, counters[ARMED], row, closing
            )  # fmt: skip
        else:
            armed[row] = 0
            closing = leaving.closing_ahead(
                customers, accounts, first_account, next_account, row, watermark
            )  # fmt: skip
            due = sooner(due_on(customers, watch.looks, row), closing)
            if due > 0:  # its own next close is later than this one
                armed[row] = max(due, watermark + 1)
                arms[counters[ARMED], 0] = row
                arms[counters[ARMED], 1] = armed[row]
                counters[ARMED] += 1
    return n  # type: ignore[no-any-return]
