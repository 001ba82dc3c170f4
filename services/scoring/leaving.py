"""Who has closed all his accounts has left: he does not fall silent, and no silence of his goes on.

Each account row has its closing in one word (`scores/turns.py`). The rows of a customer are gone
through only when he closes an account or has one again, when he would fall silent, and when the
watermark looks at one who is. What a close decides follows from the days through its own, so a
closing that is told ahead waits for its day. A loan is no account: nothing is booked on its row.
"""

# ruff: noqa: PLR0917 - compiled: numba takes no keywords

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.scoring.rows import LEFT, OPENED, SILENCE
from services.scoring.scores import activity, silence, turns
from services.scoring.scores.compiling import compiled
from services.scoring.signal_rows import signal

Ints = NDArray[np.int64]
Rows = NDArray[Any]  # structured
_NEVER: Final = 1 << 40


@compiled
def at_end(
    accounts: Rows, first_account: Ints, next_account: Ints, row: int, day: int
) -> tuple[int, int]:
    """Of the end of a day: on which day he closed his last account, 0: he has one. And since when
    he has one, or will have one again, without a break; 0: for longer than is known, or never."""
    left_on, since, again = 0, _NEVER, _NEVER
    account = first_account[row]
    while account >= 0:
        closed_on = turns.closed_on(accounts[account].closed_on)
        open_since = turns.open_since(accounts[account].closed_on)
        if closed_on <= day:
            left_on = max(left_on, closed_on)
            if 0 < open_since <= day:
                since = min(since, open_since)
        else:
            since = min(since, turns.open_before(accounts[account].closed_on))
        if open_since > day:
            again = min(again, open_since)
        account = next_account[account]
    if since == _NEVER and left_on > 0:
        return left_on, again if again < _NEVER else 0
    return 0, since if left_on < since < _NEVER else 0


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
    left_on, since = at_end(accounts, first_account, next_account, row, watermark)
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
    left_on, _ = at_end(accounts, first_account, next_account, row, watermark)
    if left_on == 0:
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
    """An account was opened, maybe for one who had none: his silence is counted again."""
    c = customers[row]
    if c.silence == 0 and c.silent_on == 0:
        c.silent_on = silent_on(
            customers, accounts, first_account, next_account, row, day, mass, limits
        )


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
    # What was booked on a later day may have been told before it.
    a.closed_on = turns.after_booking(turns.after_closing(a.closed_on, day), a.last_on)
    if c.silence == 0 or day > watermark:
        return n
    return end_silence(
        customers, accounts, first_account, next_account, row, event, watermark, offset, mass,
        limits, signals, n,
    )  # fmt: skip
