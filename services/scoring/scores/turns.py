"""When an account was closed and opened again: three days in one word.

Inputs: the days of its openings and closings, and of its bookings.
State: the day of the closing, 0: none is known; since when it is open, behind the closing or on its
day, 0: it is not; and since when it was open before the closing, 0: for longer than is known. In a
word of its own one bit for each of the 62 days up to the last booking: was it booked on that day?
Terms: none.
The three days stand beside each other, for a bank may tell a closing before its day. What is older
than the last closing is forgotten, so a bank is to tell the turns of one account in their order.
"""

from typing import Final

from services.scoring.rows import BEFORE_SHIFT, DAY_MASK, SINCE_SHIFT
from services.scoring.scores.compiling import inlined

BOOKED_DAYS: Final = 62


@inlined
def closed_on(turns: int) -> int:
    """The day of the closing; 0: none is known."""
    return turns & DAY_MASK


@inlined
def open_since(turns: int) -> int:
    """The day since when it is open, after the closing if there is one; 0: none is known."""
    return turns >> SINCE_SHIFT & DAY_MASK


@inlined
def open_before(turns: int) -> int:
    """The day since when it was open when it was closed; 0: none is known."""
    return turns >> BEFORE_SHIFT & DAY_MASK


@inlined
def is_closed(turns: int, day: int) -> bool:
    """Was the account closed, and not opened again, at the end of a day?"""
    return 0 < closed_on(turns) <= day and not 0 < open_since(turns) <= day


@inlined
def closes_after(turns: int, day: int) -> int:
    """The day of a closing, where it is later than another day; 0: it is not."""
    closed = closed_on(turns)
    return closed if closed > day else 0


@inlined
def forgets(turns: int, day: int) -> bool:
    """Does a closing on a day take the place of another one?"""
    return closed_on(turns) > 0 and 0 < open_since(turns) <= day


@inlined
def after_closing(turns: int, day: int) -> int:
    """Of closings without an opening between them the first counts; one of before the account was
    opened again does not."""
    closed, since, before = closed_on(turns), open_since(turns), open_before(turns)
    if closed == 0 and since > day:
        return turns | day
    if closed == 0 or 0 < since <= day:
        return day | since << BEFORE_SHIFT
    if since > 0 or day < before:
        return turns
    return min(closed, day) | before << BEFORE_SHIFT


@inlined
def after_opening(turns: int, day: int) -> int:
    """Of openings without a closing between them the first counts."""
    since = open_since(turns)
    if day < closed_on(turns) or 0 < since <= day:
        return turns
    return turns & ~(DAY_MASK << SINCE_SHIFT) | day << SINCE_SHIFT


@inlined
def after_booking(turns: int, day: int) -> int:
    """What is booked on a later day than its closing says that it is open. Of most accounts the
    first booking is the first that is known."""
    return after_opening(turns, day) if day > closed_on(turns) else turns


@inlined
def booked_after(booked: int, last_on: int, day: int) -> int:
    """The bits of the days of bookings, counted back from the last one, with one more."""
    ahead = day - last_on
    if ahead <= -BOOKED_DAYS:
        return booked
    if ahead <= 0:
        return booked | 1 << -ahead
    if ahead >= BOOKED_DAYS:
        return 1
    return (booked << ahead & (1 << BOOKED_DAYS) - 1) | 1


@inlined
def first_behind(booked: int, last_on: int, day: int) -> int:
    """The first day of a booking behind a day, as far back as is known; 0: there is none."""
    back = min(last_on - day, BOOKED_DAYS) - 1
    while back >= 0 and booked >> back & 1 == 0:
        back -= 1
    return last_on - back if back >= 0 else 0
