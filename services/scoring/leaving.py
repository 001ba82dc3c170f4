"""Who has closed all his accounts has left: he does not fall silent, and no silence of his goes on.

Each account row has its closing in one word (`scores/turns.py`). The rows of a customer are gone
through only when he closes an account or has one again, when he would fall silent, and when the
watermark looks at one who is. What a close decides follows from the days through its own, so a
closing that is told ahead waits for its day. A loan is no account: nothing is booked on its row.
An account knows its last two spans, its customer one more that goes over all of them: it is kept
before an account forgets. So the day on which he came back is known whatever he closes later.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import BEFORE_SHIFT, LEFT, OPENED, SILENCE, SINCE_SHIFT
from services.scoring.scores import activity, silence, turns
from services.scoring.scores.compiling import compiled, inlined
from services.scoring.signal_rows import signal

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured
_NEVER: Final = 1 << 40


@inlined
def kept(left_on: int, back_on: int, through: int) -> int:
    """The day on which he closed his last account, that from which he has one again, and the one
    through whose end he had one all that time; laid out as the word of an account."""
    return left_on | back_on << SINCE_SHIFT | through << BEFORE_SHIFT


@inlined
def kept_through(last_away: int) -> int:
    """The last day of the span that is kept; 0: there is none."""
    return last_away >> BEFORE_SHIFT


@compiled
def _reached_from(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int, since: int
) -> int:
    """Of the spans with an account that go up to a day without a break, or over it, the earliest
    first day; that day itself: there is none."""
    found, last_away = since, customers[row].last_away
    if kept_through(last_away) + 1 >= since:
        found = min(found, turns.open_since(last_away))
    account = first_account[row]
    while account >= 0:
        word = accounts[account].closed_on
        if turns.closed_on(word) >= since:
            found = min(found, turns.open_before(word))
        if turns.open_since(word) > 0:
            found = min(found, turns.open_since(word))
        account = next_account[account]
    return found


@compiled
def at_end(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int, day: int
) -> tuple[int, int]:
    """Of the end of a day: when he closed his last account before he came back or, if he has none,
    before this day; 0: it is not known. And since when he has one without a break, or will have one
    again; 0: for longer than is known, or never."""
    since = day + 1
    found = _reached_from(customers, accounts, first_account, next_account, row, since)
    while found < since:
        since = found
        found = _reached_from(customers, accounts, first_account, next_account, row, since)
    left_on, again = turns.closed_on(customers[row].last_away), _NEVER
    left_on = left_on if left_on < since else 0
    account = first_account[row]
    while account >= 0:
        word = accounts[account].closed_on
        if turns.closed_on(word) < since:
            left_on = max(left_on, turns.closed_on(word))
        for opened in (turns.open_before(word), turns.open_since(word)):
            if opened > day:
                again = min(again, opened)
        account = next_account[account]
    if since <= day:
        return left_on, since
    return left_on, again if again < _NEVER else 0


@compiled
def _has_left(left_on: int, back_on: int, day: int) -> bool:
    """By the two days of `at_end`."""
    return left_on > 0 and not 0 < back_on <= day


@compiled
def has_left_on(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int, day: int
) -> bool:
    """Has he no account at the end of this day, having had one?"""
    left_on, back_on = at_end(customers, accounts, first_account, next_account, row, day)
    return _has_left(left_on, back_on, day)


@compiled
def closing_ahead(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    watermark: int,
) -> int:  # fmt: skip
    """Of who is silent: the next day on which he closes an account, as far as it is known. 0: none,
    or he is not silent. Its close asks whether that was the last one."""
    found = 0
    if customers[row].silence == 1:
        account = first_account[row]
        while account >= 0:
            closed_on = turns.closes_after(accounts[account].closed_on, watermark)
            if closed_on > 0 and (found == 0 or closed_on < found):
                found = closed_on
            account = next_account[account]
    return found


@compiled
def silent_on(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    watermark: int, mass: Ints, limits: Ints,
) -> int:  # fmt: skip
    """The day from which silence holds, by the limits of now; 0: there is none, as for who has
    left. Who has come back has it counted from that day on."""
    c = customers[row]
    left_on, since = at_end(customers, accounts, first_account, next_account, row, watermark)
    if left_on > 0 and since == 0:
        return 0
    return silence.of_now(
        mass, c.activity, c.customer_count, c.first_on, c.last_on, since, limits
    )


@compiled
def end_silence(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    event: int, watermark: int, offset: int, mass: Ints, limits: Ints, signals: Ints, n: int,
) -> int:  # fmt: skip
    """Of one who is silent, if he has left. Returns how many signals there are now."""
    c = customers[row]
    left_on, back_on = at_end(customers, accounts, first_account, next_account, row, watermark)
    if not _has_left(left_on, back_on, watermark):
        return n
    c.silence = 0
    c.silent_on = silent_on(
        customers, accounts, first_account, next_account, row, watermark, mass, limits
    )
    gap = activity.mean_gap_milli(mass, c.activity, c.last_on - c.first_on)
    return signal(
        signals, n, event, row, SILENCE, LEFT, c.silence_episode, left_on, c.sum_minor,
        c.mean_minor, c.last_on, gap, offset,
    )  # fmt: skip


@compiled
def come_back(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int, day: int,
    mass: Ints, limits: Ints,
) -> None:  # fmt: skip
    """An account was opened, maybe for one who had none: his silence is counted again, unless it is
    due before that. Openings of open days may be told in any order."""
    c = customers[row]
    if c.silence == 0:
        found = silent_on(
            customers, accounts, first_account, next_account, row, day, mass, limits
        )
        if c.silent_on == 0 or 0 < found < c.silent_on:
            c.silent_on = found


@compiled
def _keep(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    watermark: int,
) -> None:  # fmt: skip
    """Before an account of his forgets: what is known of the days that are closed."""
    left_on, back_on = at_end(customers, accounts, first_account, next_account, row, watermark)
    if back_on > watermark or _has_left(left_on, back_on, watermark):
        customers[row].last_away = kept(left_on, 0, 0)
    else:
        customers[row].last_away = kept(left_on, back_on, watermark)


@compiled
def turn(
    customers: Rows, accounts: Rows, first_account: Ints, next_account: Ints, row: int,
    account: int, action: int, event: int, day: int, watermark: int, offset: int, mass: Ints,
    limits: Ints, signals: Ints, n: int,
) -> int:  # fmt: skip
    """An account is opened or closed. A closing of a closed day ends a silence at once, any other
    at the close of its day. Returns how many signals there are now."""
    a, c = accounts[account], customers[row]
    if action == OPENED:
        a.closed_on = turns.after_opening(a.closed_on, day)
        come_back(
            customers, accounts, first_account, next_account, row, max(day, watermark), mass, limits
        )
        return n
    if turns.forgets(a.closed_on, day):
        _keep(customers, accounts, first_account, next_account, row, watermark)
    a.closed_on = turns.after_closing(a.closed_on, day)
    # What was booked on later days may have been told before it.
    behind = turns.first_behind(a.booked_on, a.last_on, turns.closed_on(a.closed_on))
    if behind > 0:
        a.closed_on = turns.after_booking(a.closed_on, behind)
    if turns.open_since(c.last_away) <= day <= kept_through(c.last_away):  # told late
        c.last_away = kept(turns.closed_on(c.last_away), turns.open_since(c.last_away), day - 1)
    if c.silence == 0 or day > watermark:
        return n
    return end_silence(
        customers, accounts, first_account, next_account, row, event, watermark, offset, mass,
        limits, signals, n,
    )  # fmt: skip
